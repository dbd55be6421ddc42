// Rule 6: release_reservation is idempotent; a stale handle is a no-op.
#include "support/rig.hpp"

namespace pinrail::test {
namespace {

constexpr std::uint64_t block_bytes = 256_KiB;

struct rule_06 : testing::Test {
  rig r{{.vram_budget = 16 * block_bytes}};
  named_runtime a = r.add("a", 6, block_bytes);
  named_runtime b = r.add("b", 6, block_bytes);
  [[nodiscard]] std::uint64_t reserved() { return r.sched().statistics().reserved_bytes; }
};

TEST_F(rule_06, releasing_twice_is_releasing_once) {
  EXPECT_FALSE(a.handle.release_reservation()) << "there is none yet";
  auto handle = a.handle.reserve_for_resident();
  EXPECT_TRUE(a.handle.release_reservation());
  EXPECT_FALSE(a.handle.release_reservation());
  EXPECT_FALSE(handle.release());
  EXPECT_EQ(reserved(), 0u);
  EXPECT_EQ(a.handle.statistics().reservation, reservation_kind::none);
}

TEST_F(rule_06, a_stale_handle_releases_nothing) {
  auto first = a.handle.reserve_for_resident();
  auto second = a.handle.reserve_for_resident({.bytes = 4 * block_bytes});
  EXPECT_FALSE(first.release());
  EXPECT_EQ(reserved(), 4 * block_bytes);
  EXPECT_TRUE(second.active());
  EXPECT_TRUE(second.release());
  EXPECT_FALSE(second.release());
  EXPECT_EQ(reserved(), 0u);
}

TEST_F(rule_06, a_handle_that_ends_releases_nothing) {
  { auto handle = a.handle.reserve_for_resident(); }
  EXPECT_EQ(reserved(), 6 * block_bytes) << "a reservation outlives its handle";
  a.handle.release_reservation();
}

TEST_F(rule_06, of_eight_threads_with_one_handle_exactly_one_releases) {
  for (int round = 0; round < 200; ++round) {
    const auto handle = a.handle.reserve_for_resident();
    core::atomic<int> released{0};
    on_threads(8, [&](int) {
      auto copy = handle;
      released.fetch_add(copy.release(), core::order::relaxed);
    });
    ASSERT_EQ(released.load(core::order::relaxed), 1);
    ASSERT_EQ(reserved(), 0u);
  }
}

TEST_F(rule_06, the_handle_of_a_removed_runtime_releases_nothing_of_the_one_that_came_in_its_place) {
  rig one{{.vram_budget = 16 * block_bytes, .max_runtimes = 1}};
  const runtime removed = one.add("removed", 4, block_bytes).handle;
  one.sched().remove_runtime(removed);
  auto next = one.add("next", 4, block_bytes);
  const auto handle = next.handle.reserve_for_resident();
  const auto guard = next.handle.keep_resident();
  EXPECT_FALSE(removed.release_reservation());
  EXPECT_TRUE(handle.active());
  EXPECT_EQ(removed.statistics().share_bytes, 0u);
  EXPECT_EQ(removed.statistics().guards, 0u);
}

TEST_F(rule_06, reservations_of_others_stay) {
  auto mine = a.handle.reserve_for_resident();
  auto theirs = b.handle.reserve_for_resident();
  EXPECT_TRUE(b.handle.release_reservation(a.handle)) << "any runtime of the scheduler may release a target";
  EXPECT_TRUE(theirs.active());
  EXPECT_EQ(reserved(), 6 * block_bytes);
}

}  // namespace
}  // namespace pinrail::test
