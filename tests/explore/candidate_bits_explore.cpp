// Candidate bits: no candidate is lost, on any level.
#include <array>

#include "core/candidates.hpp"
#include "explore/explore.hpp"

namespace pinrail::explore {
namespace {

constexpr std::array<std::uint64_t, 128> one_page_each = [] {
  std::array<std::uint64_t, 128> pages{};
  pages.fill(1);
  return pages;
}();

template <class A>
struct no_candidate_is_lost : rl::test_suite<no_candidate_is_lost<A>, 2> {
  core::block_word<A> word;
  core::candidates<A> bits{one_page_each};
  void before() { bits.set(70); }  // stale: its block is absent
  void thread(unsigned i) {
    if (i == 0) {
      bits.withdraw(70, word);
    } else if (word.begin_load()) {
      word.publish();
      bits.set(70);
    }
  }
  void after() { RL_ASSERT(bits.classes()[0].members->next(0, 128) == 70); }
};
PINRAIL_EXPLORE(no_candidate_is_lost, complete, "a block that becomes a candidate while its bit is cleared is found");
PINRAIL_FINDS(no_candidate_is_lost, withdraw_without_second_look);

template <class A>
struct neighbours_under_one_summary : rl::test_suite<neighbours_under_one_summary<A>, 3> {
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
PINRAIL_EXPLORE(neighbours_under_one_summary, preemptions(3), "clearing one bit hides no other under the same summary");
PINRAIL_FINDS(neighbours_under_one_summary, summary_without_second_look);

template <class A>
struct a_set_is_found_at_once : rl::test_suite<a_set_is_found_at_once<A>, 2> {
  core::bitset<A> bits{128};
  void thread(unsigned i) {
    bits.set(70 + i);
    RL_ASSERT(bits.next(0, 128) <= 70 + i);  // by the summary, wherever the other thread was stopped
  }
};
PINRAIL_EXPLORE(a_set_is_found_at_once, complete,
                "a set that has returned is found, even if an earlier setter was stopped");
PINRAIL_FINDS(a_set_is_found_at_once, set_trusts_earlier_setter);

/// Three levels; the second has two words, and a search from 0 reaches the upper one by the third level only.
template <class A>
struct summaries_on_two_levels : rl::test_suite<summaries_on_two_levels<A>, 2> {
  static constexpr std::uint32_t upper = 64 * 64;
  core::bitset<A> bits{2 * upper};
  void before() { bits.set(upper + 5); }
  void thread(unsigned i) {
    if (i == 0) bits.clear(upper + 5);
    if (i == 1) bits.set(upper + 70);  // another leaf under the same word
  }
  void after() { RL_ASSERT(bits.next(0, 2 * upper) == upper + 70); }
};
PINRAIL_EXPLORE(summaries_on_two_levels, complete, "nor on the levels above");
PINRAIL_FINDS(summaries_on_two_levels, summary_without_second_look);

}  // namespace
}  // namespace pinrail::explore
