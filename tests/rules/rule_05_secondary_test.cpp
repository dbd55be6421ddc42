// Rule 5: blocks of a secondary reservation are victims only for a demand load that found no other victim anywhere,
// never for a prefetch; each is counted and logged.
#include "support/rig.hpp"

namespace pinrail::test {
namespace {

constexpr std::uint64_t block_bytes = 256_KiB;

struct rule_05 : testing::Test {
  rig r{{.vram_budget = 8 * block_bytes, .high_watermark = 1, .load_deadline = std::chrono::milliseconds(200)}};
  named_runtime secondary = r.add("secondary", 6, block_bytes);
  named_runtime other = r.add("other", 8, block_bytes);
};

TEST_F(rule_05, while_there_is_another_victim_it_is_spared) {
  const auto handle = secondary.handle.reserve_for_resident({.priority = priority::secondary});
  r.run(secondary);
  for (int i = 0; i < 3; ++i) r.run(other);
  EXPECT_EQ(r.resident(secondary).size(), 6u);
  EXPECT_EQ(secondary.handle.statistics().secondary_evictions, 0u);
}

TEST_F(rule_05, a_demand_load_that_found_nothing_else_takes_it_counted_and_logged) {
  const auto handle = secondary.handle.reserve_for_resident({.priority = priority::secondary});
  r.run(secondary);
  auto guard = other.handle.keep_resident();
  r.run(other, {0, 1, 2}, {.prefetch_blocks = 0, .wraps = false});
  const auto s = secondary.handle.statistics();
  EXPECT_EQ(s.secondary_evictions, 1u);
  EXPECT_EQ(s.victims_total(), 1u);
  EXPECT_TRUE(r.logged("reserved secondary"));
}

TEST_F(rule_05, a_prefetch_never_does) {
  const auto handle = secondary.handle.reserve_for_resident({.priority = priority::secondary});
  r.run(secondary);
  auto guard = other.handle.keep_resident();
  r.run(other, {0, 1}, {.prefetch_blocks = 4, .wraps = false});
  EXPECT_EQ(secondary.handle.statistics().secondary_evictions, 0u);
  EXPECT_EQ(r.resident(secondary).size(), 6u);
}

TEST_F(rule_05, a_guest_never_does) {
  const auto handle = secondary.handle.reserve_for_resident({.priority = priority::secondary});
  r.run(secondary);
  auto guest = r.add("guest", 3, block_bytes);
  auto scope = other.handle.as_guest(guest.handle);
  r.run(guest);
  EXPECT_EQ(secondary.handle.statistics().secondary_evictions, 0u);
}

TEST_F(rule_05, primary_is_not_taken_even_then) {
  const auto handle = secondary.handle.reserve_for_resident({.priority = priority::primary});
  r.run(secondary);
  auto guard = other.handle.keep_resident();
  const error e = caught([&] { r.run(other, {0, 1, 2}, {.prefetch_blocks = 0, .wraps = false}); });
  EXPECT_EQ(e.code(), errc::no_victim);
  EXPECT_EQ(r.resident(secondary).size(), 6u);
}

TEST_F(rule_05, eight_threads_with_other_victims_spare_it) {
  const auto handle =
      secondary.handle.reserve_for_resident({.priority = priority::secondary, .bytes = 6 * block_bytes});
  r.run(secondary);
  auto more = r.add("more", 8, block_bytes);
  on_threads(8, [&](int t) {
    for (int i = 0; i < 5; ++i) {
      try {
        r.run(t % 2 == 0 ? other : more, {static_cast<block_index>(t)}, {.wraps = false});
      } catch (const error& e) {  // eight that pin in two blocks' room: one may find nothing but the reserved ones
        EXPECT_EQ(e.code(), errc::no_victim);
      }
    }
  });
  // Whatever was taken was taken as a last resort, and counted so.
  const auto s = secondary.handle.statistics();
  EXPECT_EQ(s.secondary_evictions, s.victims_total());
  EXPECT_EQ(s.victims[static_cast<std::size_t>(eviction_cause::prefetch)], 0u);
}

}  // namespace
}  // namespace pinrail::test
