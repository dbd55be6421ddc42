// Calls and copies that take long: nothing hangs, deadlines hold, and what does not need them goes on.
#include <gtest/gtest.h>

#include "emulated_bed.hpp"
#include "support/rig.hpp"
#include "support/watchdog.hpp"
#include "sweep.hpp"

namespace pinrail::test {
namespace {

using std::chrono::milliseconds;

TEST(stalls, every_copy_is_slow) {
  run_without_fault([](const planned_fault& plan) {
    return std::make_unique<emulated_bed>(plan, emulated_bed::options{.copy_ns = 2'000'000});
  });
}

TEST(stalls, every_kernel_is_slow) {
  run_without_fault([](const planned_fault& plan) {
    return std::make_unique<emulated_bed>(plan, emulated_bed::options{.kernel_ns = 2'000'000});
  });
}

TEST(stalls, each_call_is_slow_once) {
  sweep_stalls([](std::uint64_t slow) {
    return std::make_unique<emulated_bed>(planned_fault{.first = slow},
                                          emulated_bed::options{.before = [slow](auto, auto number) {
                                            if (number == slow) std::this_thread::sleep_for(milliseconds(1));
                                          }});
  });
}

/// A device on which the first copy of a block can be held up: in the call, or on the device.
struct stalled_copy : testing::Test {
  static constexpr std::uint64_t block_bytes = 64_KiB;
  static constexpr std::uint32_t copies_stream = 1;  ///< of the streams that a scheduler opens first

  enum class stall { none, call, device };
  core::atomic<stall> next{stall::none};
  core::atomic<bool> reached{false};
  std::promise<void> over;
  const std::shared_future<void> passed = over.get_future().share();

  const watchdog limit{std::chrono::seconds(60), [] { return std::string("a test of stalled copies"); }};
  emulated_bed bed{{}, {.before = [this](emulated::call what, std::uint64_t) { before(what); }}};
  host_model bytes{4, block_bytes, 1};
  std::optional<scheduler> sched{
      std::in_place, bed.device(),
      scheduler_options{.vram_budget = 4 * block_bytes, .high_watermark = 1, .page_bytes = 4096}};
  runtime r = sched->add_runtime("r", bytes.model());
  stream s = bed.device().create_stream();

  void before(emulated::call what) {
    if (what != emulated::call::copy_host_to_device) return;
    const stall how = next.exchange(stall::none, core::order::acq_rel);
    if (how == stall::none) return;
    reached.store(true, core::order::release);
    if (how == stall::call) return passed.wait();
    emulated::launch(stream_ref(bed.device(), copies_stream), [p = passed] { p.wait(); });
  }
  errc use(block_index b, milliseconds deadline) {
    auto pass = r.managed_forward(s, {.prefetch_blocks = 0, .load_deadline = deadline});
    return pass.try_use(b).code();
  }
  void TearDown() override {
    s.synchronize();
    s = stream();
    sched.reset();
    r = {};
    EXPECT_EQ(bed.close(), std::vector<std::string>{});
  }
};

TEST_F(stalled_copy, in_the_call) {
  EXPECT_EQ(use(0, milliseconds(20'000)), errc::none);
  next.store(stall::call, core::order::release);
  EXPECT_EQ(use(1, milliseconds(20)), errc::timed_out);
  ASSERT_TRUE(reached.load(core::order::acquire));
  EXPECT_EQ(use(2, milliseconds(20)), errc::timed_out) << "behind it";
  EXPECT_EQ(use(0, milliseconds(20)), errc::none) << "what is there can be used";
  EXPECT_TRUE(r.keep_resident().active());
  EXPECT_TRUE(r.reserve_for_resident().release());
  EXPECT_EQ(sched->budget().used_bytes(), 3 * block_bytes);
  EXPECT_EQ(sched->try_set_vram_budget(block_bytes, milliseconds(20)).code(), errc::no_victim);
  over.set_value();
  EXPECT_EQ(use(1, milliseconds(20'000)), errc::none);
  EXPECT_EQ(use(2, milliseconds(20'000)), errc::none);
}

TEST_F(stalled_copy, on_the_device) {
  EXPECT_EQ(use(0, milliseconds(20'000)), errc::none);
  next.store(stall::device, core::order::release);
  EXPECT_EQ(use(1, milliseconds(20'000)), errc::none) << "the stream waits, not the CPU";
  EXPECT_EQ(use(0, milliseconds(20)), errc::none);
  EXPECT_EQ(sched->budget()
                .try_reserve_bytes(4 * block_bytes, "all of it", {.with_memory = true, .deadline = milliseconds(20)})
                .code(),
            errc::timed_out);
  over.set_value();
  EXPECT_TRUE(sched->budget().reserve_bytes(4 * block_bytes, "all of it", {.with_memory = true}).active());
}

}  // namespace
}  // namespace pinrail::test
