// The arena by itself: what moves, what it waits for, what it costs the budget.
#include "residency/arena.hpp"

#include <gtest/gtest.h>

#include "device/simulated/backend.hpp"
#include "pinrail/units.hpp"

namespace pinrail::residency {
namespace {

constexpr std::uint32_t pages = 1000;

/// An arena of 1000 pages, and a slot of ten whose kernel still runs.
struct arena_test : testing::Test {
  devices::simulated_backend device{{.vram_bytes = 1_GiB}};
  devices::timeline timeline{device};
  std::uint32_t joins = *timeline.create_stream();
  std::uint32_t users = *timeline.create_stream();
  std::byte* memory = *device.allocate_arena(pages * 4096);

  std::unique_ptr<arena> with_budget(std::uint32_t budget) {
    return std::make_unique<arena>(timeline, joins, memory, core::page_grid(pages * 16, pages), pages - budget);
  }
  extent slot_at(arena& a, std::uint32_t first) {
    extent slot;
    EXPECT_TRUE(a.take_exact({first, 10}, slot));
    (void)device.launch(timeline.handle(users), 1'000'000);
    (void)slot.fences.add(*timeline.record(users));
    return slot;
  }
  ~arena_test() override {
    timeline.close_stream(joins);
    timeline.close_stream(users);
  }
};

TEST_F(arena_test, held_pages_move_to_the_low_end_and_take_no_more_than_they_need) {
  for (const std::uint32_t budget : {pages, 20u}) {
    const auto a = with_budget(budget);
    extent slot = slot_at(*a, 900);
    a->move_down(slot);
    EXPECT_EQ(slot.run, (page_run{0, 10}));
    EXPECT_EQ(a->budget().load().used, 20u) << "its old pages are in use until the kernel ends";
    EXPECT_EQ(a->draining_pages(), 10u);
    EXPECT_EQ(a->uncharged_pages({10, 890}), 890u) << "the pages between wait for nothing";
    EXPECT_TRUE(slot.fences.empty()) << "it keeps none of them";
    ASSERT_TRUE(timeline.synchronize(users));
    EXPECT_EQ(a->reap(), 10u);
    EXPECT_EQ(a->budget().load().used, 10u);
    EXPECT_EQ(a->largest_free_pages(), pages - 10);
  }
}

TEST_F(arena_test, held_pages_move_over_a_hole_that_is_smaller_than_they_are) {
  const auto a = with_budget(pages);
  extent below;
  ASSERT_TRUE(a->take_exact({0, 5}, below));
  extent slot = slot_at(*a, 8);
  a->move_down(slot);
  EXPECT_EQ(slot.run, (page_run{5, 10}));
  EXPECT_FALSE(slot.fences.empty()) << "it keeps seven of its old pages";
  EXPECT_EQ(a->draining_pages(), 3u);
  EXPECT_EQ(a->largest_free_pages(), pages - 15);
  ASSERT_TRUE(timeline.synchronize(users));
  a->reap();
}

// What the pages below wait for, the moved ones wait for too (A3).
TEST_F(arena_test, held_pages_wait_for_what_is_below) {
  const auto a = with_budget(pages);
  extent below;
  ASSERT_TRUE(a->take_exact({0, 10}, below));
  (void)device.launch(timeline.handle(users), 1'000'000);
  const auto kernel = timeline.record(users);
  ASSERT_TRUE(kernel);
  (void)below.fences.add(*kernel);
  ASSERT_TRUE(a->give(below.run, below.fences));
  extent slot;
  ASSERT_TRUE(a->take_exact({10, 12}, slot));
  a->move_down(slot);
  ASSERT_EQ(slot.run, (page_run{0, 12}));
  ASSERT_EQ(slot.fences.view().size(), 1u);
  EXPECT_EQ(slot.fences.view().front(), *kernel);
  ASSERT_TRUE(timeline.synchronize(users));
  a->reap();
}

TEST_F(arena_test, held_pages_stay_where_the_budget_has_no_room_for_both) {
  const auto a = with_budget(15);
  extent slot = slot_at(*a, 900);
  a->move_down(slot);
  EXPECT_EQ(slot.run, (page_run{900, 10}));
  EXPECT_EQ(a->budget().load().used, 10u);
  ASSERT_TRUE(timeline.synchronize(users));
}

}  // namespace
}  // namespace pinrail::residency
