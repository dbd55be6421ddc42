#include "residency/geometry.hpp"

#include <gtest/gtest.h>

#include "pinrail/error.hpp"
#include "pinrail/units.hpp"

namespace pinrail::residency {
namespace {

TEST(geometry, memory_for_so_many_equal_blocks_holds_so_many) {
  for (const std::uint64_t size :
       {64_MiB, std::uint64_t{100'000'000} / 256 * 256, std::uint64_t{780'000'000}, std::uint64_t{448'297'984},
        std::uint64_t{772'149'248}, std::uint64_t{1'000'192}, std::uint64_t{20'000'256}}) {
    for (const std::uint64_t count :
         {1, 5, 6, 8, 11, 12, 14, 16, 18, 20, 21, 24, 27, 28, 30, 32, 36, 40, 42, 48, 60, 64}) {
      const std::uint64_t budget = size * count;
      const geometry g = geometry_of({.vram_budget = budget, .max_vram_budget = budget});
      EXPECT_EQ(g.budget_pages / g.arena.pages_for(size), count) << size << " bytes a block";
      EXPECT_EQ(g.arena.size_bytes(g.budget_pages), budget);
    }
  }
}

TEST(geometry, pages_are_few_enough_to_search_and_small_enough_to_waste_little) {
  for (const std::uint64_t budget : {256_MiB, 1_GiB, 24_GiB, 80_GiB, 141_GiB, 24'000'000'000u + 0_GiB,
                                     79'999'999'999u + 0_GiB, 12'345'678'901u + 0_GiB, 23'674'566'656u + 0_GiB}) {
    const geometry g = geometry_of({.vram_budget = budget, .max_vram_budget = budget});
    EXPECT_GE(g.arena.pages(), 32768u) << budget;
    EXPECT_LE(g.arena.pages(), 131072u) << budget;
    EXPECT_LE(g.arena.page_bytes(), 2_MiB) << budget;
    EXPECT_LT(budget - g.arena.total_bytes(), core::page_grid::unit_bytes) << "nothing to speak of is left out";
  }
}

TEST(geometry, a_budget_of_less_than_a_page_is_refused) {
  const auto dev = open_device("simulated:vram=24GiB");
  EXPECT_THROW((void)completed({.vram_budget = 400_KiB, .max_vram_budget = 24_GiB}, *dev), error);
  EXPECT_NO_THROW((void)completed({.vram_budget = 1_MiB, .max_vram_budget = 24_GiB}, *dev));
  EXPECT_THROW((void)completed({.vram_budget = 4096, .max_vram_budget = 8191}, *dev), error);
}

TEST(geometry, a_given_page_is_taken_as_it_is) {
  const geometry g = geometry_of({.vram_budget = 10 * 4096 + 5, .max_vram_budget = 12 * 4096, .page_bytes = 4096});
  EXPECT_EQ(g.arena.pages(), 12u);
  EXPECT_EQ(g.budget_pages, 10u);
  EXPECT_EQ(g.arena.offset_bytes(7), 7u * 4096);
}

}  // namespace
}  // namespace pinrail::residency
