// Candidate bits: against std::set, under interruption at every step, and with threads (E1).
#include "core/bitset.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <initializer_list>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "support/interrupted_atomics.hpp"
#include "support/seed.hpp"
#include "support/threads.hpp"

namespace pinrail::test {
namespace {

using bits = core::bitset<core::native_atomics>;
using interrupted_bits = core::bitset<interrupted_atomics>;

/// Every member as a search in that direction finds them.
template <class Bits>
std::vector<std::uint32_t> members_upwards(const Bits& b) {
  std::vector<std::uint32_t> all;
  for (auto p = b.next(0, b.size()); p != Bits::none; p = b.next(p + 1, b.size())) all.push_back(p);
  return all;
}
template <class Bits>
std::vector<std::uint32_t> members_downwards(const Bits& b) {
  std::vector<std::uint32_t> all;
  for (auto p = b.previous(b.size(), 0); p != Bits::none; p = b.previous(p, 0)) all.push_back(p);
  return {all.rbegin(), all.rend()};
}

// ---- against a model --------------------------------------------------------------------------------------------

class bitset_of_size : public testing::TestWithParam<std::uint32_t> {
 protected:
  /// Mostly near a border of words, near the ends, or where something was before: there the levels meet.
  std::uint32_t some_position() {
    const std::uint32_t size = GetParam();
    std::uint64_t p = random_() % size;
    switch (random_() % 5) {
      case 0:
        p = p / 64 * 64 + random_() % 3;
        break;
      case 1:
        p = p / 4096 * 4096 + 4095 + random_() % 3;
        break;
      case 2:
        p = size - 1 - p % 3;
        break;
      case 3:
        p = last_ + random_() % 3;
        break;
      default:
        break;
    }
    return last_ = static_cast<std::uint32_t>(p % size);
  }
  [[nodiscard]] std::uint32_t next(std::uint32_t from, std::uint32_t end) const {
    const auto found = model_.lower_bound(from);
    return found != model_.end() && *found < end ? *found : bits::none;
  }
  [[nodiscard]] std::uint32_t previous(std::uint32_t from, std::uint32_t begin) const {
    const auto after = model_.lower_bound(from);
    if (after == model_.begin() || *std::prev(after) < begin) return bits::none;
    return *std::prev(after);
  }

