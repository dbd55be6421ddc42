#include "core/page_grid.hpp"

#include <gtest/gtest.h>

namespace pinrail::core {
namespace {

constexpr std::uint64_t unit = page_grid::unit_bytes;

/// Every grid of up to 40 units.
template <class Check>
void for_each_grid(Check&& check) {
  for (std::uint64_t units = 1; units <= 40; ++units)
    for (std::uint32_t pages = 1; pages <= units; ++pages) {
      SCOPED_TRACE(testing::Message() << units << " units, " << pages << " pages");
      check(page_grid(units, pages), units, pages);
    }
}

TEST(page_grid, a_run_holds_its_size_wherever_it_begins) {
  for_each_grid([](const page_grid& g, std::uint64_t, std::uint32_t pages) {
    for (std::uint32_t count = 0; count <= pages; ++count) {
      std::uint64_t least = UINT64_MAX;
      for (std::uint32_t first = 0; first + count <= pages; ++first)
        least = std::min(least, g.offset_bytes(first + count) - g.offset_bytes(first));
      ASSERT_EQ(g.size_bytes(count), least) << count;
    }
  });
}

TEST(page_grid, no_fewer_pages_would_do_and_no_more_would_fit) {
  for_each_grid([](const page_grid& g, std::uint64_t units, std::uint32_t) {
    for (std::uint64_t size = 0; size <= 3 * units * unit; size += unit / 2) {
      const std::uint64_t enough = g.pages_for(size);
      ASSERT_GE(g.size_bytes(enough), size);
      ASSERT_TRUE(enough == 0 || g.size_bytes(enough - 1) < size);
      const std::uint64_t whole = g.whole_pages(size);
      ASSERT_LE(g.size_bytes(whole), size);
      ASSERT_GT(g.size_bytes(whole + 1), size);
    }
  });
}

TEST(page_grid, addresses_lead_back_to_pages) {
  for_each_grid([](const page_grid& g, std::uint64_t units, std::uint32_t pages) {
    std::uint32_t found = 0;
    for (std::uint64_t at = 0; at < units * unit + unit; at += unit / 2) {
      const auto page = g.page_at(at);
      if (!page) continue;
      ++found;
      ASSERT_EQ(g.offset_bytes(*page), at);
    }
    ASSERT_EQ(found, pages);
  });
}

TEST(page_grid, what_no_arena_could_hold_is_no_size) {
  const page_grid g((std::uint64_t{80} << 30) / unit, 40960);
  EXPECT_EQ(g.size_bytes(UINT64_MAX), UINT64_MAX);
  EXPECT_GT(g.pages_for(UINT64_MAX), UINT32_MAX);
  EXPECT_EQ(g.page_at(UINT64_MAX), std::nullopt);
}

}  // namespace
}  // namespace pinrail::core
