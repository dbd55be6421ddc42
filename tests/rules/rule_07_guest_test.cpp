// Rule 7: a guest is admitted against headroom in one step, is granted min(footprint, headroom), never displaces
// primary or kept blocks, and its blocks leave at the end, reusable by stream order.
#include "support/rig.hpp"

namespace pinrail::test {
namespace {

constexpr std::uint64_t block_bytes = 256_KiB;

struct rule_07 : testing::Test {
  rig r{{.vram_budget = 12 * block_bytes, .high_watermark = 1}};
  named_runtime host = r.add("host", 6, block_bytes);
  named_runtime guest = r.add("guest", 8, block_bytes);
};

TEST_F(rule_07, is_granted_its_footprint_or_the_headroom) {
  EXPECT_EQ(host.handle.as_guest(guest.handle).share_bytes(), 8 * block_bytes);
  const auto reserved = host.handle.reserve_for_resident({.bytes = 7 * block_bytes});
  auto scope = host.handle.as_guest(guest.handle);
  EXPECT_EQ(scope.share_bytes(), 5 * block_bytes);
  EXPECT_EQ(r.sched().budget().headroom_bytes(), 0u);
  r.run(guest);
  EXPECT_LE(guest.handle.statistics().peak_resident_bytes, 5 * block_bytes);
}

TEST_F(rule_07, without_its_minimum_it_is_refused_with_both_numbers) {
  const auto reserved = host.handle.reserve_for_resident({.bytes = 11 * block_bytes});
  const error e = caught([&] { (void)host.handle.as_guest(guest.handle); });
  EXPECT_EQ(e.code(), errc::insufficient_headroom);
  EXPECT_EQ(e.needed_bytes(), 2 * block_bytes) << "its largest block and one to prefetch into";
  EXPECT_EQ(e.available_bytes(), block_bytes);
  EXPECT_EQ(r.sched().budget().headroom_bytes(), block_bytes) << "nothing changed";
  auto huge = r.add("huge", {8 * block_bytes, 7 * block_bytes});
  EXPECT_EQ(caught([&] { (void)huge.handle.as_guest(); }).code(), errc::too_large);
}

TEST_F(rule_07, the_sum_of_shares_never_exceeds_the_budget) {
  auto second = r.add("second", 8, block_bytes);
  auto a = host.handle.as_guest(guest.handle);
  auto b = host.handle.as_guest(second.handle);
  EXPECT_EQ(a.share_bytes() + b.share_bytes(), 12 * block_bytes);
  EXPECT_EQ(host.handle.try_reserve_for_resident().code(), errc::insufficient_headroom);
  b.end();
  EXPECT_EQ(r.sched().budget().headroom_bytes(), 4 * block_bytes);
}

TEST_F(rule_07, never_displaces_primary_or_kept_blocks) {
  auto kept = r.add("kept", 3, block_bytes);
  const auto reserved = host.handle.reserve_for_resident();
  r.run(host);
  r.run(kept);
  auto guard = kept.handle.keep_resident();
  auto scope = host.handle.as_guest(guest.handle);
  r.run(guest);
  r.run(guest);
  EXPECT_EQ(r.resident(host).size(), 6u);
  EXPECT_EQ(r.resident(kept).size(), 3u);
}

TEST_F(rule_07, displaces_others) {
  r.run(host);
  auto more = r.add("more", 6, block_bytes);
  r.run(more);
  auto scope = host.handle.as_guest(guest.handle);
  r.run(guest);
  EXPECT_GE(host.handle.statistics().victims_total() + more.handle.statistics().victims_total(), 6u);
}

TEST_F(rule_07, its_blocks_leave_on_exit) {
  {
    auto scope = host.handle.as_guest(guest.handle);
    r.run(guest);
    EXPECT_EQ(r.resident(guest).size(), 8u);
  }
  EXPECT_EQ(guest.handle.statistics().resident_bytes, 0u);
  EXPECT_TRUE(eventually([&] { return r.sched().statistics().used_bytes == 0; }))
      << "the copies' words come a bit later";
  EXPECT_EQ(guest.handle.statistics().victims[static_cast<std::size_t>(eviction_cause::guest_exit)], 8u);
}

TEST_F(rule_07, memory_is_reusable_by_stream_order_while_its_kernels_still_run) {
  const stream s = r.device().create_stream();
  gate held;
  {
    auto scope = host.handle.as_guest(guest.handle);
    auto pass = guest.handle.managed_forward(s, {.wraps = false});
    held.hold(s);  // everything after this kernel waits for the test
    for (block_index b : guest.handle.blocks()) r.check(pass.use(b), guest, s);
  }
  // The kernels have not run, and the exit did not wait for them. Their memory counts as used (rule 10) ...
  EXPECT_EQ(guest.handle.statistics().resident_bytes, 0u);
  EXPECT_EQ(r.sched().statistics().used_bytes, 8 * block_bytes);
  // ... and can be loaded into at once: the copies wait for the kernels, on the device.
  const stream t = r.device().create_stream();
  auto big = r.add("big", 12, block_bytes);
  {
    auto pass = big.handle.managed_forward(t, {.wraps = false});
    for (block_index b : big.handle.blocks()) {
      r.check(pass.use(b), big, t);
      if (b == 5) held.open();
    }
  }
  t.synchronize();
  s.synchronize();
}

TEST_F(rule_07, memory_that_drains_is_reusable_also_where_other_memory_is_free_and_the_budget_is_not) {
  auto first = r.add("first", 1, block_bytes);
  auto next = r.add("next", 1, 8 * block_bytes);
  r.run(first);  // at the lowest address
  const stream s = r.device().create_stream();
  gate held;
  {
    auto scope = host.handle.as_guest(guest.handle);
    auto pass = guest.handle.managed_forward(s, {.wraps = false});
    held.hold(s);
    for (block_index b : guest.handle.blocks()) r.check(pass.use(b), guest, s);
  }
  r.sched().remove_runtime(first.handle);
  auto bytes = r.sched().budget().reserve_bytes(4 * block_bytes, "workspace");  // counted only: four blocks are free
  const stream t = r.device().create_stream();
  {
    auto pass = next.handle.managed_forward(t, {.prefetch_blocks = 0, .load_deadline = std::chrono::milliseconds(500)});
    r.check(pass.use(0), next, t);
  }
  held.open();
  t.synchronize();
  s.synchronize();
}

TEST_F(rule_07, scopes_of_one_guest_nest_and_the_last_one_ends_it) {
  auto outer = host.handle.as_guest(guest.handle);
  std::vector<guest_guard> scopes(8);
  on_threads(8, [&](int i) { scopes[static_cast<std::size_t>(i)] = host.handle.as_guest(guest.handle); });
  EXPECT_EQ(r.sched().statistics().reserved_bytes, 8 * block_bytes) << "all share one grant";
  r.run(guest);
  outer.end();
  on_threads(7, [&](int i) { scopes[static_cast<std::size_t>(i)].end(); });
  EXPECT_EQ(r.resident(guest).size(), 8u) << "one scope is left";
  scopes[7].end();
  EXPECT_EQ(guest.handle.statistics().resident_bytes, 0u);
  EXPECT_EQ(r.sched().statistics().reserved_bytes, 0u);
}

TEST_F(rule_07, guests_come_and_go_on_eight_threads) {
  const auto reserved = host.handle.reserve_for_resident();
  auto second = r.add("second", 5, block_bytes);
  on_threads(8, [&](int i) {
    const named_runtime& mine = i % 2 == 0 ? guest : second;
    for (int round = 0; round < 10; ++round) {
      auto scope = host.handle.try_as_guest(mine.handle);
      if (!scope) {
        EXPECT_EQ(scope.code(), errc::insufficient_headroom);
        continue;
      }
      r.run(mine);
      r.run(host);
    }
  });
  EXPECT_EQ(r.sched().statistics().reserved_bytes, 6 * block_bytes);
  EXPECT_TRUE(eventually(
      [&] { return guest.handle.statistics().resident_bytes == 0 && second.handle.statistics().resident_bytes == 0; }));
}

TEST_F(rule_07, a_reserved_runtime_is_no_guest_and_a_guest_is_not_reserved) {
  auto handle = guest.handle.reserve_for_resident();
  EXPECT_EQ(caught([&] { (void)host.handle.as_guest(guest.handle); }).code(), errc::conflict);
  handle.release();
  auto scope = host.handle.as_guest(guest.handle);
  EXPECT_EQ(caught([&] { (void)guest.handle.reserve_for_resident(); }).code(), errc::conflict);
}

}  // namespace
}  // namespace pinrail::test
