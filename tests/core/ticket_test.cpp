// Tickets, and the last uses of a block: every use that has ended is covered by a slot, or is complete.
#include "core/ticket.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <utility>
#include <vector>

#include "support/interrupted_atomics.hpp"
#include "support/seed.hpp"
#include "support/threads.hpp"

namespace pinrail::test {
namespace {

using core::ticket;
using last_uses = core::last_uses<core::native_atomics>;

constexpr auto never = [](ticket) { return false; };

template <class Uses>
std::vector<ticket> slots_of(const Uses& uses) {
  std::vector<ticket> all;
  for (std::size_t i = 0; i < Uses::capacity; ++i)
    if (uses.read(i)) all.push_back(uses.read(i));
  return all;
}
template <class Uses>
bool covers(const Uses& uses, ticket used) {
  for (const ticket t : slots_of(uses))
    if (t.lane() == used.lane() && t.sequence() >= used.sequence()) return true;
  return false;
}

TEST(ticket, keeps_lane_and_sequence_to_their_limits) {
  for (const std::uint32_t lane : {0u, 1u, 65535u}) {
    for (const std::uint64_t sequence : {std::uint64_t{1}, std::uint64_t{77}, ticket::sequence_mask}) {
      const ticket t(lane, sequence);
      EXPECT_EQ(t.lane(), lane);
      EXPECT_EQ(t.sequence(), sequence);
      EXPECT_TRUE(t) << "every ticket of a lane is one, of lane 0 too";
      EXPECT_EQ(ticket(t.packed()), t);
    }
  }
  EXPECT_FALSE(ticket()) << "zero is no ticket";
  EXPECT_FALSE(ticket(0, 0));
}

TEST(last_uses, keep_one_slot_a_lane) {
  last_uses uses;
  for (std::uint64_t n = 1; n <= 10; ++n)
    for (std::uint32_t lane = 0; lane < last_uses::capacity; ++lane) ASSERT_TRUE(uses.note({lane, n}, never));
  EXPECT_EQ(slots_of(uses), (std::vector<ticket>{{0, 10}, {1, 10}, {2, 10}, {3, 10}, {4, 10}}));
}

TEST(last_uses, a_later_ticket_of_a_lane_stays_when_an_earlier_one_comes_late) {
  last_uses uses;
  ASSERT_TRUE(uses.note({3, 9}, never));
  ASSERT_TRUE(uses.note({3, 4}, never));
  EXPECT_EQ(slots_of(uses), (std::vector<ticket>{{3, 9}}));
}

TEST(last_uses, refuse_only_when_every_slot_holds_an_incomplete_ticket_of_another_lane) {
  last_uses uses;
  for (std::uint32_t lane = 1; lane <= last_uses::capacity; ++lane) ASSERT_TRUE(uses.note({lane, 1}, never));
  EXPECT_FALSE(uses.note({9, 1}, never));
  EXPECT_EQ(slots_of(uses).size(), last_uses::capacity) << "a refused use changes nothing";
  EXPECT_FALSE(covers(uses, {9, 1}));
  EXPECT_TRUE(uses.note({5, 2}, never)) << "its own lane has a slot";
  EXPECT_TRUE(uses.note({9, 1}, [](ticket t) { return t.lane() == 4; })) << "a complete one makes room";
  EXPECT_TRUE(covers(uses, {9, 1}));
  EXPECT_FALSE(covers(uses, {4, 1}));
}

TEST(last_uses, an_incomplete_ticket_is_never_taken_over_while_a_complete_one_is_there) {
  for (std::uint32_t complete = 0; complete < last_uses::capacity; ++complete) {
    last_uses uses;
    for (std::uint32_t lane = 0; lane < last_uses::capacity; ++lane) ASSERT_TRUE(uses.note({lane, 1}, never));
    ASSERT_TRUE(uses.note({9, 1}, [complete](ticket t) { return t.lane() == complete; }));
    for (std::uint32_t lane = 0; lane < last_uses::capacity; ++lane)
      EXPECT_EQ(covers(uses, {lane, 1}), lane != complete);
  }
}

TEST(last_uses, replace_puts_a_joined_ticket_where_the_covered_one_still_is) {
  last_uses uses;
  ASSERT_TRUE(uses.note({1, 5}, never));
  EXPECT_FALSE(uses.replace(0, {1, 4}, {7, 1})) << "the slot holds another";
  EXPECT_FALSE(uses.replace(1, {1, 5}, {7, 1})) << "another slot holds it";
  EXPECT_EQ(slots_of(uses), (std::vector<ticket>{{1, 5}}));
  EXPECT_TRUE(uses.replace(0, {1, 5}, {7, 1}));
  EXPECT_EQ(slots_of(uses), (std::vector<ticket>{{7, 1}}));
}

TEST(last_uses, clear_leaves_none) {
  last_uses uses;
  ASSERT_TRUE(uses.note({1, 1}, never));
  ASSERT_TRUE(uses.note({2, 1}, never));
  uses.clear();
  EXPECT_TRUE(slots_of(uses).empty());
}

// ---- against a model of streams ---------------------------------------------------------------------------------

/// Lanes whose events complete in order, joins included, and every use that was ever noted.
class stream_model {
 public:
  [[nodiscard]] ticket record(std::uint32_t lane) { return {lane, ++recorded_[lane]}; }
  /// A ticket of a lane that waits for all of these.
  [[nodiscard]] ticket join(std::uint32_t lane, std::vector<ticket> covered) {
    const ticket t = record(lane);
    covered_by_[t.packed()] = std::move(covered);
    return t;
  }
  void complete(ticket t) {
    if (is_complete(t)) return;
    for (std::uint64_t n = completed_[t.lane()] + 1; n <= t.sequence(); ++n) {
      completed_[t.lane()] = n;
      for (const ticket before : covered_by_[ticket(t.lane(), n).packed()]) complete(before);
    }
  }
  void complete_some(std::uint32_t lane, std::mt19937_64& random) {
    const std::uint64_t open = recorded_[lane] - completed_[lane];
    if (open != 0) complete({lane, completed_[lane] + 1 + random() % open});
  }
  [[nodiscard]] bool is_complete(ticket t) const {
    const auto found = completed_.find(t.lane());
    return !t || (found != completed_.end() && found->second >= t.sequence());
  }
  /// Does waiting for `waited` wait for `used` too?
  [[nodiscard]] bool orders(ticket waited, ticket used) const {
    if (is_complete(used) || (waited.lane() == used.lane() && waited.sequence() >= used.sequence())) return true;
    const std::uint64_t first = ticket(waited.lane(), 0).packed();
    for (auto it = covered_by_.lower_bound(first); it != covered_by_.end() && it->first <= waited.packed(); ++it)
      for (const ticket t : it->second)
        if (orders(t, used)) return true;
    return false;
  }