  bits tested_{GetParam()};
  std::set<std::uint32_t> model_;
  std::mt19937_64 random_{run_seed()};
  std::uint32_t last_ = 0;
};
INSTANTIATE_TEST_SUITE_P(sizes, bitset_of_size, testing::Values(1, 2, 63, 64, 65, 4095, 4096, 4097, 1'000'000),
                         testing::PrintToStringParamName());

TEST_P(bitset_of_size, does_what_a_set_does) {
  EXPECT_EQ(tested_.size(), GetParam());
  for (int i = 0; i < 30'000; ++i) {
    const std::uint32_t p = some_position();
    // Phases of growing, of shrinking, and of hardly anything in it.
    const bool sets = random_() % 8 < (i / 5'000 % 3 == 0 ? 6u : i / 5'000 % 3 == 1 ? 4u : 1u);
    if (sets) {
      tested_.set(p), model_.insert(p);
    } else {
      tested_.clear(p), model_.erase(p);
      const std::uint32_t near = next(p, bits::none);
      if (near != bits::none) tested_.clear(near), model_.erase(near);
    }
    ASSERT_EQ(tested_.test(p), sets);
    const std::uint32_t from = some_position(), limit = some_position();
    ASSERT_EQ(tested_.test(from), model_.contains(from));
    ASSERT_EQ(tested_.next(from, limit), next(from, limit)) << from << " to " << limit << " at " << i;
    ASSERT_EQ(tested_.next(from, GetParam()), next(from, GetParam())) << from << " at " << i;
    ASSERT_EQ(tested_.previous(from, limit), previous(from, limit)) << from << " down to " << limit << " at " << i;
    ASSERT_EQ(tested_.previous(from + 1, 0), previous(from + 1, 0)) << from + 1 << " at " << i;
  }
  const std::vector<std::uint32_t> all(model_.begin(), model_.end());
  EXPECT_EQ(members_upwards(tested_), all);
  EXPECT_EQ(members_downwards(tested_), all);
}

TEST_P(bitset_of_size, is_empty_at_first_and_after_all_were_cleared) {
  const std::uint32_t size = GetParam();
  EXPECT_EQ(tested_.next(0, size), bits::none);
  EXPECT_EQ(tested_.previous(size, 0), bits::none);
  for (std::uint32_t p = 0; p < size; ++p) tested_.set(p);
  EXPECT_EQ(members_upwards(tested_).size(), size);
  EXPECT_EQ(members_downwards(tested_).size(), size);
  for (std::uint32_t p = 0; p < size; ++p) tested_.clear(p);
  EXPECT_EQ(tested_.next(0, size), bits::none);
  EXPECT_EQ(tested_.previous(size, 0), bits::none);
}

TEST(bitset, of_no_positions_finds_nothing) {
  const interrupted_bits none(0);
  EXPECT_EQ(none.next(0, 0), interrupted_bits::none);
  EXPECT_EQ(none.previous(0, 0), interrupted_bits::none);
}

// ---- progress ---------------------------------------------------------------------------------------------------

TEST(bitset, a_search_takes_a_few_loads_at_any_size) {
  interrupted_bits b(1'000'000);
  b.set(0), b.set(999'999);
  EXPECT_LE(steps_of([&] { EXPECT_EQ(b.next(1, b.size()), 999'999u); }), 8);
  EXPECT_LE(steps_of([&] { EXPECT_EQ(b.previous(999'999, 0), 0u); }), 8);
  EXPECT_LE(steps_of([&] { EXPECT_EQ(b.next(1, 999'999), interrupted_bits::none); }), 8);
}

TEST(bitset, set_and_clear_take_a_few_steps_a_level) {
  interrupted_bits b(1'000'000);  // four levels
  EXPECT_LE(steps_of([&] { b.set(77'777); }), 4 + 3);
  EXPECT_LE(steps_of([&] { b.set(77'777); }), 1 + 3);
  EXPECT_LE(steps_of([&] { b.clear(77'777); }), 1 + 2 * 3);
  EXPECT_EQ(b.next(0, b.size()), interrupted_bits::none);
}

TEST(bitset, clears_leave_no_summary_to_step_over) {
  interrupted_bits b(1'000'000);
  for (std::uint32_t p = 0; p < b.size(); p += 50) b.set(p);
  for (std::uint32_t p = 0; p < b.size(); p += 50) b.clear(p);
  EXPECT_LE(steps_of([&] { EXPECT_EQ(b.next(0, b.size()), interrupted_bits::none); }), 4);
  EXPECT_LE(steps_of([&] { EXPECT_EQ(b.previous(b.size(), 0), interrupted_bits::none); }), 4);
}

// ---- interrupted ------------------------------------------------------------------------------------------------

struct change {
  bool sets;
  std::uint32_t position;

  void on(interrupted_bits& b) const { sets ? b.set(position) : b.clear(position); }
};

/// A member, its neighbour in the same word, one in the next word, one under another word of the level above, and one
/// under another word of the level above that.
constexpr std::uint32_t places[] = {5, 6, 70, 4096 + 3, 64 * 4096 + 9};
constexpr std::uint32_t four_levels = 65 * 4096;

std::vector<change> all_changes() {
  std::vector<change> all;
  for (const std::uint32_t p : places) all.insert(all.end(), {{true, p}, {false, p}});
  return all;
}

/// The leaves are the truth; the summaries must say the same once nothing is under way.
void expect_every_member_is_found(const interrupted_bits& b, const std::string& where) {
  std::vector<std::uint32_t> members;
  for (const std::uint32_t p : places)
    if (b.test(p)) members.push_back(p);
  ASSERT_EQ(members_upwards(b), members) << where;
  ASSERT_EQ(members_downwards(b), members) << where;
}

std::string say(const change& c) { return fmt::format("{} {}", c.sets ? "set" : "clear", c.position); }

TEST(bitset, no_member_is_lost_wherever_a_change_is_interrupted_by_another) {
  const auto try_both = [](unsigned members, const change& first, const change& second) {
    return at_every_step([&](int step) {
      interrupted_bits b(four_levels);
      for (std::size_t i = 0; i < std::size(places); ++i)
        if (members >> i & 1) b.set(places[i]);
      const bool met = interrupted(
          step, [&] { first.on(b); }, [&] { second.on(b); });
      const std::string where = fmt::format("{} before step {} of {}", say(second), step, say(first));
      expect_every_member_is_found(b, where);
      if (met && first.position != second.position) {
        EXPECT_EQ(b.test(first.position), first.sets) << where;
        EXPECT_EQ(b.test(second.position), second.sets) << where;
      }
      return met;
    });
  };
  int tried = 0;
  for (unsigned members = 0; members < 1u << std::size(places) && !HasFailure(); ++members)
    for (const change& first : all_changes())
      for (const change& second : all_changes()) tried += try_both(members, first, second);
  EXPECT_TRUE(HasFailure() || tried > 10'000) << tried;
}

/// Calls `attempt(first, second, third)` for every clear of one member, and any two changes.
template <class Attempt>
void for_all_threes(Attempt&& attempt) {
  for (const std::uint32_t member : places)
    for (const change& second : all_changes())
      for (const change& third : all_changes())
        if (!testing::Test::HasFailure()) attempt(change{false, member}, second, third);
}

TEST(bitset, no_member_is_lost_when_the_interruption_is_interrupted_too) {
  for_all_threes([](const change& first, const change& second, const change& third) {
    at_every_step([&](int step) {
      bool met = false;
      at_every_step([&](int inner) {
        interrupted_bits b(four_levels);
        b.set(first.position);
        bool inner_met = false;
        const auto both = [&] {
          inner_met = interrupted(
              inner, [&] { second.on(b); }, [&] { third.on(b); });
        };
        met = interrupted(
            step, [&] { first.on(b); }, both);
        expect_every_member_is_found(b, fmt::format("{} before step {} of {} before step {} of {}", say(third), inner,
                                                    say(second), step, say(first)));
        return inner_met;
      });
      return met;
    });
  });
}

TEST(bitset, no_member_is_lost_when_a_change_is_interrupted_twice) {
  for_all_threes([](const change& first, const change& second, const change& third) {
    for (const std::uint32_t member : places) {
      at_every_step([&](int step) {
        int met = 0;
        at_every_step([&](int more) {
          interrupted_bits b(four_levels);
          b.set(first.position), b.set(member);
          met = interrupted_twice(
              step, more, [&] { first.on(b); }, [&] { second.on(b); }, [&] { third.on(b); });
          expect_every_member_is_found(b, fmt::format("{} before step {} of {}, {} after {} more", say(second), step,
                                                      say(first), say(third), more));
          return met == 2;
        });
        return met > 0;
      });
    }
  });
}

TEST(bitset, a_set_is_found_though_an_earlier_setter_was_stopped) {
  for (const std::uint32_t stopped : places) {
    for (const std::uint32_t p : places) {
      at_every_step([&](int step) {
        interrupted_bits b(four_levels);
        const auto set_and_find = [&] {
          b.set(p);
          EXPECT_EQ(b.next(p, b.size()), p) << "set " << stopped << " stopped before step " << step;
          EXPECT_EQ(b.previous(p + 1, 0), p) << "set " << stopped << " stopped before step " << step;
        };
        return interrupted(
            step, [&] { b.set(stopped); }, set_and_find);
      });
    }
  }
}

TEST(bitset, a_search_steps_over_the_summary_of_a_stopped_clear) {
  for (const std::uint32_t other : {70u, 4096u + 3, 64u * 4096 + 9}) {
    const int steps = at_every_step([&](int step) {
      interrupted_bits b(four_levels);
      b.set(5), b.set(other);
      const auto search = [&] {
        EXPECT_EQ(b.next(0, b.size()), step == 0 ? 5 : other) << "before step " << step;
        EXPECT_EQ(b.previous(other, 0), step == 0 ? 5 : interrupted_bits::none) << "before step " << step;
      };
      return interrupted(
          step, [&] { b.clear(5); }, search);
    });
    EXPECT_GE(steps, 3);
  }
}

// ---- threads ----------------------------------------------------------------------------------------------------

TEST(bitset, threads_that_share_words_lose_no_member) {
  constexpr int threads = 4;
  const std::uint64_t seed = run_seed();
  for (const std::uint32_t size : {61u, 128u, 4097u, 300'000u}) {
    bits b(size);
    std::vector<std::vector<bool>> expected(threads, std::vector<bool>(size));
    on_threads(threads, [&](int t) {
      // Each thread changes the positions that are its own modulo the number of threads, few words at a time.
      std::mt19937_64 random(seed + static_cast<std::uint64_t>(t));
      auto& mine = expected[static_cast<std::size_t>(t)];
      for (int i = 0; i < 30'000; ++i) {
        const auto region = static_cast<std::uint32_t>(i / 100 * 7919);
        const auto any = static_cast<std::uint32_t>((region + random() % 130 * 33) % size);
        const std::uint32_t p = any / threads * threads + static_cast<std::uint32_t>(t);
        if (p >= size) continue;
        mine[p] = random() % 3 == 0;
        mine[p] ? b.set(p) : b.clear(p);
        if (b.test(p) != mine[p]) ADD_FAILURE() << "position " << p << " of thread " << t;
      }
    });
    std::vector<std::uint32_t> members;
    for (std::uint32_t p = 0; p < size; ++p)
      if (expected[p % threads][p]) members.push_back(p);
    EXPECT_EQ(members_upwards(b), members);
    EXPECT_EQ(members_downwards(b), members);
  }
}

}  // namespace
}  // namespace pinrail::test
