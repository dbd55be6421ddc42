// The block word: its invariants W1-W5 and limits one by one, against a model, and interrupted at every step. Threads
// that use it are in block_test.cpp.
#include "core/block_word.hpp"

#include <gtest/gtest.h>

#include <array>
#include <random>

#include "support/interrupted_atomics.hpp"
#include "support/seed.hpp"
#include "support/settable_atomics.hpp"

namespace pinrail::test {
namespace {

using core::block_bits;
using core::pin_outcome;
using word = core::block_word<core::native_atomics>;
using settable_word = core::block_word<settable_atomics>;
using interrupted_word = core::block_word<interrupted_atomics>;

template <class Word>
void load(Word& w) {
  ASSERT_TRUE(w.begin_load());
  w.publish();
}
template <class Word>
void make_dirty(Word& w) {
  ASSERT_EQ(w.pin(), pin_outcome::held);
  w.mark_dirty();
  w.unpin();
}
/// Claims and takes; false where the protocol forbids it.
template <class Word>
bool take(Word& w) {
  block_bits seen = w.load();
  return seen.evictable() && w.claim(seen) && w.take(seen);
}

// ---- W1: what is pinned stays -----------------------------------------------------------------------------------

TEST(block_word, a_pinned_block_is_neither_claimed_nor_moved) {
  word w;
  load(w);
  block_bits before = w.load();
  ASSERT_EQ(w.pin(), pin_outcome::held);
  EXPECT_FALSE(w.load().evictable());
  EXPECT_FALSE(w.claim(before)) << "as it was before the pin";
  EXPECT_FALSE(w.begin_move());
  EXPECT_FALSE(w.begin_load());
  EXPECT_TRUE(w.load().resident());
  w.unpin();
  EXPECT_TRUE(take(w));
}

TEST(block_word, a_pin_on_a_block_that_is_not_resident_waits_and_counts_from_publish) {
  word w;
  EXPECT_EQ(w.pin(), pin_outcome::waiting);
  ASSERT_TRUE(w.begin_load());
  EXPECT_EQ(w.pin(), pin_outcome::waiting);
  EXPECT_EQ(w.publish().pins(), 2u);
  EXPECT_FALSE(w.load().evictable()) << "both waiters hold it now";
  w.unpin();
  EXPECT_FALSE(w.load().evictable());
  w.unpin();
  EXPECT_TRUE(w.load().evictable());
}

// ---- W2: what touches a block between claim and take -----------------------------------------------------------

void expect_claim_is_lost(void (*touch)(word&)) {
  word w;
  load(w);
  block_bits claimed = w.load();
  ASSERT_TRUE(w.claim(claimed));
  touch(w);
  EXPECT_FALSE(w.take(claimed));
  EXPECT_TRUE(w.load().resident());
  const auto before = w.load().packed();
  w.unclaim(claimed);
  EXPECT_EQ(w.load().packed(), before) << "there is no claim left to give back";
}

TEST(block_word, a_pin_a_protection_and_a_look_take_a_claim_away) {
  expect_claim_is_lost([](word& w) { EXPECT_EQ(w.pin(), pin_outcome::held); });
  expect_claim_is_lost([](word& w) { EXPECT_TRUE(w.seen_resident()); });
  expect_claim_is_lost([](word& w) {
    block_bits seen;
    EXPECT_TRUE(w.protect(seen));
    EXPECT_TRUE(seen.claimed()) << "the answer is what was there before";
  });
}

TEST(block_word, what_came_and_went_between_claim_and_take_counts_too) {
  expect_claim_is_lost([](word& w) {
    EXPECT_EQ(w.pin(), pin_outcome::held);
    w.unpin();
  });
  expect_claim_is_lost([](word& w) {
    block_bits seen;
    EXPECT_TRUE(w.protect(seen));
    w.unprotect();
  });
}

TEST(block_word, an_evictor_can_not_take_by_the_claim_of_another) {
  expect_claim_is_lost([](word& w) {
    EXPECT_TRUE(w.seen_resident());
    block_bits others = w.load();
    EXPECT_TRUE(w.claim(others)) << "only the version tells the claims apart";
  });
}

TEST(block_word, an_unclaimed_block_can_be_claimed_again) {
  word w;
  load(w);
  block_bits first = w.load();
  ASSERT_TRUE(w.claim(first));
  EXPECT_FALSE(w.load().evictable()) << "it is being looked at";
  w.unclaim(first);
  EXPECT_FALSE(w.load().claimed());
  EXPECT_FALSE(w.take(first));
  EXPECT_TRUE(take(w));
  EXPECT_TRUE(w.load().absent());
}

TEST(block_word, a_look_at_a_block_that_is_not_resident_says_so) {
  word w;
  EXPECT_FALSE(w.seen_resident());
  ASSERT_TRUE(w.begin_load());
  EXPECT_FALSE(w.seen_resident());
  w.publish();
  EXPECT_TRUE(w.seen_resident());
}

// ---- W3, W4, W5 -------------------------------------------------------------------------------------------------

TEST(block_word, one_of_all_who_begin_a_load_owns_it_until_it_ends) {
  word w;
  ASSERT_TRUE(w.begin_load());
  EXPECT_FALSE(w.begin_load());
  EXPECT_FALSE(w.begin_move());
  EXPECT_FALSE(w.load().evictable());
  w.abandon_load();
  EXPECT_TRUE(w.load().absent());
  ASSERT_TRUE(w.begin_load());
  w.publish();
  EXPECT_FALSE(w.begin_load());
}

TEST(block_word, a_move_keeps_protections_and_makes_older_looks_stale) {
  word w;
  load(w);
  block_bits seen;
  ASSERT_TRUE(w.protect(seen));
  const block_bits before = w.load();
  ASSERT_TRUE(w.begin_move());
  EXPECT_TRUE(w.load().loading());
  EXPECT_FALSE(w.load().resident());
  w.publish();
  EXPECT_EQ(w.load().protections(), 1u);
  w.unprotect();
  block_bits stale(before.packed() - block_bits::one_protection);
  EXPECT_FALSE(w.claim(stale)) << "it looks the same, but has been moved";
}

TEST(block_word, a_dirty_block_is_never_claimed_nor_one_that_is_being_written_back) {
  word w;
  load(w);
  make_dirty(w);
  EXPECT_FALSE(w.load().evictable());
  EXPECT_FALSE(w.begin_move());
  ASSERT_TRUE(w.begin_write_back());
  EXPECT_FALSE(w.begin_write_back());
  EXPECT_FALSE(w.load().evictable());
  EXPECT_FALSE(w.begin_move());
  w.end_write_back(true);
  EXPECT_TRUE(w.load().evictable());
}

TEST(block_word, what_is_dirtied_during_a_write_back_is_dirty_after_it) {
  word w;
  load(w);
  make_dirty(w);
  ASSERT_TRUE(w.begin_write_back());
  EXPECT_FALSE(w.load().dirty());
  make_dirty(w);
  w.end_write_back(true);
  EXPECT_TRUE(w.load().dirty());
  ASSERT_TRUE(w.begin_write_back());
  w.end_write_back(false);
  EXPECT_TRUE(w.load().dirty()) << "a failed one leaves it dirty";
}

TEST(block_word, a_write_back_begins_only_while_no_one_holds_the_block) {  // W5
  word w;
  load(w);
  make_dirty(w);
  ASSERT_EQ(w.pin(), pin_outcome::held);
  EXPECT_FALSE(w.begin_write_back());
  EXPECT_TRUE(w.load().dirty());
  w.unpin();
  EXPECT_TRUE(w.begin_write_back());
  EXPECT_EQ(w.pin(), pin_outcome::held) << "one under way keeps no one from the block";
}

// ---- limits -----------------------------------------------------------------------------------------------------

TEST(block_word, refuses_a_pin_at_2_to_the_19_and_pins_nothing) {
  word w;
  load(w);
  for (std::uint32_t i = 0; i < 1u << 19; ++i) ASSERT_EQ(w.pin(), pin_outcome::held) << i;
  const auto full = w.load().packed();
  EXPECT_EQ(w.pin(), pin_outcome::refused);
  EXPECT_EQ(w.load().packed(), full);
  w.unpin();
  EXPECT_EQ(w.pin(), pin_outcome::held) << "there is room again";
}

TEST(block_word, refuses_too_many_waiters_as_well) {
  settable_word w;
  ASSERT_EQ(settable_atomics::replace<std::uint64_t>(0, block_bits::too_many_pins - 1), 1);
  EXPECT_EQ(w.pin(), pin_outcome::waiting);
  EXPECT_EQ(w.pin(), pin_outcome::refused);
  EXPECT_EQ(w.load().pins(), 1u << 19);
}

TEST(block_word, refuses_a_protection_at_2_to_the_11_and_protects_nothing) {
  word w;
  load(w);
  block_bits seen;
  for (std::uint32_t i = 0; i < 1u << 11; ++i) {
    ASSERT_TRUE(w.protect(seen));
    ASSERT_EQ(seen.protections(), i);
  }
  const auto full = w.load().packed();
  EXPECT_FALSE(w.protect(seen));
  EXPECT_EQ(seen.packed(), full);
  EXPECT_EQ(w.load().packed(), full);
  EXPECT_EQ(w.unprotect().packed(), full);
  EXPECT_TRUE(w.protect(seen));
}

TEST(block_word, the_version_wraps_without_touching_anything_else) {
  settable_word w;
  load(w);
  const auto clean = w.load().packed();
  const std::uint64_t last_version = ~std::uint64_t{0} << 40;
  ASSERT_EQ(settable_atomics::replace(clean, clean | last_version), 1);
  block_bits seen = w.load();
  ASSERT_TRUE(w.claim(seen));
  EXPECT_EQ(w.load().packed(), clean | block_bits::claim_bit) << "version 0 again";
  ASSERT_TRUE(w.take(seen));
  EXPECT_EQ(w.load().packed(), 0u);
  ASSERT_EQ(settable_atomics::replace(std::uint64_t{0}, clean | last_version), 1);
  ASSERT_TRUE(w.begin_move());
  EXPECT_EQ(w.load().packed(), block_bits::loading_bit | block_bits::moving_bit);
}

// ---- against a model --------------------------------------------------------------------------------------------

struct word_model {
  enum { absent, loading, resident } state = absent;
  std::uint32_t pins = 0, protections = 0;
  bool claimed = false, dirty = false, writing_back = false, moving = false;
  std::uint32_t version = 0;

