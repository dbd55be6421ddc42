// Distances of walks and lists against counting the uses one by one, and the order in which victims are met.
#include "core/walk.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

#include "support/seed.hpp"

namespace pinrail::test {
namespace {

using core::heading;
using core::walk;
using bits = core::bitset<core::native_atomics>;
using farthest_first = core::farthest_first<core::native_atomics>;

constexpr heading headings[] = {heading::forward, heading::reverse};

/// All walks over so many positions.
std::vector<walk> walks_of(std::uint32_t length) {
  std::vector<walk> all;
  for (std::uint32_t done = 0; done <= length; ++done)
    for (const heading now : headings)
      for (const heading next : headings) all.push_back({length, done, now, next});
  return all;
}

std::vector<std::uint32_t> whole_walk(std::uint32_t length, heading h) {
  std::vector<std::uint32_t> positions(length);
  std::iota(positions.begin(), positions.end(), 0u);
  if (h == heading::reverse) std::reverse(positions.begin(), positions.end());
  return positions;
}

/// The positions that are used from here on, to the end of the walk after this one.
std::vector<std::uint32_t> uses_ahead(const walk& w) {
  auto uses = whole_walk(w.length, w.now);
  uses.erase(uses.begin(), uses.begin() + w.done);
  const auto following = whole_walk(w.length, w.next);
  uses.insert(uses.end(), following.begin(), following.end());
  return uses;
}

std::uint32_t count_to(const std::vector<std::uint32_t>& uses, std::uint32_t position) {
  return static_cast<std::uint32_t>(std::find(uses.begin(), uses.end(), position) - uses.begin());
}

TEST(walk, distance_is_the_number_of_uses_before_a_position_comes) {
  for (const std::uint32_t length : {1u, 2u, 3u, 7u, 64u}) {
    for (const walk& w : walks_of(length)) {
      const auto uses = uses_ahead(w);
      for (std::uint32_t p = 0; p < length; ++p)
        ASSERT_EQ(w.distance(p), count_to(uses, p)) << p << " of " << length << " with " << w.done << " done";
    }
  }
}

TEST(walk, position_at_says_which_position_comes_after_so_many_uses) {
  for (const std::uint32_t length : {1u, 2u, 7u, 64u}) {
    for (const walk& w : walks_of(length)) {
      const auto uses = uses_ahead(w);
      for (std::uint32_t ahead = 0; ahead < uses.size(); ++ahead) ASSERT_EQ(w.position_at(ahead), uses[ahead]);
    }
  }
}

TEST(walk, distances_are_right_at_the_largest_lengths) {
  constexpr std::uint32_t length = 1u << 30;
  const walk w{length, length - 1, heading::forward, heading::forward};
  EXPECT_EQ(w.distance(length - 1), 0u);
  EXPECT_EQ(w.distance(length - 2), length - 1);
  const walk turning{length, length, heading::forward, heading::reverse};
  EXPECT_EQ(turning.distance(0), length - 1);
  EXPECT_EQ(turning.position_at(length - 1), 0u);
}

TEST(walk, a_step_of_the_cursor_brings_every_other_position_one_use_nearer) {
  walk w{10, 0, heading::forward, heading::forward};
  for (; w.done < 10; ++w.done) {
    walk after = w;
    ++after.done;
    for (std::uint32_t p = 0; p < 10; ++p)
      EXPECT_EQ(after.distance(p), p == w.done ? 9u : w.distance(p) - 1) << p << " after " << w.done;
  }
}

// ---- farthest_first ---------------------------------------------------------------------------------------------

void expect_falling_distances(const bits& members, const walk& w) {
  std::vector<std::uint32_t> expected;
  for (std::uint32_t p = 0; p < w.length; ++p)
    if (members.test(p)) expected.push_back(p);
  const auto uses = uses_ahead(w);
  std::sort(expected.begin(), expected.end(), [&](auto a, auto b) { return count_to(uses, a) > count_to(uses, b); });

  std::vector<std::uint32_t> listed;
  farthest_first order(members, w);
  for (auto p = order.next(); p != bits::none; p = order.next()) listed.push_back(p);
  ASSERT_EQ(listed, expected) << "length " << w.length << ", done " << w.done;
  EXPECT_EQ(order.next(), bits::none) << "after the end it stays at the end";
}

TEST(farthest_first, lists_each_member_once_by_falling_distance) {
  std::mt19937_64 random(run_seed());
  for (const std::uint32_t length : {1u, 2u, 5u, 64u, 65u, 130u}) {
    for (const walk& w : walks_of(length)) {
      bits members(length);
      const auto crowd = random() % 9;  // none to all
      for (std::uint32_t p = 0; p < length; ++p)
        if (random() % 8 < crowd) members.set(p);
      ASSERT_NO_FATAL_FAILURE(expect_falling_distances(members, w));
    }
  }
}

// ---- list_order -------------------------------------------------------------------------------------------------

std::uint32_t count_in_list(const std::vector<std::uint32_t>& blocks, std::uint32_t block, std::uint32_t done) {
  std::uint32_t uses = 0;
  while (blocks[(done + uses) % blocks.size()] != block) ++uses;
  return uses;
}

TEST(list_order, distance_is_the_number_of_uses_before_a_block_comes_again) {
  std::mt19937_64 random(run_seed());
  for (int i = 0; i < 300; ++i) {
    const auto runtime_length = static_cast<std::uint32_t>(1 + random() % 20);
    std::vector<std::uint32_t> blocks(1 + random() % 40);
    for (auto& b : blocks) b = static_cast<std::uint32_t>(random() % runtime_length);
    const core::list_order list(blocks, runtime_length);

    ASSERT_EQ(list.length(), blocks.size());
    for (std::uint32_t place = 0; place < 2 * blocks.size(); ++place)
      ASSERT_EQ(list.block_at(place), blocks[place % blocks.size()]);
    bool all_listed = true;
    for (std::uint32_t b = 0; b < runtime_length; ++b) {
      const bool listed = std::find(blocks.begin(), blocks.end(), b) != blocks.end();
      ASSERT_EQ(list.contains(b), listed);
      all_listed = all_listed && listed;
      if (!listed) continue;
      for (std::uint32_t done = 0; done < blocks.size(); ++done)
        ASSERT_EQ(list.distance(b, done), count_in_list(blocks, b, done)) << "block " << b << ", done " << done;
      ASSERT_EQ(list.distance(b, list.length()), list.distance(b, 0)) << "at the end of the list";
    }
    ASSERT_EQ(list.contains_all(), all_listed);
  }
}

TEST(list_order, an_empty_list_contains_nothing) {
  const core::list_order list({}, 3);
  EXPECT_EQ(list.length(), 0u);
  EXPECT_FALSE(list.contains_all());
  for (std::uint32_t b = 0; b < 3; ++b) EXPECT_FALSE(list.contains(b));
}

}  // namespace
}  // namespace pinrail::test