 private:
  std::map<std::uint32_t, std::uint64_t> recorded_, completed_;
  std::map<std::uint64_t, std::vector<ticket>> covered_by_;
};

/// As residency does it: where no slot is free, joins a slot's ticket with the use's.
void note_or_join(last_uses& uses, stream_model& model, ticket used, std::mt19937_64& random) {
  if (uses.note(used, [&](ticket t) { return model.is_complete(t); })) return;
  for (const ticket t : slots_of(uses)) {
    ASSERT_FALSE(model.is_complete(t)) << "refused, but a slot was complete";
    ASSERT_NE(t.lane(), used.lane()) << "refused, but its lane has a slot";
  }
  ASSERT_EQ(slots_of(uses).size(), last_uses::capacity);
  const std::size_t index = random() % last_uses::capacity;
  const ticket covered = uses.read(index);
  ASSERT_TRUE(uses.replace(index, covered, model.join(used.lane(), {covered, used})));
}

TEST(last_uses, every_use_is_covered_or_complete) {
  std::mt19937_64 random(run_seed());
  for (int round = 0; round < 200; ++round) {
    last_uses uses;
    stream_model model;
    std::vector<ticket> used;
    const std::uint64_t lanes = 1 + random() % 9;
    for (int i = 0; i < 60; ++i) {
      const auto lane = static_cast<std::uint32_t>(random() % lanes);
      if (random() % 3 == 0) model.complete_some(lane, random);
      used.push_back(model.record(lane));
      ASSERT_NO_FATAL_FAILURE(note_or_join(uses, model, used.back(), random));
      const auto slots = slots_of(uses);
      for (const ticket u : used) {
        const bool covered = std::any_of(slots.begin(), slots.end(), [&](ticket t) { return model.orders(t, u); });
        ASSERT_TRUE(covered || model.is_complete(u)) << "use " << u.sequence() << " of lane " << u.lane();
      }
    }
  }
}

// ---- interrupted, and threads -----------------------------------------------------------------------------------

TEST(last_uses, a_note_interrupted_by_another_covers_both) {
  using uses_type = core::last_uses<interrupted_atomics>;
  for (std::uint32_t others = 0; others <= uses_type::capacity; ++others) {
    for (const std::uint32_t second_lane : {10u, 11u}) {  // the same lane, another one
      at_every_step([&](int step) {
        uses_type uses;
        for (std::uint32_t lane = 0; lane < others; ++lane) (void)uses.note({lane, 1}, never);
        bool first = false, second = false;
        const bool met = interrupted(
            step,
            [&] {
              first = uses.note({10, 1}, never);
            },
            [&] {
              second = uses.note({second_lane, 2}, never);
            });
        EXPECT_EQ(covers(uses, {10, 1}), first || (second && second_lane == 10)) << others << " others, step " << step;
        EXPECT_EQ(covers(uses, {second_lane, 2}), second) << others << " others, step " << step;
        for (std::uint32_t lane = 0; lane < others; ++lane) EXPECT_TRUE(covers(uses, {lane, 1}));
        EXPECT_TRUE(first || second || others == uses_type::capacity) << "one slot was free";
        return met;
      });
    }
  }
}

TEST(last_uses, of_two_notes_one_takes_over_a_complete_slot) {
  using uses_type = core::last_uses<interrupted_atomics>;
  at_every_step([](int step) {
    uses_type uses;
    for (std::uint32_t lane = 0; lane < uses_type::capacity; ++lane) (void)uses.note({lane, 1}, never);
    const auto first_lane_only = [](ticket t) { return t == ticket(0, 1); };
    bool first = false, second = false;
    const bool met = interrupted(
        step,
        [&] {
          first = uses.note({10, 1}, first_lane_only);
        },
        [&] {
          second = uses.note({11, 1}, first_lane_only);
        });
    EXPECT_NE(first, second && met) << "before step " << step;
    EXPECT_EQ(covers(uses, {10, 1}), first);
    EXPECT_EQ(covers(uses, {11, 1}), second);
    return met;
  });
}

TEST(last_uses, threads_with_a_lane_each_leave_their_last_tickets) {
  constexpr std::uint64_t notes = 50'000;
  last_uses uses;
  on_threads(4, [&](int t) {
    for (std::uint64_t n = 1; n <= notes; ++n)
      if (!uses.note({static_cast<std::uint32_t>(t), n}, never)) ADD_FAILURE() << "a slot is free for each lane";
  });
  const auto slots = slots_of(uses);
  EXPECT_EQ(slots.size(), 4u);
  for (std::uint32_t lane = 0; lane < 4; ++lane) EXPECT_TRUE(covers(uses, {lane, notes}));
}

}  // namespace
}  // namespace pinrail::test
