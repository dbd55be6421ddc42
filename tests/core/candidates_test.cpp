// Candidate bits by size: every position in the class of its size, and no class left out.
#include "core/candidates.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <vector>

#include "support/seed.hpp"

namespace pinrail::test {
namespace {

using candidates = core::candidates<core::native_atomics>;

std::vector<std::uint64_t> random_pages(std::mt19937_64& random, std::size_t blocks, std::uint64_t distinct_sizes) {
  std::vector<std::uint64_t> pages(blocks);
  for (auto& p : pages) p = 1 + random() % distinct_sizes * 7;
  return pages;
}

/// The class whose bits show the position; fails unless it is exactly one.
std::size_t class_with(const candidates& c, std::uint32_t position) {
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < c.classes().size(); ++i)
    if (c.classes()[i].members->test(position)) found.push_back(i);
  EXPECT_EQ(found.size(), 1u) << "position " << position;
  return found.empty() ? 0 : found.front();
}

TEST(candidates, up_to_16_sizes_have_a_class_each) {
  std::mt19937_64 random(run_seed());
  for (int i = 0; i < 100; ++i) {
    const auto pages = random_pages(random, 1 + random() % 100, 1 + random() % candidates::max_classes);
    const std::set<std::uint64_t> sizes(pages.begin(), pages.end());
    candidates c(pages);
    ASSERT_EQ(c.classes().size(), sizes.size());
    auto size = sizes.begin();
    for (const auto& one : c.classes()) EXPECT_EQ(one.largest_pages, *size++) << "by rising size";
    for (std::uint32_t p = 0; p < pages.size(); ++p) {
      c.set(p);
      EXPECT_EQ(c.classes()[class_with(c, p)].largest_pages, pages[p]);
    }
  }
}

TEST(candidates, more_sizes_share_16_classes_between_neighbours) {
  std::mt19937_64 random(run_seed());
  for (const std::uint64_t distinct : {17u, 31u, 100u, 1000u}) {
    const auto pages = random_pages(random, 3000, distinct);
    const std::set<std::uint64_t> sizes(pages.begin(), pages.end());
    ASSERT_GT(sizes.size(), candidates::max_classes);
    candidates c(pages);
    ASSERT_EQ(c.classes().size(), candidates::max_classes);
    EXPECT_EQ(c.classes().back().largest_pages, *sizes.rbegin());
    std::vector<std::set<std::uint64_t>> sizes_of(candidates::max_classes);
    for (std::uint32_t p = 0; p < pages.size(); ++p) {
      c.set(p);
      sizes_of[class_with(c, p)].insert(pages[p]);
    }
    std::uint64_t smaller = 0;
    for (std::size_t i = 0; i < candidates::max_classes; ++i) {
      ASSERT_FALSE(sizes_of[i].empty());
      EXPECT_GT(*sizes_of[i].begin(), smaller) << "classes don't overlap";
      EXPECT_EQ(*sizes_of[i].rbegin(), c.classes()[i].largest_pages) << "a class names its largest size";
      EXPECT_LE(sizes_of[i].size(), sizes.size() / candidates::max_classes + 1) << "evenly spread";
      smaller = c.classes()[i].largest_pages;
    }
  }
}

TEST(candidates, a_change_of_one_position_shows_at_no_other) {
  std::mt19937_64 random(run_seed());
  const auto pages = random_pages(random, 200, 40);
  const core::block_word<core::native_atomics> absent;
  candidates c(pages);
  std::vector<bool> expected(pages.size());
  for (int i = 0; i < 2000; ++i) {
    const auto p = static_cast<std::uint32_t>(random() % pages.size());
    expected[p] = random() % 2;
    expected[p] ? c.set(p) : c.withdraw(p, absent);
    for (std::uint32_t q = 0; q < pages.size(); ++q) ASSERT_EQ(c.test(q), expected[q]) << q << " after " << p;
  }
}

TEST(candidates, withdraw_leaves_the_bit_of_a_block_that_is_a_candidate_all_the_same) {
  const std::vector<std::uint64_t> pages{1, 2};
  candidates c(pages);
  core::block_word<core::native_atomics> word;
  ASSERT_TRUE(word.begin_load());
  word.publish();
  c.set(1);
  c.withdraw(1, word);
  EXPECT_TRUE(c.test(1));
  core::block_bits seen;
  ASSERT_TRUE(word.protect(seen));
  c.withdraw(1, word);
  EXPECT_FALSE(c.test(1));
}

TEST(candidates, of_no_blocks_have_no_classes) { EXPECT_TRUE(candidates({}).classes().empty()); }

}  // namespace
}  // namespace pinrail::test
