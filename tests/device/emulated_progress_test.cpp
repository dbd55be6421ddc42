#include "device/emulated/progress.hpp"

#include <gtest/gtest.h>

#include <thread>

namespace pinrail::devices {
namespace {

TEST(emulated_progress, counts_up_from_complete_nothing) {
  progress p;
  EXPECT_TRUE(p.is_complete(0));
  EXPECT_FALSE(p.is_complete(1));
  p.complete(1, 100);
  EXPECT_TRUE(p.is_complete(1));
  EXPECT_FALSE(p.is_complete(2));
}

TEST(emulated_progress, remembers_when_recent_work_ended) {
  progress p;
  for (std::uint64_t n = 1; n <= 1000; ++n) p.complete(n, 10 * n);
  EXPECT_EQ(p.wait(1000), 10'000u);
  EXPECT_EQ(p.wait(873), 8'730u);
  // Older ends are given late, never early.
  EXPECT_EQ(p.wait(872), 8'730u);
  EXPECT_EQ(p.wait(1), 8'730u);
  EXPECT_EQ(p.wait(0), 0u);
}

TEST(emulated_progress, remembers_all_of_few) {
  progress p;
  p.complete(1, 5);
  p.complete(2, 9);
  EXPECT_EQ(p.wait(1), 5u);
  EXPECT_EQ(p.wait(2), 9u);
}

TEST(emulated_progress, wakes_each_waiter_when_its_work_is_complete) {
  progress p;
  std::thread first([&] { EXPECT_EQ(p.wait(1), 1u); });
  std::thread second([&] {
    EXPECT_EQ(p.wait(2), 2u);
    EXPECT_TRUE(p.is_complete(2));
  });
  p.complete(1, 1);
  first.join();
  p.complete(2, 2);
  second.join();
}

}  // namespace
}  // namespace pinrail::devices
