// The scheduler on a simulated device: one thread, a virtual clock, the same result every time.
#include <gtest/gtest.h>

#include "pinrail/pinrail.hpp"
#include "pinrail/simulated.hpp"
#include "support/host_model.hpp"

namespace pinrail::test {
namespace {

struct outcome {
  std::uint64_t end_ns = 0;
  std::uint64_t loads = 0;
  std::uint64_t stall_ns = 0;
  std::uint64_t loaded_bytes = 0;
  friend bool operator==(const outcome&, const outcome&) = default;
};

/// 8 cycles over 12 blocks of 64 MiB in room for 8; a copy takes 2.68 ms, a kernel `kernel_ns`.
outcome run(std::uint64_t kernel_ns) {
  auto dev = open_device("simulated:vram=24GiB,h2d=25GB/s,d2h=25GB/s");
  scheduler sched(*dev, {.vram_budget = 512_MiB, .high_watermark = 1});
  std::vector<block_info> blocks;
  for (int b = 0; b < 12; ++b) blocks.push_back({"block." + std::to_string(b), 64_MiB, {}});
  const runtime r =
      sched.add_runtime("r", model_from_callback(blocks, [](block_index, std::uint64_t, std::span<std::byte>) {
                          ADD_FAILURE() << "a simulated device has no bytes to read";
                          return false;
                        }));
  const stream s = dev->create_stream();
  {
    auto pass = r.managed_forward(s);
    for (int cycle = 0; cycle < 8; ++cycle)
      for (const block_index b : r.blocks()) {
        auto held = pass.use(b);
        simulated::launch(s, kernel_ns);
      }
  }
  s.synchronize();
  const auto stats = r.statistics();
  return {dev->now_ns(), stats.loads, stats.stall_ns, stats.loaded_bytes};
}

TEST(simulated, the_same_every_time) { EXPECT_EQ(run(1'000'000), run(1'000'000)); }

TEST(simulated, slow_kernels_hide_the_copies) {
  const outcome o = run(10'000'000);
  EXPECT_LT(o.end_ns, 96 * 10'000'000 * 1.05) << "compute, and the first blocks";
  EXPECT_GE(o.end_ns, 96u * 10'000'000);
}

TEST(simulated, fast_kernels_wait_for_the_copies) {
  const outcome o = run(100'000);
  const double copy_ns = static_cast<double>(o.loaded_bytes) / 25e9 * 1e9;
  EXPECT_GE(static_cast<double>(o.end_ns), copy_ns);
  EXPECT_LT(static_cast<double>(o.end_ns), copy_ns * 1.25);
  EXPECT_LT(o.loads, 8u * 12u) << "some blocks stay from cycle to cycle";
}

TEST(simulated, a_write_back_takes_its_time_and_leaves_the_source_alone) {
  auto dev = open_device("simulated:vram=1GiB,h2d=1GB/s,d2h=1GB/s");
  host_model bytes(3, 1_MiB, 1);
  const auto before = bytes.block(0);
  {
    scheduler sched(*dev, {.vram_budget = 2_MiB, .high_watermark = 1});
    const runtime r = sched.add_runtime("r", bytes.model({.pinned = true, .writable = true}));
    const stream s = dev->create_stream();
    auto pass = r.managed_forward(s, {.prefetch_blocks = 0});
    for (const block_index b : {0u, 1u}) pass.use(b).mark_dirty();
    (void)pass.use(2);  // in the place of one that is written back first
    EXPECT_EQ(r.statistics().written_back_bytes, 1_MiB);
    EXPECT_GE(dev->now_ns(), 3'000'000u) << "two copies in and one out before the third";
  }
  EXPECT_TRUE(bytes.block(0) == before) << "a simulated device has no bytes to write";
}

TEST(simulated, a_deadline_passes_in_virtual_time) {
  auto dev = open_device("simulated:vram=1GiB,h2d=25GB/s");
  scheduler sched(*dev, {.vram_budget = 128_MiB, .load_deadline = std::chrono::hours(1)});
  const runtime r = sched.add_runtime(
      "r", model_from_callback({{"a", 64_MiB, {}}, {"b", 64_MiB, {}}, {"c", 64_MiB, {}}},
                               [](block_index, std::uint64_t, std::span<std::byte>) { return true; }));
  const stream s = dev->create_stream();
  auto guard = r.keep_resident();
  auto pass = r.managed_forward(s, {.prefetch_blocks = 0});
  (void)pass.use(0);
  (void)pass.use(1);
  const std::uint64_t before_ns = dev->now_ns();
  EXPECT_EQ(pass.try_use(2).code(), errc::no_victim);
  EXPECT_GE(dev->now_ns() - before_ns, 3'600'000'000'000u);
}

}  // namespace
}  // namespace pinrail::test
