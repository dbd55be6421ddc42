// Rule 9: the victim is the block with the largest (estimated time to next use x bytes) over all runtimes; idle
// runtimes count as farthest, least recently used first.
#include "support/rig.hpp"

namespace pinrail::test {
namespace {

constexpr std::uint64_t block_bytes = 256_KiB;

TEST(rule_09, a_cyclic_runtime_gives_up_the_block_it_used_last) {
  rig r{{.vram_budget = 6 * block_bytes, .high_watermark = 1}};
  auto a = r.add("a", 10, block_bytes);
  const stream s = r.device().create_stream();
  auto pass = a.handle.managed_forward(s, {.prefetch_blocks = 0});
  for (block_index b = 0; b < 7; ++b) r.check(pass.use(b), a, s);
  // Block 6 needed room after 0 .. 5 were used: 5 is the one that is needed last in the cycle.
  EXPECT_EQ(r.resident(a), (std::vector<block_index>{0, 1, 2, 3, 4, 6}));
  r.check(pass.use(7), a, s);
  EXPECT_EQ(r.resident(a), (std::vector<block_index>{0, 1, 2, 3, 4, 7}));
  s.synchronize();
}

TEST(rule_09, an_idle_runtime_goes_before_a_live_one_and_the_longest_idle_first) {
  rig r{{.vram_budget = 9 * block_bytes, .high_watermark = 1}};
  auto oldest = r.add("oldest", 3, block_bytes);
  auto newer = r.add("newer", 3, block_bytes);
  auto live = r.add("live", 10, block_bytes);
  r.run(newer);
  r.run(oldest);
  r.run(newer);  // now the oldest is the least recently used
  const stream s = r.device().create_stream();
  auto pass = live.handle.managed_forward(s, {.prefetch_blocks = 0});
  for (block_index b = 0; b < 5; ++b) r.check(pass.use(b), live, s);
  EXPECT_EQ(r.resident(oldest), (std::vector<block_index>{0})) << "two went, the ones a new pass reaches last";
  EXPECT_EQ(r.resident(newer).size(), 3u);
  for (block_index b = 5; b < 9; ++b) r.check(pass.use(b), live, s);
  EXPECT_EQ(r.resident(oldest).size() + r.resident(newer).size(), 0u);
  EXPECT_EQ(r.resident(live).size(), 9u);
  s.synchronize();
}

TEST(rule_09, of_equally_far_blocks_the_larger_goes) {
  rig r{{.vram_budget = 10 * block_bytes, .high_watermark = 1}};
  // One pass over sizes 1 and 2: at the cursor both sizes have a block just used; the larger one scores higher.
  auto mixed = r.add("mixed", {block_bytes, 2 * block_bytes, block_bytes, 2 * block_bytes, block_bytes, 2 * block_bytes,
                               block_bytes, block_bytes});
  const stream s = r.device().create_stream();
  auto pass = mixed.handle.managed_forward(s, {.prefetch_blocks = 0});
  for (block_index b = 0; b < 7; ++b) r.check(pass.use(b), mixed, s);  // exactly full
  EXPECT_EQ(mixed.handle.statistics().victims_total(), 0u);
  r.check(pass.use(7), mixed, s);
  EXPECT_FALSE(mixed.handle.is_resident(5)) << "block 6 is one use farther, but block 5 is twice as large";
  s.synchronize();
}

TEST(rule_09, the_slower_of_two_live_runtimes_gives) {
  rig r{{.vram_budget = 12 * block_bytes, .high_watermark = 1}};
  auto slow = r.add("slow", 6, block_bytes);
  auto fast = r.add("fast", 6, block_bytes);
  auto third = r.add("third", 4, block_bytes);
  const stream s = r.device().create_stream();
  auto slow_pass = slow.handle.managed_forward(s, {.prefetch_blocks = 0});
  auto fast_pass = fast.handle.managed_forward(s, {.prefetch_blocks = 0});
  for (block_index b = 0; b < 6; ++b) {
    r.check(slow_pass.use(b), slow, s);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  for (int i = 0; i < 200; ++i)
    for (block_index b = 0; b < 6; ++b) (void)fast_pass.use(b);
  s.synchronize();
  r.run(third, {0}, {.prefetch_blocks = 0});
  EXPECT_EQ(slow.handle.statistics().victims_total(), 1u);
  EXPECT_EQ(fast.handle.statistics().victims_total(), 0u);
}

TEST(rule_09, eight_live_passes_take_from_the_idle_runtime_and_not_from_each_other) {
  rig r{{.vram_budget = 24 * block_bytes, .high_watermark = 1}};
  auto idle = r.add("idle", 16, block_bytes);
  auto live = r.add("live", 20, block_bytes);
  r.run(idle);
  on_threads(8, [&](int) {
    for (int i = 0; i < 3; ++i) r.run(live);
  });
  EXPECT_EQ(live.handle.statistics().victims_total(), 0u) << "it fits where the idle one leaves";
  EXPECT_EQ(live.handle.statistics().loads, 20u);
  EXPECT_EQ(idle.handle.statistics().victims_total(), 12u) << "no more than had to";
}

}  // namespace
}  // namespace pinrail::test
