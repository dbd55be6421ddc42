// The blocks of a runtime: candidate bits that follow the words (E1), estimates of reuse, and what an idle
// runtime remembers of its passes.
#include "core/runtime_blocks.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "core/claim.hpp"
#include "support/interrupted_atomics.hpp"
#include "support/seed.hpp"
#include "support/threads.hpp"

namespace pinrail::test {
namespace {

using core::block_bits;
using core::heading;
using runtime_blocks = core::runtime_blocks<core::native_atomics>;
using interrupted_blocks = core::runtime_blocks<interrupted_atomics>;

// What residency does when a block comes, goes, and is protected or no longer.

template <class A>
void load(core::runtime_blocks<A>& blocks, std::uint32_t p) {
  auto& word = blocks.at(p).word;
  if (word.begin_load() && word.publish().candidate()) blocks.offer(p);
}
template <class A>
void evict(core::runtime_blocks<A>& blocks, std::uint32_t p) {
  const core::runtime_word<A> free_for_all;
  const auto outcome = core::evict(blocks.at(p).word, free_for_all, core::requester::other, [] {});
  if (outcome == core::eviction::done) blocks.withdraw(p);
}
template <class A>
void protect(core::runtime_blocks<A>& blocks, std::uint32_t p) {
  block_bits seen;
  EXPECT_TRUE(blocks.at(p).word.protect(seen));
  if (seen.candidate()) blocks.withdraw(p);
}
template <class A>
void unprotect(core::runtime_blocks<A>& blocks, std::uint32_t p) {
  blocks.at(p).word.unprotect();
  if (blocks.at(p).word.load().candidate()) blocks.offer(p);
}
template <class A>
void protect_and_unprotect(core::runtime_blocks<A>& blocks, std::uint32_t p) {
  protect(blocks, p);
  unprotect(blocks, p);
}
template <class A>
void withdraw(core::runtime_blocks<A>& blocks, std::uint32_t p) {
  blocks.withdraw(p);
}

template <class A>
void expect_no_candidate_is_lost(core::runtime_blocks<A>& blocks, const std::string& where) {
  for (std::uint32_t p = 0; p < blocks.size(); ++p) {
    if (!blocks.at(p).word.load().candidate()) continue;
    EXPECT_TRUE(blocks.bits().test(p)) << "block " << p << ", " << where;
    bool found = false;
    for (const auto& c : blocks.bits().classes()) found = found || c.members->next(p, p + 1) == p;
    EXPECT_TRUE(found) << "block " << p << ", " << where;
  }
}

TEST(runtime_blocks, have_their_sizes_and_are_absent_at_first) {
  const runtime_blocks blocks({3, 1, 4});
  ASSERT_EQ(blocks.size(), 3u);
  EXPECT_EQ(blocks.pages(0), 3u);
  EXPECT_EQ(blocks.pages(2), 4u);
  for (std::uint32_t p = 0; p < 3; ++p) EXPECT_TRUE(blocks.at(p).word.load().absent());
  EXPECT_EQ(blocks.live_passes().live(), 0u);
}

// ---- candidate bits ---------------------------------------------------------------------------------------------

TEST(runtime_blocks, withdraw_clears_the_bit_of_what_is_no_candidate_and_keeps_that_of_what_is) {
  runtime_blocks blocks({1, 1});
  blocks.offer(0);
  blocks.withdraw(0);
  EXPECT_FALSE(blocks.bits().test(0)) << "absent";
  load(blocks, 1);
  blocks.withdraw(1);
  EXPECT_TRUE(blocks.bits().test(1)) << "a candidate that someone believed gone";
  protect(blocks, 1);
  EXPECT_FALSE(blocks.bits().test(1));
  unprotect(blocks, 1);
  EXPECT_TRUE(blocks.bits().test(1));
  (void)blocks.at(1).word.pin();
  blocks.withdraw(1);
  EXPECT_TRUE(blocks.bits().test(1)) << "pins pass too quickly to be kept there";
}

TEST(runtime_blocks, no_candidate_is_lost_wherever_a_change_is_interrupted_by_another) {
  using change = void (*)(interrupted_blocks&, std::uint32_t);
  constexpr change changes[] = {load, evict, protect, unprotect, protect_and_unprotect, withdraw};
  constexpr change ends_a_protection = unprotect;
  const auto try_both = [&](change first, change second, std::uint32_t other, bool resident) {
    at_every_step([&](int step) {
      interrupted_blocks blocks(std::vector<std::uint64_t>(130, 1));
      if (resident) load(blocks, 0), load(blocks, other);
      if (first == ends_a_protection) protect(blocks, 0);
      if (second == ends_a_protection) protect(blocks, other);
      const bool met = interrupted(
          step, [&] { first(blocks, 0); }, [&] { second(blocks, other); });
      expect_no_candidate_is_lost(blocks, "before step " + std::to_string(step));
      return met;
    });
  };
  for (const change first : changes)
    for (const change second : changes)
      for (const std::uint32_t other : {0u, 1u, 64u})
        for (const bool resident : {false, true})
          if (!HasFailure()) try_both(first, second, other, resident);
}

TEST(runtime_blocks, threads_lose_no_candidate) {
  const std::uint64_t seed = run_seed();
  runtime_blocks blocks(std::vector<std::uint64_t>(70, 1));
  on_threads(4, [&](int t) {
    std::mt19937_64 random(seed + static_cast<std::uint64_t>(t));
    for (int i = 0; i < 30'000; ++i) {
      const auto p = static_cast<std::uint32_t>(random() % blocks.size() / 6 * 6);  // few blocks, two words
      switch (random() % 4) {
        case 0:
          load(blocks, p);
          break;
        case 1:
          evict(blocks, p);
          break;
        default:
          protect_and_unprotect(blocks, p);
      }
    }
  });
  expect_no_candidate_is_lost(blocks, "after all threads");
  for (std::uint32_t p = 0; p < blocks.size(); ++p) EXPECT_EQ(blocks.at(p).word.load().protections(), 0u);
}

// ---- data-dependent order ---------------------------------------------------------------------------------------

TEST(runtime_blocks, a_block_is_due_its_usual_interval_after_its_last_use) {
  runtime_blocks blocks({1, 1, 1});
  auto& reuse = blocks.reuse();
  const auto use = [&](std::uint32_t p, int times = 1) {
    for (int i = 0; i < times; ++i) reuse.note_use(p);
  };
  use(1);
  use(0, 9);
  EXPECT_GE(reuse.uses_until(1), 8 * 3) << "used once only";
  use(1);  // 10 after
  EXPECT_EQ(reuse.uses_until(1), 0) << "just used: its kernels may still run";
  use(0, 6);
  EXPECT_EQ(reuse.uses_until(1), 4);
  use(0, 6);
  EXPECT_EQ(reuse.uses_until(1), 2) << "overdue";
  use(0, 5);
  use(1);  // 18 after
  use(0, 5);
  EXPECT_EQ(reuse.uses_until(1), 12 - 5) << "three quarters of the average so far";
  reuse.expect_soon(1);
  EXPECT_EQ(reuse.uses_until(1), 1);
  EXPECT_GT(reuse.uses_until(2), reuse.uses_until(1)) << "never used";
}

// ---- idle runtimes ----------------------------------------------------------------------------------------------

TEST(runtime_blocks, remember_when_a_pass_ended_and_the_last_pace_that_was_measured) {
  runtime_blocks blocks({1});
  EXPECT_EQ(blocks.idle_since_ns(), 0u);
  blocks.note_pass_end(100, 7);
  blocks.note_pass_end(200, 0);
  EXPECT_EQ(blocks.idle_since_ns(), 200u);
  EXPECT_EQ(blocks.pace_ns(), 7u) << "a pass without a pace leaves the one before";
}

TEST(runtime_blocks, count_as_idle_for_longer_the_longer_the_time_between_their_uses) {
  runtime_blocks blocks({1, 1});
  blocks.note_pass_end(1000, 10);
  blocks.backdate(100'000);
  EXPECT_EQ(blocks.idle_since_ns(), 1000u) << "nothing is known of the time between its uses";
  blocks.note_pass_end(1800, 10);
  blocks.backdate(1899);
  EXPECT_EQ(blocks.idle_since_ns(), 1800u) << "kernels may still run for five passes of two blocks, 10 ns each";
  blocks.backdate(1900);
  EXPECT_EQ(blocks.idle_since_ns(), 1700u) << "an eighth of 800";
  blocks.backdate(1900);
  EXPECT_EQ(blocks.idle_since_ns(), 1700u) << "once";
  blocks.note_pass_end(2100, 10);
  EXPECT_EQ(blocks.idle_since_ns(), 2100u) << "used just now";
  blocks.backdate(2200);
  EXPECT_EQ(blocks.idle_since_ns(), 2050u) << "an eighth of 400: earlier intervals count too";
}

TEST(runtime_blocks, expect_the_heading_that_last_followed) {
  using enum heading;
  runtime_blocks blocks({1, 1, 1});
  EXPECT_EQ(blocks.expected_after(forward), forward) << "before anything is known";
  EXPECT_EQ(blocks.parked().now, forward);
  for (int i = 0; i < 3; ++i) blocks.note_pass_begin(forward);
  EXPECT_EQ(blocks.expected_after(forward), forward);
  blocks.note_pass_begin(reverse);
  EXPECT_EQ(blocks.expected_after(forward), reverse);
  EXPECT_EQ(blocks.parked().now, forward) << "nothing has followed a reverse pass yet";
  blocks.note_pass_begin(reverse);
  EXPECT_EQ(blocks.expected_after(reverse), reverse);
  blocks.note_pass_begin(forward);
  EXPECT_EQ(blocks.expected_after(reverse), forward);
  EXPECT_EQ(blocks.expected_after(forward), reverse) << "each heading has its own follower";
}

TEST(runtime_blocks, an_idle_runtime_is_expected_to_begin_its_pattern_again) {
  using enum heading;
  runtime_blocks blocks({1, 1, 1});
  for (int i = 0; i < 3; ++i) {
    blocks.note_pass_begin(forward);
    blocks.note_pass_begin(reverse);
  }
  const core::walk after_reverse = blocks.parked();
  EXPECT_EQ(after_reverse.length, 3u);
  EXPECT_EQ(after_reverse.done, 0u);
  EXPECT_EQ(after_reverse.now, forward);
  EXPECT_EQ(after_reverse.next, reverse);
  blocks.note_pass_begin(forward);
  EXPECT_EQ(blocks.parked().now, reverse);
  EXPECT_EQ(blocks.parked().next, forward);
}

}  // namespace
}  // namespace pinrail::test
