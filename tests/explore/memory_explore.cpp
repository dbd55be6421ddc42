// Budget word, page map, reader gate.
#include "core/budget.hpp"
#include "core/page_map.hpp"
#include "core/reader_gate.hpp"
#include "explore/explore.hpp"

namespace pinrail::explore {
namespace {

template <class A>
struct budget_is_never_exceeded : rl::test_suite<budget_is_never_exceeded<A>, 3> {
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
PINRAIL_EXPLORE(budget_is_never_exceeded, preemptions(3), "pages in use never exceed the capacity");
PINRAIL_FINDS(budget_is_never_exceeded, admission_in_two_steps);

template <class A>
struct runs_dont_overlap : rl::test_suite<runs_dont_overlap<A>, 2> {
  core::page_map<A> map{128};
  rl::var<int> page64;
  void thread(unsigned i) {
    const core::page_run run = i == 0 ? core::page_run{60, 8} : core::page_run{64, 8};  // both hold page 64
    if (!map.take(run)) return;
    page64($) = static_cast<int>(i);
    map.give(run);
  }
  void after() { RL_ASSERT(map.free_run(0).count == 128); }
};
PINRAIL_EXPLORE(runs_dont_overlap, complete, "a page belongs to one run, and its fields pass with it");
PINRAIL_FINDS(runs_dont_overlap, take_pages_in_two_steps);
PINRAIL_FINDS(runs_dont_overlap, take_keeps_part);

template <class A>
struct of_colliding_takes_one_succeeds : rl::test_suite<of_colliding_takes_one_succeeds<A>, 2> {
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
PINRAIL_EXPLORE(of_colliding_takes_one_succeeds, complete, "colliding takes don't fail each other");

template <class A>
struct unlinked_memory_is_freed_late : rl::test_suite<unlinked_memory_is_freed_late<A>, 2> {
  core::reader_gate<A, 1> gate;
  typename A::template atomic<int> link{1};
  rl::var<int> object;
  void before() { object($) = 1; }
  void thread(unsigned i) {
    if (i == 0) {
      const auto inside = gate.enter(0);
      if (link.load(std::memory_order::acquire) == 1) RL_ASSERT(object($) == 1);
      gate.leave(inside);
      return;
    }
    for (int round = 0; round < 2; ++round) {
      link.store(0, std::memory_order::seq_cst);
      gate.flip();
      if (!gate.drained()) return;  // the next grace period begins when this one is over
    }
    object($) = 0;  // freed
  }
};
PINRAIL_EXPLORE(unlinked_memory_is_freed_late, complete, "what a reader found is not freed before it leaves");
PINRAIL_FINDS(unlinked_memory_is_freed_late, enter_without_second_look);

}  // namespace
}  // namespace pinrail::explore
