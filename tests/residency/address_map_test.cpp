#include "residency/address_map.hpp"

#include <gtest/gtest.h>

namespace pinrail::residency {
namespace {

using kind = span_of_pages::kind;

/// f free, e evictable at a cost of one a page, m movable, x fixed; so many pages each.
std::vector<span_of_pages> spans_of(const std::vector<std::pair<char, std::uint32_t>>& text) {
  std::vector<span_of_pages> spans;
  std::uint32_t at = 0;
  for (const auto& [what, pages] : text) {
    const kind k = what == 'f' ? kind::free : what == 'e' ? kind::evictable : what == 'm' ? kind::movable : kind::fixed;
    spans.push_back({.run = {at, pages}, .what = k, .cost = k == kind::evictable ? static_cast<double>(pages) : 0});
    at += pages;
  }
  return spans;
}

TEST(cheapest_window, is_the_one_that_costs_least) {
  const auto w = cheapest_window(spans_of({{'e', 6}, {'e', 6}, {'x', 1}, {'f', 3}, {'e', 5}}), 8);
  ASSERT_TRUE(w);
  EXPECT_EQ(w->run, (page_run{13, 8}));
}

TEST(cheapest_window, of_equals_leaves_the_longest_free_run) {
  // Two of four go in either place. Beside the hole what is left over joins it.
  const auto below = cheapest_window(spans_of({{'e', 4}, {'e', 4}, {'x', 1}, {'f', 2}, {'e', 4}, {'e', 4}}), 7);
  ASSERT_TRUE(below);
  EXPECT_EQ(below->run, (page_run{12, 7})) << "what is left over is right above the hole";
  const auto above = cheapest_window(spans_of({{'e', 4}, {'e', 4}, {'x', 1}, {'e', 4}, {'e', 4}, {'f', 2}}), 7);
  ASSERT_TRUE(above);
  EXPECT_EQ(above->run, (page_run{9, 7})) << "right below it";
}

TEST(cheapest_window, has_no_span_that_it_does_not_need) {
  auto spans = spans_of({{'x', 1}, {'e', 100}, {'f', 5}, {'e', 1}, {'x', 1}});
  spans[3].cost = 0;  // an idle block beside a live one: next to nothing
  const auto w = cheapest_window(spans, 98);
  ASSERT_TRUE(w);
  EXPECT_EQ(w->first, 1u);
  EXPECT_EQ(w->last, 1u);
}

TEST(cheapest_window, never_crosses_what_stays) {
  EXPECT_FALSE(cheapest_window(spans_of({{'f', 4}, {'x', 1}, {'e', 4}, {'m', 1}, {'f', 4}}), 5));
}

TEST(cheapest_slide, moves_the_fewest_pages) {
  const auto w = cheapest_slide(spans_of({{'f', 4}, {'m', 9}, {'f', 4}, {'x', 1}, {'f', 4}, {'m', 2}, {'e', 4}}), 8);
  ASSERT_TRUE(w);
  EXPECT_EQ(w->run, (page_run{18, 10}));
  EXPECT_EQ(w->cost, 2) << "pages";
}

}  // namespace
}  // namespace pinrail::residency
