// Rule 4: no other runtime evicts blocks of a primary reservation; a target larger than its share streams through it
// by recycling its own blocks.
#include "support/rig.hpp"

namespace pinrail::test {
namespace {

constexpr std::uint64_t block_bytes = 256_KiB;

struct rule_04 : testing::Test {
  rig r{{.vram_budget = 12 * block_bytes, .high_watermark = 1}};
  named_runtime primary = r.add("primary", 24, block_bytes);
  named_runtime other = r.add("other", 16, block_bytes);
};

TEST_F(rule_04, no_other_runtime_evicts_its_blocks) {
  auto small = r.add("small", 6, block_bytes);
  const auto handle = small.handle.reserve_for_resident();
  r.run(small);
  for (int i = 0; i < 3; ++i) r.run(other);
  EXPECT_EQ(r.resident(small).size(), 6u);
  EXPECT_EQ(small.handle.statistics().victims_total(), 0u);
  EXPECT_LE(other.handle.statistics().peak_resident_bytes, 6 * block_bytes);
}

TEST_F(rule_04, larger_than_its_share_it_recycles_its_own_blocks) {
  const auto handle = primary.handle.reserve_for_resident({.bytes = 8 * block_bytes});
  r.run(other, {0, 1, 2, 3});
  for (int i = 0; i < 3; ++i) r.run(primary);
  const auto s = primary.handle.statistics();
  EXPECT_LE(s.peak_resident_bytes, 8 * block_bytes) << "it stays within its share";
  EXPECT_EQ(s.victims[static_cast<std::size_t>(eviction_cause::share)] +
                s.victims[static_cast<std::size_t>(eviction_cause::prefetch)],
            s.victims_total());
  EXPECT_EQ(r.resident(other).size(), 4u) << "the others' blocks were not needed";
}

TEST_F(rule_04, four_threads_stream_through_one_share) {
  const auto handle = primary.handle.reserve_for_resident({.bytes = 6 * block_bytes});
  on_threads(4, [&](int) {
    for (int i = 0; i < 3; ++i) r.run(primary);
  });
  EXPECT_LE(primary.handle.statistics().peak_resident_bytes, 6 * block_bytes);
}

TEST_F(rule_04, a_block_larger_than_the_share_fails_at_once) {
  auto mixed = r.add("mixed", {block_bytes, block_bytes, 2 * block_bytes});
  auto handle = mixed.handle.reserve_for_resident({.bytes = 2 * block_bytes});
  r.run(mixed);
  EXPECT_EQ(caught([&] { (void)mixed.handle.reserve_for_resident({.bytes = block_bytes}); }).code(),
            errc::invalid_argument);
}

TEST_F(rule_04, eight_threads_hammer_the_others_and_take_nothing_of_it) {
  auto small = r.add("small", 5, block_bytes);
  const auto fits = small.handle.reserve_for_resident();
  const auto streams = primary.handle.reserve_for_resident({.bytes = 4 * block_bytes});
  r.run(small);
  on_threads(8, [&](int t) {
    for (int i = 0; i < 3; ++i) r.run(t % 4 == 0 ? primary : t % 4 == 1 ? small : other);
  });
  EXPECT_EQ(r.resident(small).size(), 5u);
  EXPECT_EQ(small.handle.statistics().victims_total(), 0u);
  EXPECT_EQ(small.handle.statistics().loads, 5u);
  EXPECT_LE(primary.handle.statistics().peak_resident_bytes, 4 * block_bytes);
}

TEST_F(rule_04, what_it_holds_beyond_a_new_share_leaves_when_it_can_so_that_others_get_theirs) {
  auto first = r.add("first", 12, block_bytes);
  auto second = r.add("second", 6, block_bytes);
  const stream s = r.device().create_stream();
  {
    auto pass = first.handle.managed_forward(s, {.prefetch_blocks = 0, .wraps = false});
    std::vector<use> all;
    for (const block_index b : first.handle.blocks()) all.push_back(pass.use(b));
    (void)first.handle.reserve_for_resident({.bytes = 6 * block_bytes});  // twice that much is in use
  }
  const auto theirs = second.handle.reserve_for_resident();
  // Until it has left, a use of the second may make room with a block of its own.
  EXPECT_TRUE(eventually([&] { return first.handle.statistics().resident_bytes <= 6 * block_bytes; }));
  r.run(second);
  EXPECT_EQ(r.resident(second).size(), 6u);
}

}  // namespace
}  // namespace pinrail::test
