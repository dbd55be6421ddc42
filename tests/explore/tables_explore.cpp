// Candidate bits, reservation table, budget word, page map, reader gate.
#include "explore/explore.hpp"

#include "core/block_word.hpp"
#include "core/bitset.hpp"
#include "core/budget.hpp"
#include "core/page_map.hpp"
#include "core/reader_gate.hpp"
#include "core/reservation_table.hpp"

namespace pinrail::explore {
namespace {

using core::holder;
using core::verdict;

/// Bits for 128 positions: two levels. As runtime_blocks::offer and withdraw.
template <class Suite, unsigned threads>
struct bit_suite : rl::test_suite<Suite, threads> {
  core::block_word<A> word;
  core::bitset<A> bits{128};
  void load(std::uint32_t position) {
    if (!word.begin_load()) return;
    word.publish();
    bits.set(position);
  }
  void withdraw(std::uint32_t position) {
    bits.clear(position);
    if (word.load().candidate()) bits.set(position);
  }
};

struct no_candidate_is_lost : bit_suite<no_candidate_is_lost, 2> {
  void before() { bits.set(70); }  // stale: its block is absent
  void thread(unsigned i) {
    if (i == 0) {
      withdraw(70);
    } else {
      load(70);
    }
  }
  void after() { RL_ASSERT(bits.next(0, 128) == 70); }
};
PINRAIL_EXPLORE(no_candidate_is_lost, "a block that becomes a candidate while its bit is cleared is found");

struct neighbours_under_one_summary : rl::test_suite<neighbours_under_one_summary, 3> {
  core::bitset<A> bits{128};
  void before() { bits.set(70); }
  void thread(unsigned i) {
    if (i == 0) bits.clear(70);
    if (i == 1) bits.set(71);
    if (i == 2) bits.set(72);
  }
  void after() {
    RL_ASSERT(bits.next(0, 128) == 71);
    RL_ASSERT(bits.previous(128, 0) == 72);
    RL_ASSERT(!bits.test(70));
  }
};
PINRAIL_EXPLORE_BOUNDED(neighbours_under_one_summary, 3, "clearing one bit hides no other under the same summary");

struct a_set_is_found_at_once : rl::test_suite<a_set_is_found_at_once, 2> {
  core::bitset<A> bits{128};
  void thread(unsigned i) {
    bits.set(70 + i);
    RL_ASSERT(bits.next(70 + i, 128) <= 71);  // whatever the other thread was stopped at
  }
};
PINRAIL_EXPLORE(a_set_is_found_at_once, "a set that has returned is found, even if an earlier setter was stopped");

struct summaries_on_two_levels : rl::test_suite<summaries_on_two_levels, 2> {
  core::bitset<A> bits{64 * 64 + 64};  // three levels
  void before() { bits.set(5); }
  void thread(unsigned i) {
    if (i == 0) bits.clear(5);
    if (i == 1) bits.set(70);  // another leaf under the same upper word
  }
  void after() { RL_ASSERT(bits.next(0, 4160) == 70); }
};
PINRAIL_EXPLORE(summaries_on_two_levels, "nor on the levels above");

struct the_same_target_twice : rl::test_suite<the_same_target_twice, 2> {
  core::reservation_table<A> table{3, 100};
  void thread(unsigned i) {
    // Each asks for more than half: counted twice, even for a moment, one would fail.
    const auto r = table.reserve(1, i == 0 ? holder::primary : holder::secondary, 60 + i, 60 + i);
    RL_ASSERT(r.what == verdict::granted);
  }
  void after() {
    const auto now = table.read(1);
    RL_ASSERT(now.epoch == 2);
    RL_ASSERT(table.granted_pages() == now.share_pages);
    RL_ASSERT(table.rules(1).load().primary() == (now.kind == holder::primary));
    RL_ASSERT(table.rules(1).load().secondary() == (now.kind == holder::secondary));
    RL_ASSERT(table.rules(1).load().epoch() == 2);
  }
};
PINRAIL_EXPLORE_BOUNDED(the_same_target_twice, 3, "replacing a reservation never counts it twice");

struct two_targets_and_room_for_one : rl::test_suite<two_targets_and_room_for_one, 2> {
  core::reservation_table<A> table{3, 100};
  rl::atomic<int> granted;
  void before() { granted.store(0, rl::mo_relaxed, $); }
  void thread(unsigned i) {
    const auto r = table.reserve(1 + i, holder::primary, 60, 60);
    if (r.what == verdict::granted) {
      granted.fetch_add(1, rl::mo_relaxed, $);
    } else {
      RL_ASSERT(r.what == verdict::shortage);
      RL_ASSERT(r.free_pages == 40);
    }
  }
  void after() {
    RL_ASSERT(granted.load(rl::mo_relaxed, $) == 1);
    RL_ASSERT(table.granted_pages() == 60);
  }
};
PINRAIL_EXPLORE_BOUNDED(two_targets_and_room_for_one, 3, "shares never exceed the capacity, and one of two is granted");

struct a_handle_is_spent_once : rl::test_suite<a_handle_is_spent_once, 2> {
  core::reservation_table<A> table{3, 100};
  rl::atomic<int> released;
  void before() {
    released.store(0, rl::mo_relaxed, $);
    (void)table.reserve(1, holder::primary, 60, 60);
  }
  void thread(unsigned) {
    if (table.release(1, 1).what == verdict::granted) released.fetch_add(1, rl::mo_relaxed, $);
  }
  void after() {
    RL_ASSERT(released.load(rl::mo_relaxed, $) == 1);
    RL_ASSERT(table.granted_pages() == 0);
    RL_ASSERT(!table.rules(1).load().primary());
  }
};
PINRAIL_EXPLORE_BOUNDED(a_handle_is_spent_once, 3, "of two releases by one handle one counts");

struct a_stale_handle_against_a_new_one : rl::test_suite<a_stale_handle_against_a_new_one, 2> {
  core::reservation_table<A> table{3, 100};
  void before() { (void)table.reserve(1, holder::primary, 60, 60); }
  void thread(unsigned i) {
    if (i == 0) {
      (void)table.release(1, 1);
    } else {
      RL_ASSERT(table.reserve(1, holder::secondary, 80, 80).what == verdict::granted);
    }
  }
  void after() {
    RL_ASSERT(table.granted_pages() == 80);
    RL_ASSERT(table.read(1).kind == holder::secondary);
    RL_ASSERT(table.rules(1).load().secondary());
  }
};
PINRAIL_EXPLORE_BOUNDED(a_stale_handle_against_a_new_one, 3, "releasing by a stale handle leaves the new reservation");

struct a_guard_while_rules_follow : rl::test_suite<a_guard_while_rules_follow, 2> {
  core::reservation_table<A> table{2, 100};
  void thread(unsigned i) {
    if (i == 0) {
      (void)table.reserve(1, holder::primary, 10, 10);
    } else {
      RL_ASSERT(table.rules(1).guard());
      RL_ASSERT(table.rules(1).load().guards() == 1);
      table.rules(1).unguard();
    }
  }
  void after() {
    RL_ASSERT(table.rules(1).load().guards() == 0);
    RL_ASSERT(table.rules(1).load().primary());
  }
};
PINRAIL_EXPLORE(a_guard_while_rules_follow, "guards are not lost when the runtime word follows a reservation");

struct guests_share_one_grant : rl::test_suite<guests_share_one_grant, 2> {
  core::reservation_table<A> table{2, 100};
  void before() { RL_ASSERT(table.enter_guest(1, 60, 60).what == verdict::granted); }
  void thread(unsigned i) {
    if (i == 0) (void)table.leave_guest(1);
    if (i == 1) RL_ASSERT(table.enter_guest(1, 60, 60).what == verdict::granted);
  }
  void after() {
    RL_ASSERT(table.granted_pages() == 60);
    RL_ASSERT(table.read(1).guests == 1);
  }
};
PINRAIL_EXPLORE_BOUNDED(guests_share_one_grant, 3, "guest scopes of one runtime share a grant until the last one ends");

struct budget_is_never_exceeded : rl::test_suite<budget_is_never_exceeded, 3> {
  core::budget_word<A> budget{10, 0};
  rl::atomic<int> had;
  void before() { had.store(0, rl::mo_relaxed, $); }
  void thread(unsigned) {
    if (!budget.take(6)) return;
    RL_ASSERT(had.fetch_add(1, rl::mo_relaxed, $) == 0);
    had.fetch_sub(1, rl::mo_relaxed, $);
    budget.give(6);
  }
  void after() {
    RL_ASSERT(budget.load().sum() == 0);
    RL_ASSERT(budget.peak() == 6);
  }
};
PINRAIL_EXPLORE_BOUNDED(budget_is_never_exceeded, 3, "pages in use never exceed the capacity");

struct runs_dont_overlap : rl::test_suite<runs_dont_overlap, 2> {
  core::page_map<A> map{128};
  rl::var<int> page64;
  void thread(unsigned i) {
    const core::page_run run = i == 0 ? core::page_run{60, 8} : core::page_run{64, 8};  // both hold page 64
    if (!map.take(run)) return;
    page64($) = static_cast<int>(i);
    map.give(run);
  }
  void after() {
    RL_ASSERT(map.free_run(0).count == 128);
  }
};
PINRAIL_EXPLORE(runs_dont_overlap, "a page belongs to one run, and its fields pass with it");

struct of_colliding_takes_one_succeeds : rl::test_suite<of_colliding_takes_one_succeeds, 2> {
  core::page_map<A> map{128};
  rl::atomic<int> taken;
  void before() { taken.store(0, rl::mo_relaxed, $); }
  void thread(unsigned i) {
    if (map.take(i == 0 ? core::page_run{60, 8} : core::page_run{62, 8})) taken.fetch_add(1, rl::mo_relaxed, $);
  }
  void after() {
    RL_ASSERT(taken.load(rl::mo_relaxed, $) == 1);
    RL_ASSERT(map.free_run(0).count == 60 || map.free_run(0).count == 62);
  }
};
PINRAIL_EXPLORE(of_colliding_takes_one_succeeds, "colliding takes don't fail each other");

struct unlinked_memory_is_freed_late : rl::test_suite<unlinked_memory_is_freed_late, 2> {
  core::reader_gate<A> gate;
  A::atomic<int> link{1};
  rl::var<int> object;
  void before() { object($) = 1; }
  void thread(unsigned i) {
    if (i == 0) {
      const auto inside = gate.enter(0);
      if (link.load(std::memory_order::acquire) == 1) RL_ASSERT(object($) == 1);
      gate.leave(inside);
      return;
    }
    link.store(0, std::memory_order::seq_cst);
    gate.flip();
    if (gate.drained()) object($) = 0;  // freed
  }
};
PINRAIL_EXPLORE(unlinked_memory_is_freed_late, "what a reader found is not freed before it leaves");

}  // namespace
}  // namespace pinrail::explore
