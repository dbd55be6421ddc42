// Rule 12: when nothing can be evicted, a demand load waits up to a deadline, then fails with the list of blockers.
// What can never fit fails at once.
#include <algorithm>

#include "support/rig.hpp"

namespace pinrail::test {
namespace {

constexpr std::uint64_t block_bytes = 256_KiB;

struct rule_12 : testing::Test {
  rig r{{.vram_budget = 6 * block_bytes, .high_watermark = 1, .load_deadline = std::chrono::milliseconds(100)}};
  named_runtime kept = r.add("kept", 3, block_bytes);
  named_runtime held = r.add("held", 3, block_bytes);
  named_runtime late = r.add("late", 2, block_bytes);
  stream s = r.device().create_stream();
};

TEST_F(rule_12, everything_protected_and_a_load_demanded) {
  r.run(kept);
  r.run(held);
  auto guard = kept.handle.keep_resident();
  auto blocks = held.handle.protect_blocks({0});
  auto reserved = held.handle.reserve_for_resident();
  auto pass = held.handle.managed_forward(s, {.prefetch_blocks = 0});
  auto use1 = pass.use(1);
  auto passing = late.handle.managed_forward(s, {.prefetch_blocks = 0});
  const error e = caught([&] { (void)passing.use(0); });
  EXPECT_EQ(e.code(), errc::no_victim);
  EXPECT_EQ(e.needed_bytes(), block_bytes);
  ASSERT_EQ(e.blockers().size(), 2u) << e.what();
  for (const blocker& b : e.blockers()) {
    EXPECT_EQ(b.bytes, 3 * block_bytes);
    EXPECT_EQ(b.why, b.name == "kept" ? blocker::reason::kept : blocker::reason::primary) << b.name;
  }
  EXPECT_NE(std::string(e.what()).find("kept: kept resident, 768.00 KiB"), std::string::npos) << e.what();
  EXPECT_EQ(passing.try_use(0).code(), errc::no_victim);
  EXPECT_EQ(r.sched().blockers().size(), 2u);
  EXPECT_EQ(late.handle.statistics().resident_bytes, 0u);
}

TEST_F(rule_12, blockers_of_several_kinds_are_told_apart) {
  r.run(kept);
  r.run(held);
  auto first = kept.handle.protect_blocks({0, 1});
  auto pass = held.handle.managed_forward(s, {.prefetch_blocks = 2});
  auto use2 = pass.use(2);  // pinned; 0 and 1 are in the near window of the next round
  auto bytes = r.sched().budget().reserve_bytes(block_bytes, "workspace");  // takes kept's block 2
  auto passing = late.handle.managed_forward(s, {.prefetch_blocks = 0});
  const error e = caught([&] { (void)passing.use(0); });
  ASSERT_EQ(e.code(), errc::no_victim);
  const auto bytes_of = [&](blocker::reason why) {
    std::uint64_t sum = 0;
    for (const blocker& b : e.blockers()) sum += b.why == why ? b.bytes : 0;
    return sum;
  };
  EXPECT_EQ(bytes_of(blocker::reason::protected_blocks), 2 * block_bytes) << e.what();
  EXPECT_EQ(bytes_of(blocker::reason::pinned), block_bytes);
  EXPECT_EQ(bytes_of(blocker::reason::near_window), 2 * block_bytes);
  EXPECT_EQ(bytes_of(blocker::reason::bytes_reserved), block_bytes);
}

TEST_F(rule_12, it_succeeds_when_a_guard_ends_in_time) {
  r.run(kept);
  r.run(held);
  auto a = kept.handle.keep_resident();
  auto b = held.handle.keep_resident();
  std::thread ender([guard = std::move(a)]() mutable {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    guard.end();
  });
  r.run(late, {0}, {.prefetch_blocks = 0, .load_deadline = std::chrono::seconds(20)});
  ender.join();
  EXPECT_GE(late.handle.statistics().stall_ns, 1'000'000u);
}

TEST_F(rule_12, who_waits_for_anothers_load_has_a_deadline_of_its_own) {
  r.run(kept);
  r.run(held);
  auto a = kept.handle.keep_resident();
  auto b = held.handle.keep_resident();
  errc hasty = errc::none;
  errc patient = errc::none;
  const auto try_use = [&](std::chrono::milliseconds deadline, errc& outcome) {
    const stream mine = r.device().create_stream();
    auto pass = late.handle.managed_forward(mine, {.prefetch_blocks = 0, .load_deadline = deadline});
    outcome = pass.try_use(0).code();
  };
  std::thread first([&] { try_use(std::chrono::milliseconds(300), hasty); });
  EXPECT_TRUE(eventually([&] {  // until the first has won the block, for which it finds no room
    const auto all = r.sched().blockers();
    return std::any_of(all.begin(), all.end(), [](const blocker& x) { return x.why == blocker::reason::loading; });
  }));
  std::thread second([&] { try_use(std::chrono::seconds(20), patient); });
  first.join();
  a.end();
  second.join();
  EXPECT_EQ(hasty, errc::no_victim);
  EXPECT_EQ(patient, errc::none);
}

TEST_F(rule_12, what_can_never_fit_fails_at_once) {
  EXPECT_EQ(caught([&] { (void)r.add("huge", 1, 7 * block_bytes); }).code(), errc::too_large);
  auto large = r.add("large", 1, 5 * block_bytes);
  r.sched().set_vram_budget(4 * block_bytes);
  auto pass = large.handle.managed_forward(s, {.prefetch_blocks = 0, .load_deadline = std::chrono::hours(1)});
  const error e = caught([&] { (void)pass.use(0); });
  EXPECT_EQ(e.code(), errc::too_large);
  EXPECT_EQ(e.needed_bytes(), 5 * block_bytes);
  EXPECT_EQ(e.available_bytes(), 4 * block_bytes);
}

TEST_F(rule_12, nothing_is_evicted_for_a_prefetch_that_can_never_fit) {
  auto large = r.add("large", {block_bytes, 5 * block_bytes});
  r.sched().set_vram_budget(4 * block_bytes);
  r.run(kept);
  auto pass = large.handle.managed_forward(s, {.order = {1, 0}, .prefetch_blocks = 1});
  EXPECT_EQ(r.resident(kept).size(), 3u);
}

TEST_F(rule_12, passes_that_wait_for_each_other_dont_deadlock) {
  // Eight passes over a share of three blocks: their near windows alone want three times what there is.
  auto wide = r.add("wide", 9, block_bytes);
  const auto reserved = wide.handle.reserve_for_resident({.bytes = 3 * block_bytes});
  on_threads(8, [&](int t) {
    const stream mine = r.device().create_stream();
    auto pass = wide.handle.managed_forward(mine, {.prefetch_blocks = 3, .load_deadline = std::chrono::seconds(60)});
    for (int i = 0; i < 40; ++i) {
      const auto b = static_cast<block_index>((i + t) % 9);
      r.check(pass.use(b), wide, mine);
    }
    mine.synchronize();
  });
}

}  // namespace
}  // namespace pinrail::test
