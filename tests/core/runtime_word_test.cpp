// The runtime word: who may take a runtime's blocks (R1-R3), and how it follows its reservation entry.
#include "core/runtime_word.hpp"

#include <gtest/gtest.h>

#include "core/reservation_table.hpp"
#include "support/interrupted_atomics.hpp"
#include "support/settable_atomics.hpp"
#include "support/threads.hpp"

namespace pinrail::test {
namespace {

using core::requester;
using word = core::runtime_word<core::native_atomics>;
using settable_word = core::runtime_word<settable_atomics>;

constexpr requester everyone[] = {requester::owner, requester::other, requester::other_extreme};

TEST(runtime_word, forbids_no_one_at_first) {
  const word w;
  for (const requester who : everyone) EXPECT_FALSE(w.load().forbids(who));
  EXPECT_EQ(w.load().packed(), 0u);
}

TEST(runtime_word, guards_forbid_everyone_until_the_last_one_ends) {  // R1
  for (const bool primary : {false, true}) {
    for (const bool secondary : {false, true}) {
      word w;
      w.follow(primary, secondary, 1);
      ASSERT_TRUE(w.guard());
      ASSERT_TRUE(w.guard());
      for (const requester who : everyone) EXPECT_TRUE(w.load().forbids(who));
      w.unguard();
      EXPECT_EQ(w.load().guards(), 1u);
      for (const requester who : everyone) EXPECT_TRUE(w.load().forbids(who));
      w.unguard();
      EXPECT_FALSE(w.load().forbids(requester::owner));
    }
  }
}

TEST(runtime_word, primary_forbids_all_but_the_owner) {  // R2
  word w;
  w.follow(true, false, 1);
  EXPECT_FALSE(w.load().forbids(requester::owner));
  EXPECT_TRUE(w.load().forbids(requester::other));
  EXPECT_TRUE(w.load().forbids(requester::other_extreme));
}

TEST(runtime_word, secondary_yields_to_extreme_pressure_only) {  // R3
  word w;
  w.follow(false, true, 1);
  EXPECT_FALSE(w.load().forbids(requester::owner));
  EXPECT_TRUE(w.load().forbids(requester::other));
  EXPECT_FALSE(w.load().forbids(requester::other_extreme));
}

TEST(runtime_word, has_a_cache_line_of_its_own) {
  EXPECT_EQ(sizeof(word), core::cache_line_bytes);
  EXPECT_EQ(alignof(word), core::cache_line_bytes);
}

// ---- limits -----------------------------------------------------------------------------------------------------

TEST(runtime_word, refuses_a_guard_at_2_to_the_23_and_changes_nothing) {
  constexpr std::uint64_t most = std::uint64_t{1} << 23;
  settable_word w;
  w.follow(true, false, 1);
  const std::uint64_t rest = w.load().packed();
  ASSERT_EQ(settable_atomics::replace(rest, rest + most - 1), 1);
  EXPECT_TRUE(w.guard()) << "the last one that fits";
  const std::uint64_t full = w.load().packed();
  EXPECT_EQ(w.load().guards(), most);
  EXPECT_FALSE(w.guard());
  EXPECT_EQ(w.load().packed(), full);
  w.unguard();
  EXPECT_TRUE(w.guard()) << "there is room again";
}

// ---- follow -----------------------------------------------------------------------------------------------------

TEST(runtime_word, follows_an_entry_only_from_one_epoch_behind) {
  word w;
  w.follow(true, false, 2);
  EXPECT_EQ(w.load().packed(), 0u) << "two ahead";
  w.follow(true, false, 1);
  EXPECT_TRUE(w.load().primary());
  EXPECT_EQ(w.load().epoch(), 1u);
  w.follow(false, true, 1);
  EXPECT_TRUE(w.load().primary()) << "this epoch was followed already";
  w.follow(false, true, 2);
  EXPECT_FALSE(w.load().primary());
  EXPECT_TRUE(w.load().secondary());
  w.follow(true, false, 1);
  EXPECT_TRUE(w.load().secondary()) << "one behind";
  w.follow(false, false, 3);
  EXPECT_FALSE(w.load().secondary());
  EXPECT_EQ(w.load().epoch(), 3u);
}

TEST(runtime_word, keeps_the_guards_when_it_follows) {
  word w;
  for (std::uint32_t i = 1; i <= 5; ++i) {
    ASSERT_TRUE(w.guard());
    w.follow(i % 2, !(i % 2), i);
    EXPECT_EQ(w.load().guards(), i);
    EXPECT_EQ(w.load().epoch(), i);
    EXPECT_EQ(w.load().primary(), i % 2 == 1);
  }
}

TEST(runtime_word, epochs_wrap_after_2_to_the_28_as_those_of_the_entries_do) {
  constexpr std::uint64_t last = core::reservation::epoch_mask;
  settable_word w;
  ASSERT_TRUE(w.guard());
  ASSERT_EQ(settable_atomics::replace<std::uint64_t>(w.load().packed(), 1 | last << 36), 1);
  ASSERT_EQ(w.load().epoch(), last);
  w.follow(true, false, 0);
  EXPECT_EQ(w.load().epoch(), 0u);
  EXPECT_TRUE(w.load().primary());
  w.follow(false, true, 1);
  EXPECT_EQ(w.load().epoch(), 1u);
  EXPECT_TRUE(w.load().secondary());
  EXPECT_EQ(w.load().guards(), 1u);
}

TEST(runtime_word, a_follower_that_slept_for_any_power_of_two_of_epochs_sets_nothing) {
  for (unsigned bit = 0; bit < 28; ++bit) {
    settable_word w;
    const std::uint64_t now = (std::uint64_t{1} << bit) << 36;
    ASSERT_EQ(settable_atomics::replace<std::uint64_t>(0, now), 1);
    w.follow(true, false, 1);
    EXPECT_EQ(w.load().packed(), now) << "2^" << bit << " epochs later";
  }
}

// ---- interrupted, and threads -----------------------------------------------------------------------------------

TEST(runtime_word, a_guard_that_comes_while_the_word_follows_is_kept) {
  const int steps = at_every_step([](int step) {
    core::runtime_word<interrupted_atomics> w;
    const bool met = interrupted(
        step, [&] { w.follow(true, false, 1); }, [&] { EXPECT_TRUE(w.guard()); });
    EXPECT_EQ(w.load().guards(), met ? 1u : 0u) << "before step " << step;
    EXPECT_TRUE(w.load().primary()) << "before step " << step;
    EXPECT_EQ(w.load().epoch(), 1u);
    return met;
  });
  EXPECT_GE(steps, 2);
}

TEST(runtime_word, a_follower_that_was_stopped_does_not_undo_a_later_epoch) {
  at_every_step([](int step) {
    core::runtime_word<interrupted_atomics> w;
    const auto two_epochs = [&] {
      w.follow(true, false, 1);
      w.follow(false, true, 2);
    };
    const bool met = interrupted(
        step, [&] { w.follow(true, false, 1); }, two_epochs);
    EXPECT_EQ(w.load().epoch(), met ? 2u : 1u) << "before step " << step;
    EXPECT_EQ(w.load().secondary(), met) << "before step " << step;
    EXPECT_EQ(w.load().primary(), !met) << "before step " << step;
    return met;
  });
}

TEST(runtime_word, threads_that_guard_and_follow_end_with_none_and_the_last_epoch) {
  word w;
  on_threads(4, [&](int t) {
    for (std::uint32_t i = 1; i <= 20'000; ++i) {
      if (t == 0) {
        w.follow(i % 2, false, i);
        continue;
      }
      ASSERT_TRUE(w.guard());
      for (const requester who : everyone) ASSERT_TRUE(w.load().forbids(who)) << "under a guard of one's own";
      w.unguard();
    }
  });
  EXPECT_EQ(w.load().guards(), 0u);
  EXPECT_EQ(w.load().epoch(), 20'000u);
  EXPECT_FALSE(w.load().primary());
}

}  // namespace
}  // namespace pinrail::test