  [[nodiscard]] bool clean() const { return state == resident && !dirty && !writing_back && !claimed; }
  [[nodiscard]] bool evictable() const { return clean() && pins == 0 && protections == 0; }
};

void expect_same(const word& w, const word_model& m) {
  const block_bits b = w.load();
  ASSERT_EQ(b.pins(), m.pins);
  ASSERT_EQ(b.protections(), m.protections);
  ASSERT_EQ(b.absent(), m.state == word_model::absent);
  ASSERT_EQ(b.loading(), m.state == word_model::loading);
  ASSERT_EQ(b.resident(), m.state == word_model::resident);
  ASSERT_EQ(b.claimed(), m.claimed);
  ASSERT_EQ(b.dirty(), m.dirty);
  ASSERT_EQ(b.writing_back(), m.writing_back);
  ASSERT_EQ(b.packed() >> 40, m.version);
  ASSERT_EQ(b.evictable(), m.evictable());
  ASSERT_EQ(b.candidate(), m.state == word_model::resident && m.protections == 0);
}

/// A word, its model, and the value that the last evictor saw.
struct modelled_word {
  word real;
  word_model m;
  block_bits seen, claimed;

  void users(unsigned choice) {
    const bool resident = m.state == word_model::resident;
    switch (choice) {
      case 0:
        ASSERT_EQ(real.pin(), resident ? pin_outcome::held : pin_outcome::waiting);
        ++m.pins;
        break;
      case 1:
        ASSERT_TRUE(real.protect(seen));
        ++m.protections;
        break;
      case 2:
        ASSERT_EQ(real.seen_resident(), resident || m.moving) << "a block that moves stays on the device";
        break;
      case 3:
        if (m.pins > 0) real.unpin(), --m.pins;
        return;
      case 4:
        if (m.protections > 0) real.unprotect(), --m.protections;
        return;
      default:
        if (m.pins > 0 && resident) real.mark_dirty(), m.dirty = true;
        return;
    }
    m.claimed = false;
  }
  /// By what was seen before, be it stale.
  void evictors(unsigned choice) {
    const bool unchanged = real.load().packed() == claimed.packed();
    switch (choice) {
      case 0:
        if (real.load().evictable()) claimed = real.load();
        break;
      case 1:
        if (!claimed.evictable()) break;
        ASSERT_EQ(real.claim(claimed), unchanged);
        if (unchanged) m.claimed = true, next_version();
        break;
      case 2:
        if (!claimed.claimed()) break;
        real.unclaim(claimed);
        if (unchanged) m.claimed = false;
        break;
      default:
        if (!claimed.claimed()) break;
        ASSERT_EQ(real.take(claimed), unchanged);
        if (unchanged) m.state = word_model::absent, m.claimed = false;
    }
  }
  void loaders(unsigned choice) {
    const bool loads = m.state == word_model::absent, moves = m.clean() && m.pins == 0;
    switch (choice) {
      case 0:
        ASSERT_EQ(real.begin_load(), loads);
        if (loads) m.state = word_model::loading;
        break;
      case 1:
        ASSERT_EQ(real.begin_move(), moves);
        if (moves) m.state = word_model::loading, m.moving = true, next_version();
        break;
      case 2:
        if (m.state == word_model::loading) real.publish(), m.state = word_model::resident, m.moving = false;
        break;
      default:
        if (m.state == word_model::loading) real.abandon_load(), m.state = word_model::absent, m.moving = false;
    }
  }
  void writers(unsigned choice) {
    if (choice == 0) {
      const bool may = m.state == word_model::resident && m.pins == 0 && m.dirty && !m.writing_back && !m.claimed;
      ASSERT_EQ(real.begin_write_back(), may);
      if (may) m.writing_back = true, m.dirty = false;
    } else if (m.writing_back) {
      real.end_write_back(choice == 1);
      m.writing_back = false;
      m.dirty = m.dirty || choice == 2;
    }
  }
  void next_version() { m.version = (m.version + 1) & 0xffffff; }
};

TEST(block_word, does_what_its_model_does) {
  std::mt19937_64 random(run_seed());
  modelled_word w;
  std::array<int, 3> states{};
  int claims = 0, dirties = 0;
  for (int i = 0; i < 200'000; ++i) {
    const auto choice = static_cast<unsigned>(random());
    switch (random() % 8) {
      case 0:
        w.users(choice % 6);
        break;
      case 1:
        w.users(3 + choice % 2);
        break;  // so that pins and protections stay few
      case 2:
        w.writers(choice % 3);
        break;
      case 3:
        w.loaders(choice % 4);
        break;
      default:
        w.evictors(choice % 4);
    }
    ASSERT_NO_FATAL_FAILURE(expect_same(w.real, w.m)) << "after " << i;
    ++states[w.m.state];
    claims += w.m.claimed;
    dirties += w.m.dirty;
  }
  for (const int often : states) EXPECT_GT(often, 1000) << "all states were met";
  EXPECT_GT(claims, 1000);
  EXPECT_GT(dirties, 1000);
}

// ---- interrupted ------------------------------------------------------------------------------------------------

TEST(block_word, a_pin_interrupted_by_an_eviction_holds_or_waits_rightly) {
  const int steps = at_every_step([](int step) {
    interrupted_word w;
    load(w);
    pin_outcome outcome{};
    bool taken = false;
    const bool met = interrupted(
        step, [&] { outcome = w.pin(); }, [&] { taken = take(w); });
    EXPECT_EQ(outcome, taken ? pin_outcome::waiting : pin_outcome::held);
    EXPECT_EQ(w.load().resident(), !taken);
    EXPECT_EQ(w.load().pins(), 1u);
    return met;
  });
  EXPECT_GE(steps, 1);
}

TEST(block_word, pins_and_protections_that_meet_a_claim_end_without_it) {
  for (const bool pins : {false, true}) {
    at_every_step([pins](int step) {
      interrupted_word w;
      load(w);
      block_bits claimed = w.load(), seen;
      (void)w.claim(claimed);
      const auto touch = [&] { pins ? (void)w.pin() : (void)w.protect(seen); };
      const bool met =
          interrupted(step, touch, [&] { EXPECT_EQ(w.take(claimed), step == 0) << "not under a pin or a protection"; });
      EXPECT_FALSE(w.load().claimed());
      EXPECT_EQ(w.load().pins() + w.load().protections(), 1u);
      return met;
    });
  }
}

TEST(block_word, of_two_loads_one_begins_whatever_changes_meanwhile) {
  at_every_step([](int step) {
    interrupted_word w;
    bool first = false, second = false;
    const auto pin_and_load = [&] {
      (void)w.pin();
      second = w.begin_load();
    };
    const bool met = interrupted(
        step, [&] { first = w.begin_load(); }, pin_and_load);
    EXPECT_NE(first, second) << "before step " << step;
    EXPECT_TRUE(w.load().loading());
    return met;
  });
}

TEST(block_word, a_move_or_write_back_that_is_interrupted_by_a_pin_does_not_begin) {
  for (const bool moves : {false, true}) {
    const int steps = at_every_step([moves](int step) {
      interrupted_word w;
      load(w);
      if (!moves) make_dirty(w);
      bool begun = false;
      const bool met = interrupted(
          step, [&] { begun = moves ? w.begin_move() : w.begin_write_back(); }, [&] { (void)w.pin(); });
      EXPECT_EQ(begun, !met) << "before step " << step;
      return met;
    });
    EXPECT_EQ(steps, 2);
  }
}

TEST(block_word, a_block_whose_write_back_failed_is_never_seen_clean) {
  const int steps = at_every_step([](int step) {
    interrupted_word w;
    load(w);
    make_dirty(w);
    EXPECT_TRUE(w.begin_write_back());
    const auto look = [&] {
      EXPECT_TRUE(w.load().dirty() || w.load().writing_back()) << "before step " << step;
      EXPECT_FALSE(take(w));
    };
    return interrupted(
        step, [&] { w.end_write_back(false); }, look);
  });
  EXPECT_EQ(steps, 2);
}

TEST(block_word, users_take_two_steps_at_most) {
  interrupted_word w;
  load(w);
  block_bits seen;
  EXPECT_EQ(steps_of([&] { (void)w.pin(); }), 1);
  EXPECT_EQ(steps_of([&] { w.unpin(); }), 1);
  EXPECT_EQ(steps_of([&] { (void)w.protect(seen); }), 1);
  EXPECT_EQ(steps_of([&] { w.unprotect(); }), 1);
  block_bits claimed = w.load();
  ASSERT_TRUE(w.claim(claimed));
  EXPECT_EQ(steps_of([&] { (void)w.pin(); }), 2) << "it takes a claim away";
}

}  // namespace
}  // namespace pinrail::test
