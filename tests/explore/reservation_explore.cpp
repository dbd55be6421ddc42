// Reservation table: shares, epochs, helpers.
#include "core/reservation_table.hpp"
#include "explore/explore.hpp"

namespace pinrail::explore {
namespace {

using core::holder;
using core::verdict;

/// Few operations, so that an exploration is not about finding a free record.
template <class A>
using table_of = core::reservation_table<A, 3>;

template <class A>
struct the_same_target_twice : rl::test_suite<the_same_target_twice<A>, 2> {
  table_of<A> table{3, 100};
  void thread(unsigned i) {
    // Each asks for more than half: counted twice, even for a moment, one would fail.
    const auto r = table.reserve(1, i == 0 ? holder::primary : holder::secondary, 60 + i, 60 + i);
    RL_ASSERT(r.what == verdict::granted);
  }
  void after() {
    const auto rules = table.rules(1).load();  // first: a read of the table would set them right
    const auto now = table.read(1);
    RL_ASSERT(now.epoch == 2);
    RL_ASSERT(table.granted_pages() == now.share_pages);
    RL_ASSERT(rules.primary() == (now.kind == holder::primary));
    RL_ASSERT(rules.secondary() == (now.kind == holder::secondary));
    RL_ASSERT(rules.epoch() == 2);
  }
};
PINRAIL_EXPLORE(the_same_target_twice, preemptions(3), "replacing a reservation never counts it twice");
PINRAIL_FINDS(the_same_target_twice, replace_counts_twice);
PINRAIL_FINDS(the_same_target_twice, predecessor_not_finished);

template <class A>
struct two_targets_and_room_for_one : rl::test_suite<two_targets_and_room_for_one<A>, 2> {
  table_of<A> table{3, 100};
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
PINRAIL_EXPLORE(two_targets_and_room_for_one, preemptions(3),
                "shares never exceed the capacity, and one of two is granted");

template <class A>
struct a_handle_is_spent_once : rl::test_suite<a_handle_is_spent_once<A>, 2> {
  table_of<A> table{3, 100};
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
    RL_ASSERT(!table.rules(1).load().primary());
    RL_ASSERT(table.granted_pages() == 0);
  }
};
PINRAIL_EXPLORE(a_handle_is_spent_once, preemptions(3), "of two releases by one handle one counts");

template <class A>
struct a_stale_handle_against_a_new_one : rl::test_suite<a_stale_handle_against_a_new_one<A>, 2> {
  table_of<A> table{3, 100};
  void before() { (void)table.reserve(1, holder::primary, 60, 60); }
  void thread(unsigned i) {
    if (i == 0) {
      (void)table.release(1, 1);
    } else {
      RL_ASSERT(table.reserve(1, holder::secondary, 80, 80).what == verdict::granted);
    }
  }
  void after() {
    RL_ASSERT(table.rules(1).load().secondary());
    RL_ASSERT(table.granted_pages() == 80);
    RL_ASSERT(table.read(1).kind == holder::secondary);
  }
};
PINRAIL_EXPLORE(a_stale_handle_against_a_new_one, preemptions(3),
                "releasing by a stale handle leaves the new reservation");
PINRAIL_FINDS(a_stale_handle_against_a_new_one, release_ignores_epoch);

/// A reader helps the first change and is stopped in it, while the second and third are made: what it finishes late
/// must not undo them. With two records, the third change uses the first one's.
template <class A>
struct a_late_helper : rl::test_suite<a_late_helper<A>, 2> {
  core::reservation_table<A, 2> table{3, 100};
  void thread(unsigned i) {
    if (i == 0) {
      RL_ASSERT(table.reserve(1, holder::primary, 10, 10).what == verdict::granted);
      RL_ASSERT(table.release(1, 1).what == verdict::granted);
      RL_ASSERT(table.reserve(2, holder::secondary, 30, 30).what == verdict::granted);
    } else {
      RL_ASSERT(table.granted_to_others(0) <= 30);
    }
  }
  void after() {
    // The rules first: a read of the table would set them right.
    RL_ASSERT(table.rules(1).load().packed() == std::uint64_t{2} << core::runtime_bits::epoch_shift);
    RL_ASSERT(table.rules(2).load().secondary());
    RL_ASSERT(table.read(1).kind == holder::none);
    RL_ASSERT(table.read(1).epoch == 2);
    RL_ASSERT(table.read(2).share_pages == 30);
  }
};
PINRAIL_EXPLORE(a_late_helper, preemptions(3), "who finishes an operation late does not undo a later one");
PINRAIL_FINDS(a_late_helper, rules_follow_any_epoch);

template <class A>
struct a_guard_while_rules_follow : rl::test_suite<a_guard_while_rules_follow<A>, 2> {
  table_of<A> table{2, 100};
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
PINRAIL_EXPLORE(a_guard_while_rules_follow, complete,
                "guards are not lost when the runtime word follows a reservation");
PINRAIL_FINDS(a_guard_while_rules_follow, rules_lose_guards);

template <class A>
struct reads_agree : rl::test_suite<reads_agree<A>, 2> {
  table_of<A> table{2, 100};
  void thread(unsigned i) {
    if (i == 0) {
      (void)table.reserve(1, holder::primary, 10, 10);
    } else {
      const bool granted = table.granted_pages() == 10;
      const bool held = table.read(1).kind == holder::primary;
      const bool ruled = table.rules(1).load().primary();
      RL_ASSERT((!granted || held) && (!held || ruled));
    }
  }
};
PINRAIL_EXPLORE(reads_agree, preemptions(3), "what one read of the table has shown, later reads show too");
PINRAIL_FINDS(reads_agree, reads_show_nothing);

template <class A>
struct guests_share_one_grant : rl::test_suite<guests_share_one_grant<A>, 2> {
  table_of<A> table{2, 100};
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
PINRAIL_EXPLORE(guests_share_one_grant, preemptions(3),
                "guest scopes of one runtime share a grant until the last one ends");

/// Three threads change three holders; too much to be searched whole.
template <class A>
struct three_who_change_everything : rl::test_suite<three_who_change_everything<A>, 3> {
  core::reservation_table<A, 4> table{4, 100};
  void thread(unsigned i) {
    const auto first = table.reserve(1 + i % 2, i == 0 ? holder::primary : holder::secondary, 30, 40);
    RL_ASSERT(table.granted_pages() <= 100);
    if (first.what == verdict::granted) (void)table.release(1 + i % 2, first.now.epoch);
    if (table.enter_guest(3, 50, 60).what == verdict::granted) RL_ASSERT(table.leave_guest(3).what == verdict::granted);
  }
  void after() {
    std::uint64_t sum = 0;
    for (std::uint32_t h = 1; h <= 3; ++h) {
      const auto now = table.read(h);
      sum += now.share_pages;
      RL_ASSERT(table.rules(h).load().primary() == (now.kind == holder::primary));
      RL_ASSERT(table.rules(h).load().secondary() == (now.kind == holder::secondary));
    }
    RL_ASSERT(table.granted_pages() == sum);
    RL_ASSERT(table.read(3).guests == 0);
  }
};
PINRAIL_EXPLORE(three_who_change_everything, random_schedules(100'000),
                "the ledger is the sum of the entries, and rules follow them");
PINRAIL_FINDS(three_who_change_everything, replace_counts_twice);
PINRAIL_FINDS(three_who_change_everything, finish_without_second_look);
PINRAIL_FINDS(three_who_change_everything, record_freed_at_once);

}  // namespace
}  // namespace pinrail::explore
