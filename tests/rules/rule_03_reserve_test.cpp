// Rule 3: one reservation per target; a second call replaces it in one step; defaults; refusals change nothing.
#include "support/rig.hpp"

namespace pinrail::test {
namespace {

constexpr std::uint64_t block_bytes = 256_KiB;

struct rule_03 : testing::Test {
  rig r{{.vram_budget = 16 * block_bytes, .guest_minimum_bytes = 2 * block_bytes}};
  named_runtime a = r.add("a", 6, block_bytes);
  named_runtime b = r.add("b", 6, block_bytes);
  named_runtime huge = r.add("huge", 40, block_bytes);
  [[nodiscard]] std::uint64_t reserved() { return r.sched().statistics().reserved_bytes; }
};

TEST_F(rule_03, the_default_is_the_footprint) {
  const auto handle = a.handle.reserve_for_resident();
  EXPECT_EQ(handle.share_bytes(), 6 * block_bytes);
  EXPECT_TRUE(handle.active());
  EXPECT_EQ(reserved(), 6 * block_bytes);
  EXPECT_EQ(a.handle.statistics().reservation, reservation_kind::primary);
}

TEST_F(rule_03, or_the_budget_less_the_largest_guest_minimum) {
  EXPECT_EQ(huge.handle.reserve_for_resident().share_bytes(), 14 * block_bytes);
}

TEST_F(rule_03, a_second_call_replaces_and_never_counts_twice) {
  const auto first = a.handle.reserve_for_resident({.bytes = 6 * block_bytes});
  const auto second =
      b.handle.reserve_for_resident(a.handle, {.priority = priority::secondary, .bytes = 12 * block_bytes});
  EXPECT_EQ(reserved(), 12 * block_bytes);
  EXPECT_FALSE(first.active());
  EXPECT_TRUE(second.active());
  EXPECT_EQ(a.handle.statistics().reservation, reservation_kind::secondary);
  const auto third = a.handle.reserve_for_resident({.bytes = 2 * block_bytes});
  EXPECT_EQ(reserved(), 2 * block_bytes);
}

TEST_F(rule_03, eight_threads_that_reserve_one_target_all_succeed) {
  // Each asks for more than half of the budget: counted twice, even for a moment, one would fail.
  for (int round = 0; round < 200; ++round) {
    on_threads(8, [&](int i) {
      const auto priority = i % 2 == 0 ? priority::primary : priority::secondary;
      EXPECT_EQ(a.handle.reserve_for_resident({.priority = priority, .bytes = 15 * block_bytes}).share_bytes(),
                15 * block_bytes);
    });
    ASSERT_EQ(reserved(), 15 * block_bytes);
  }
}

TEST_F(rule_03, what_cant_be_granted_names_shortfall_and_holders_and_changes_nothing) {
  const auto held = a.handle.reserve_for_resident({.bytes = 12 * block_bytes});
  const auto small = b.handle.reserve_for_resident({.bytes = 2 * block_bytes});
  const error e = caught([&] { (void)b.handle.reserve_for_resident({.bytes = 6 * block_bytes}); });
  EXPECT_EQ(e.code(), errc::insufficient_headroom);
  EXPECT_EQ(e.needed_bytes(), 6 * block_bytes);
  EXPECT_EQ(e.available_bytes(), 4 * block_bytes);
  EXPECT_NE(std::string(e.what()).find("a: reserved primary, 3.00 MiB"), std::string::npos) << e.what();
  EXPECT_TRUE(small.active());
  EXPECT_EQ(reserved(), 14 * block_bytes);
  EXPECT_EQ(b.handle.try_reserve_for_resident({.bytes = 6 * block_bytes}).code(), errc::insufficient_headroom);
}

TEST_F(rule_03, allow_partial_grants_what_is_free) {
  const auto held = a.handle.reserve_for_resident({.bytes = 12 * block_bytes});
  EXPECT_EQ(b.handle.reserve_for_resident({.bytes = 6 * block_bytes, .allow_partial = true}).share_bytes(),
            4 * block_bytes);
  EXPECT_EQ(huge.handle.try_reserve_for_resident({.allow_partial = true}).code(), errc::insufficient_headroom)
      << "nothing is free, not even for its largest block";
}

TEST_F(rule_03, more_than_the_budget_can_never_be_granted) {
  EXPECT_EQ(caught([&] { (void)huge.handle.reserve_for_resident({.bytes = 17 * block_bytes}); }).code(),
            errc::too_large);
  EXPECT_EQ(huge.handle.reserve_for_resident({.bytes = 17 * block_bytes, .allow_partial = true}).share_bytes(),
            16 * block_bytes);
}

TEST_F(rule_03, where_the_default_leaves_no_room_for_a_block_the_holders_are_named) {
  auto chunky = r.add("chunky", 8, 3 * block_bytes);
  const auto cache = r.sched().budget().reserve_bytes(14 * block_bytes, "kv cache");
  const error e = caught([&] { (void)chunky.handle.reserve_for_resident(); });
  EXPECT_EQ(e.code(), errc::insufficient_headroom);
  EXPECT_EQ(e.needed_bytes(), 3 * block_bytes);
  EXPECT_EQ(e.available_bytes(), 2 * block_bytes);
  EXPECT_NE(std::string(e.what()).find("kv cache"), std::string::npos) << e.what();
}

TEST_F(rule_03, numbers_near_two_to_the_64_are_reported_as_such) {
  const error e = caught([&] { (void)a.handle.reserve_for_resident({.bytes = UINT64_MAX}); });
  EXPECT_EQ(e.code(), errc::too_large);
  EXPECT_EQ(e.needed_bytes(), UINT64_MAX);
  const auto never = [](block_index, std::uint64_t, std::span<std::byte>) { return false; };
  const error f = caught([&] {
    (void)r.sched().add_runtime("vast", model_from_callback({{"block", UINT64_MAX, {}}}, never));
  });
  EXPECT_EQ(f.code(), errc::too_large);
  EXPECT_EQ(f.needed_bytes(), UINT64_MAX);
  EXPECT_EQ(a.handle.reserve_for_resident({.bytes = UINT64_MAX, .allow_partial = true}).share_bytes(),
            16 * block_bytes);
}

TEST_F(rule_03, less_than_the_largest_block_is_refused) {
  const error e = caught([&] { (void)a.handle.reserve_for_resident({.bytes = block_bytes - 1_KiB * 5}); });
  EXPECT_EQ(e.code(), errc::invalid_argument);
  EXPECT_NE(std::string(e.what()).find("262144"), std::string::npos) << e.what();
}

TEST_F(rule_03, a_runtime_that_holds_more_than_its_new_share_gives_it_up) {
  r.run(a);
  EXPECT_EQ(r.resident(a).size(), 6u);
  const auto handle = a.handle.reserve_for_resident({.bytes = 3 * block_bytes});
  EXPECT_LE(a.handle.statistics().resident_bytes, 3 * block_bytes);
}

}  // namespace
}  // namespace pinrail::test
