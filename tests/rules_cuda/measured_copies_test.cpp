// How fast copies are is measured when a scheduler begins, and a measurement that fails is no reason not to begin.
#include "user_streams.hpp"

namespace pinrail::test {
namespace {

constexpr std::uint64_t block_bytes = 256_KiB;
constexpr double in = 40e6;  // bytes per second, at most: the fake sleeps so long at least
constexpr double out = 10e6;
const std::string spec = "emulated:vram=64MiB,h2d=40MB/s,d2h=10MB/s";

scheduler_options options() { return {.vram_budget = 4 * block_bytes, .high_watermark = 1, .page_bytes = 4096}; }

TEST(measured_copies, each_direction_and_both_at_once) {
  rig r{options(), spec};
  const copy_rates seen = r.sched().statistics().bare_bytes_per_second;
  EXPECT_GT(seen.in, 0);
  EXPECT_LE(seen.in, in);
  EXPECT_GT(seen.out, 0);
  EXPECT_LE(seen.out, out);
  EXPECT_GT(seen.both, 0);
  EXPECT_LE(seen.both, in + out);
  EXPECT_EQ(emulated::live_resources(r.device()).pinned_bytes, r.device().timeline().pinned_bytes());
}

TEST(measured_copies, plans_begin_with_the_figure_and_follow_what_loads_take) {
  rig r{options(), spec};
  const auto some = r.add("some", 4, block_bytes);
  const double bare = r.sched().statistics().bare_bytes_per_second.in;
  const double first = r.sched().statistics().load_bytes_per_second;
  EXPECT_DOUBLE_EQ(first, bare);
  r.run(some);
  EXPECT_TRUE(eventually([&] { return r.sched().statistics().load_bytes_per_second != first; }));
  EXPECT_EQ(r.sched().statistics().bare_bytes_per_second.in, bare);
}

TEST(measured_copies, a_scheduler_begins_without_them) {
  using emulated::call;
  for (const call where : {call::allocate_pinned, call::copy_host_to_device, call::synchronize_stream}) {
    const std::uint64_t calls = where == call::allocate_pinned ? 1 : 8;  // the least that a measurement makes
    for (std::uint64_t after = 0; after < calls; ++after) {
      const auto on = open_test_device(spec);
      auto& machine = dynamic_cast<testing::fake_gpu&>(on->backend()).machine();
      host_model bytes{1, block_bytes, 1};
      const page_lock locked(bytes.block(0));
      // Each of the scheduler's four streams asks for page-locked memory first, for its completion words.
      const std::uint64_t faults = where == call::allocate_pinned ? 5 : 1;
      for (std::uint64_t i = 0; i < faults; ++i)
        emulated::inject(*on, {.where = where, .after = after + i, .code = errc::device_error});
      scheduler sched(*on, options());
      emulated::clear_faults(*on);
      EXPECT_EQ(sched.statistics().bare_bytes_per_second.in, 0) << testing::cuda_name(where) << " after " << after;
      EXPECT_EQ(sched.statistics().load_bytes_per_second, 0);
      EXPECT_EQ(machine.misuses(), std::vector<std::string>{});
      EXPECT_EQ(emulated::live_resources(*on).pinned_bytes, on->timeline().pinned_bytes());
      const runtime model = sched.add_runtime("model", bytes.model({.pinned = true}));
      auto kept = model.keep_resident({.load = true});
      EXPECT_TRUE(model.is_resident(0));
    }
  }
}

TEST(measured_copies, a_device_that_is_lost_meanwhile_is_reported_by_the_first_use) {
  const auto on = open_test_device(spec);
  host_model bytes{1, block_bytes, 1};
  emulated::inject(*on, {.where = emulated::call::copy_host_to_device, .after = 1, .code = errc::device_lost});
  scheduler sched(*on, options());
  EXPECT_EQ(caught([&] { (void)sched.add_runtime("model", bytes.model({})).keep_resident({.load = true}); }).code(),
            errc::device_lost);
}

}  // namespace
}  // namespace pinrail::test
