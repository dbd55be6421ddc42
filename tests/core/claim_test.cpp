// Eviction in three steps: what it takes, what it leaves alone, and what may come between its steps (W2, R1-R3).
#include "core/claim.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "support/interrupted_atomics.hpp"
#include "support/threads.hpp"

namespace pinrail::test {
namespace {

using core::block_bits;
using core::evict;
using core::eviction;
using core::requester;

/// A resident block and its runtime's word.
template <class A = core::native_atomics>
struct resident_block {
  core::block_word<A> word;
  core::runtime_word<A> rules;
  int captures = 0;

  resident_block() {
    EXPECT_TRUE(word.begin_load());
    word.publish();
  }
  eviction evict_by(requester who = requester::other) {
    return evict(word, rules, who, [&] { ++captures; });
  }
  /// Something else happens between the read of the rules and the end.
  eviction evict_around(const std::function<void()>& in_between) {
    return evict(word, rules, requester::other, in_between);
  }
};

TEST(claim, an_evicted_block_is_absent_and_can_be_loaded_at_once) {
  resident_block b;
  EXPECT_EQ(b.evict_by(), eviction::done);
  EXPECT_EQ(b.captures, 1);
  EXPECT_TRUE(b.word.load().absent());
  EXPECT_FALSE(b.word.load().claimed());
  EXPECT_EQ(b.evict_by(), eviction::busy) << "there is nothing to take";
  EXPECT_TRUE(b.word.begin_load());
  EXPECT_EQ(b.evict_by(), eviction::busy) << "it is loading";
  EXPECT_EQ(b.captures, 1) << "what is not claimed is not looked into";
}

TEST(claim, what_is_pinned_protected_or_dirty_is_busy) {
  resident_block b;
  block_bits seen;
  EXPECT_EQ(b.word.pin(), core::pin_outcome::held);
  EXPECT_EQ(b.evict_by(), eviction::busy);
  EXPECT_TRUE(b.word.protect(seen));
  b.word.mark_dirty();
  b.word.unpin();
  EXPECT_EQ(b.evict_by(), eviction::busy);
  b.word.unprotect();
  EXPECT_EQ(b.evict_by(), eviction::busy) << "dirty";
  EXPECT_TRUE(b.word.begin_write_back());
  EXPECT_EQ(b.evict_by(), eviction::busy) << "being written back";
  b.word.end_write_back(true);
  EXPECT_EQ(b.captures, 0);
  EXPECT_EQ(b.evict_by(), eviction::done);
}

TEST(claim, the_runtime_word_forbids_and_leaves_no_claim) {
  for (const requester who : {requester::owner, requester::other, requester::other_extreme}) {
    for (const bool guarded : {false, true}) {
      for (int kind = 0; kind < 3; ++kind) {
        resident_block b;
        b.rules.follow(kind == 1, kind == 2, 1);
        if (guarded) (void)b.rules.guard();
        const bool forbidden =
            guarded || (kind == 1 && who != requester::owner) || (kind == 2 && who == requester::other);
        EXPECT_EQ(b.evict_by(who), forbidden ? eviction::forbidden : eviction::done);
        EXPECT_EQ(b.captures, forbidden ? 0 : 1);
        EXPECT_EQ(b.word.load().resident(), forbidden);
        EXPECT_FALSE(b.word.load().claimed());
      }
    }
  }
}

TEST(claim, captures_while_the_block_is_still_its_own) {
  resident_block b;
  EXPECT_EQ(b.evict_around([&] { EXPECT_TRUE(b.word.load().claimed()); }), eviction::done);
}

// ---- between the steps ------------------------------------------------------------------------------------------

TEST(claim, what_touches_the_block_before_the_end_keeps_it) {
  const std::function<void(resident_block<>&)> touches[] = {
      [](auto& b) { EXPECT_EQ(b.word.pin(), core::pin_outcome::held); },
      [](auto& b) {
        EXPECT_EQ(b.word.pin(), core::pin_outcome::held);
        b.word.unpin();
      },
      [](auto& b) {
        block_bits seen;
        EXPECT_TRUE(b.word.protect(seen));
      },
      [](auto& b) { EXPECT_TRUE(b.word.seen_resident()); },
  };
  for (const auto& touch : touches) {
    resident_block b;
    EXPECT_EQ(b.evict_around([&] { touch(b); }), eviction::busy);
    EXPECT_TRUE(b.word.load().resident());
    EXPECT_FALSE(b.word.load().claimed());
  }
}

TEST(claim, a_guard_after_the_rules_were_read_comes_too_late_and_sees_the_block_go) {
  resident_block b;
  EXPECT_EQ(b.evict_around([&] { (void)b.rules.guard(); }), eviction::done) << "it took effect when it read the rules";
  EXPECT_FALSE(b.word.seen_resident());
}

TEST(claim, what_is_seen_under_a_guard_stays_however_late_the_guard_came) {
  resident_block b;
  bool seen = false;
  EXPECT_EQ(b.evict_around([&] { seen = b.rules.guard() && b.word.seen_resident(); }), eviction::busy);
  EXPECT_TRUE(seen);
  EXPECT_TRUE(b.word.load().resident());
}

TEST(claim, an_eviction_within_another_finds_the_block_claimed) {
  resident_block b;
  eviction inner{};
  EXPECT_EQ(b.evict_around([&] { inner = b.evict_by(); }), eviction::done);
  EXPECT_EQ(inner, eviction::busy);
}

TEST(claim, an_eviction_whose_claim_was_taken_away_leaves_the_block_to_another) {
  resident_block b;
  eviction inner{};
  const auto look_and_evict = [&] {
    EXPECT_TRUE(b.word.seen_resident());
    inner = b.evict_by();
  };
  EXPECT_EQ(b.evict_around(look_and_evict), eviction::busy);
  EXPECT_EQ(inner, eviction::done);
}

TEST(claim, an_eviction_leaves_the_claim_of_another_alone) {
  resident_block b;
  const auto look_and_claim = [&] {
    EXPECT_TRUE(b.word.seen_resident());
    block_bits others = b.word.load();
    EXPECT_TRUE(b.word.claim(others));
  };
  EXPECT_EQ(b.evict_around(look_and_claim), eviction::busy);
  EXPECT_TRUE(b.word.load().claimed());
}

// ---- interrupted ------------------------------------------------------------------------------------------------

using interrupted_block = resident_block<interrupted_atomics>;

/// Runs `other` before each step of an eviction; the block must then be there exactly if `other` says that it holds it.
void expect_kept_if_held(const std::function<bool(interrupted_block&)>& other) {
  const int steps = at_every_step([&](int step) {
    interrupted_block b;
    bool held = false;
    eviction outcome{};
    const bool met = interrupted(
        step, [&] { outcome = b.evict_by(); }, [&] { held = other(b); });
    EXPECT_EQ(b.word.load().resident(), outcome != eviction::done) << "before step " << step;
    EXPECT_TRUE(!held || outcome != eviction::done) << "taken from who held it, before step " << step;
    EXPECT_FALSE(b.word.load().claimed()) << "before step " << step;
    return met;
  });
  EXPECT_EQ(steps, 4) << "look, claim, read the rules, take";
}

TEST(claim, holds_against_whoever_comes_in_between) {
  expect_kept_if_held([](auto& b) { return b.word.pin() == core::pin_outcome::held; });
  expect_kept_if_held([](auto& b) {
    block_bits seen;
    return b.word.protect(seen) && seen.resident();
  });
  expect_kept_if_held([](auto& b) { return b.rules.guard() && b.word.seen_resident(); });
  expect_kept_if_held([](auto& b) {
    (void)b.word.pin();
    b.word.mark_dirty();
    b.word.unpin();
    return b.word.load().resident();
  });
}

TEST(claim, a_forbidden_eviction_is_never_seen_to_have_taken_the_block) {
  at_every_step([](int step) {
    interrupted_block b;
    b.rules.follow(true, false, 1);
    return interrupted(
        step, [&] { EXPECT_EQ(b.evict_by(), eviction::forbidden); },
        [&] { EXPECT_TRUE(b.word.load().resident()) << "before step " << step; });
  });
}

TEST(claim, of_evictions_at_once_one_takes_the_block) {
  at_every_step([](int step) {
    interrupted_block b;
    eviction first{}, second = eviction::busy;
    const bool met = interrupted(
        step, [&] { first = b.evict_by(); }, [&] { second = b.evict_by(); });
    EXPECT_EQ((first == eviction::done) + (second == eviction::done), 1) << "before step " << step;
    EXPECT_TRUE(b.word.load().absent());
    return met;
  });
}

TEST(claim, threads_take_a_block_once_for_each_load) {
  resident_block b;
  std::vector<int> taken(4), loaded(4);
  on_threads(4, [&](int t) {
    const auto i = static_cast<std::size_t>(t);
    for (int n = 0; n < 20'000; ++n) {
      taken[i] += evict(b.word, b.rules, requester::other, [] {}) == eviction::done;
      if (!b.word.begin_load()) continue;
      b.word.publish();
      ++loaded[i];
    }
  });
  EXPECT_EQ(taken[0] + taken[1] + taken[2] + taken[3] + b.word.load().resident(),
            1 + loaded[0] + loaded[1] + loaded[2] + loaded[3]);
}

}  // namespace
}  // namespace pinrail::test
