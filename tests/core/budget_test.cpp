// The budget word: never above capacity (B1), pages that change hands in one step, and a peak that was really reached.
#include "core/budget.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "support/interrupted_atomics.hpp"
#include "support/seed.hpp"
#include "support/threads.hpp"

namespace pinrail::test {
namespace {

using core::budget_change;
using core::budget_pages;
using budget = core::budget_word<core::native_atomics>;

void expect_pages(const budget& b, std::uint64_t used, std::uint64_t set_aside, std::uint64_t withheld) {
  const budget_pages p = b.load();
  ASSERT_EQ(p.used, used);
  ASSERT_EQ(p.set_aside, set_aside);
  ASSERT_EQ(p.withheld, withheld);
  ASSERT_EQ(p.sum(), used + set_aside + withheld);
}

TEST(budget, begins_with_what_is_withheld) {
  const budget b(100, 30);
  EXPECT_EQ(b.capacity(), 100u);
  EXPECT_EQ(b.peak(), 0u) << "withheld pages are spent by no one";
  expect_pages(b, 0, 0, 30);
}

TEST(budget, gives_up_to_the_capacity_and_not_a_page_more) {
  budget b(100, 30);
  EXPECT_FALSE(b.take(71));
  EXPECT_TRUE(b.take(70));
  EXPECT_FALSE(b.take(1));
  EXPECT_TRUE(b.take(0));
  EXPECT_FALSE(b.exchange({.set_aside = 1}));
  EXPECT_FALSE(b.exchange({.withheld = 1}));
  expect_pages(b, 70, 0, 30);
  b.give(20);
  EXPECT_TRUE(b.exchange({.set_aside = 20}));
  EXPECT_FALSE(b.take(1));
  expect_pages(b, 50, 20, 30);
  EXPECT_EQ(b.peak(), 70u);
}

TEST(budget, exchanges_pages_that_are_all_in_use_in_one_step) {
  budget b(100, 0);
  ASSERT_TRUE(b.take(100));
  EXPECT_TRUE(b.exchange({.used = -60, .set_aside = 60}));
  expect_pages(b, 40, 60, 0);
  EXPECT_TRUE(b.exchange({.used = -40, .set_aside = -60, .withheld = 100}));
  expect_pages(b, 0, 0, 100);
  EXPECT_FALSE(b.exchange({.used = 51, .withheld = -50}));
  expect_pages(b, 0, 0, 100);
  EXPECT_TRUE(b.exchange({.used = 50, .withheld = -50}));
  expect_pages(b, 50, 0, 50);
}

TEST(budget, fields_hold_the_largest_arena) {
  constexpr std::uint64_t most = (std::uint64_t{1} << 21) - 1;
  EXPECT_EQ(budget::max_pages, most);
  budget b(most, most);
  expect_pages(b, 0, 0, most);
  EXPECT_FALSE(b.take(1));
  const auto all = static_cast<std::int64_t>(most);
  ASSERT_TRUE(b.exchange({.set_aside = all, .withheld = -all}));
  expect_pages(b, 0, most, 0);
  ASSERT_TRUE(b.exchange({.used = all, .set_aside = -all}));
  expect_pages(b, most, 0, 0);
  EXPECT_FALSE(b.take(most)) << "no field runs over into the next";
  EXPECT_FALSE(b.exchange({.withheld = all}));
  expect_pages(b, most, 0, 0);
  b.give(most);
  expect_pages(b, 0, 0, 0);
  EXPECT_EQ(b.peak(), most);
}

TEST(budget, does_what_three_numbers_do) {
  std::mt19937_64 random(run_seed());
  for (int round = 0; round < 100; ++round) {
    const std::uint64_t capacity = 1 + random() % (round % 2 ? budget::max_pages : 60);
    budget_pages model{.withheld = random() % (capacity + 1)};
    budget b(capacity, model.withheld);
    std::uint64_t peak = 0;
    for (int i = 0; i < 500; ++i) {
      const auto change_of = [&](std::uint64_t has) {
        const auto up = static_cast<std::int64_t>(random() % (capacity / 3 + 1));
        return random() % 2 ? up : -static_cast<std::int64_t>(random() % (has + 1));
      };
      const budget_change change{change_of(model.used), change_of(model.set_aside), change_of(model.withheld)};
      const budget_pages after{model.used + change.used, model.set_aside + change.set_aside,
                               model.withheld + change.withheld};
      const bool fits = after.sum() <= capacity;
      ASSERT_EQ(b.exchange(change), fits);
      if (fits) model = after, peak = std::max(peak, after.used + after.set_aside);
      ASSERT_NO_FATAL_FAILURE(expect_pages(b, model.used, model.set_aside, model.withheld));
      ASSERT_EQ(b.peak(), peak);
    }
  }
}

// ---- interrupted, and threads -----------------------------------------------------------------------------------

TEST(budget, of_two_takes_of_the_last_pages_one_succeeds) {
  const int steps = at_every_step([](int step) {
    core::budget_word<interrupted_atomics> b(100, 0);
    bool first = false, second = false;
    const bool met = interrupted(
        step, [&] { first = b.take(60); }, [&] { second = b.exchange({.set_aside = 60}); });
    EXPECT_NE(first, second) << "before step " << step;
    EXPECT_EQ(b.load().sum(), 60u);
    EXPECT_EQ(b.peak(), 60u);
    return met;
  });
  EXPECT_GE(steps, 2);
}

TEST(budget, what_an_exchange_frees_is_taken_by_no_one_in_between) {
  at_every_step([](int step) {
    core::budget_word<interrupted_atomics> b(100, 0);
    EXPECT_TRUE(b.take(100));
    bool exchanged = false;
    const bool met = interrupted(
        step, [&] { exchanged = b.exchange({.used = -50, .set_aside = 50}); },
        [&] { EXPECT_FALSE(b.take(1)) << "before step " << step; });
    EXPECT_TRUE(exchanged);
    return met;
  });
}

TEST(budget, the_peak_rises_whoever_else_raises_it) {
  at_every_step([](int step) {
    core::budget_word<interrupted_atomics> b(100, 0);
    const bool met = interrupted(
        step, [&] { EXPECT_TRUE(b.take(40)); }, [&] { EXPECT_TRUE(b.take(30)); });
    EXPECT_EQ(b.peak(), met ? 70u : 40u) << "before step " << step;
    return met;
  });
}

TEST(budget, threads_never_hold_more_than_the_capacity) {
  constexpr std::uint64_t capacity = 50, withheld = 5;
  const std::uint64_t seed = run_seed();
  budget b(capacity, withheld);
  core::atomic<std::uint64_t> held{withheld};  // counted after it was taken, and before it is given
  on_threads(4, [&](int t) {
    std::mt19937_64 random(seed + static_cast<std::uint64_t>(t));
    std::int64_t used = 0, set_aside = 0;
    const auto change = [&](std::int64_t more_used, std::int64_t more_aside) {
      const std::int64_t more = more_used + more_aside;
      if (more < 0) held.fetch_add(static_cast<std::uint64_t>(more), core::order::seq_cst);
      if (!b.exchange({.used = more_used, .set_aside = more_aside})) {
        ASSERT_GT(more, 0) << "what gives back never fails";
        return;
      }
      if (more > 0) held.fetch_add(static_cast<std::uint64_t>(more), core::order::seq_cst);
      used += more_used, set_aside += more_aside;
    };
    for (int i = 0; i < 20'000; ++i) {
      const auto n = static_cast<std::int64_t>(random() % 15);
      switch (random() % 4) {
        case 0:
          change(n, 0);
          break;
        case 1:
          change(std::max(-used, -n), n);
          break;
        case 2:
          change(0, std::max(-set_aside, -n));
          break;
        default:
          change(-used, 0);
      }
      ASSERT_LE(held.load(core::order::seq_cst), capacity);
      ASSERT_LE(b.load().sum(), capacity);
    }
    change(-used, -set_aside);
  });
  expect_pages(b, 0, 0, withheld);
  EXPECT_LE(b.peak(), capacity - withheld);
  EXPECT_GT(b.peak(), (capacity - withheld) / 2) << "there was a crowd";
}

}  // namespace
}  // namespace pinrail::test
