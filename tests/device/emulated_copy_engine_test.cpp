#include "device/emulated/copy_engine.hpp"

#include <gtest/gtest.h>

#include <latch>
#include <thread>
#include <vector>

namespace pinrail::devices {
namespace {

TEST(emulated_copy_engine, serves_in_the_order_of_arrival_one_at_a_time) {
  constexpr int copies = 8;
  for (int round = 0; round < 30; ++round) {
    copy_engine engine;
    std::latch release(1);
    std::vector<int> order;  // guarded by the engine: one copy at a time
    std::vector<std::thread> streams;
    for (int i = 0; i < copies; ++i) {
      streams.emplace_back([&, i] {
        engine.run(0, 0, [&] {
          if (i == 0) release.wait();
          order.push_back(i);
          return true;
        });
      });
      while (engine.arrived() != static_cast<std::uint64_t>(i) + 1) std::this_thread::yield();
    }
    release.count_down();
    for (std::thread& stream : streams) stream.join();
    ASSERT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7})) << "round " << round;
  }
}

TEST(emulated_copy_engine, copies_follow_each_other_on_the_schedule) {
  copy_engine engine;
  const std::uint64_t began_ns = steady_now_ns();
  std::uint64_t end_ns = began_ns;
  for (int i = 0; i < 5; ++i) {
    const std::uint64_t next_ns = engine.run(end_ns, 2'000'000, [] { return true; });
    EXPECT_GE(next_ns, end_ns + 2'000'000);
    // It is over in real time when it is over by the schedule.
    EXPECT_GE(steady_now_ns(), next_ns);
    end_ns = next_ns;
  }
  EXPECT_GE(end_ns, began_ns + 10'000'000);
}

TEST(emulated_copy_engine, a_late_stream_is_not_charged_for_its_lateness) {
  // Ready 3 ms ago, by the schedule: a 1 ms copy ended 2 ms ago. On a busy machine this may take a few
  // attempts.
  bool caught_up = false;
  for (int attempt = 0; attempt < 1000 && !caught_up; ++attempt) {
    copy_engine engine;
    const std::uint64_t ready_ns = steady_now_ns() - 3'000'000;
    caught_up = engine.run(ready_ns, 1'000'000, [] { return true; }) == ready_ns + 1'000'000;
  }
  EXPECT_TRUE(caught_up);
}

TEST(emulated_copy_engine, does_not_catch_up_with_a_long_stall) {
  copy_engine engine;
  const std::uint64_t began_ns = steady_now_ns();
  const std::uint64_t end_ns = engine.run(0, 1'000'000, [] { return true; });
  EXPECT_GE(end_ns + longest_lag_ns, began_ns + 1'000'000);
}

TEST(emulated_copy_engine, a_copy_that_did_not_happen_takes_no_time) {
  copy_engine engine;
  constexpr std::uint64_t hour_ns = 3'600'000'000'000;
  engine.run(0, hour_ns, [] { return false; });
  engine.wait_idle();
}

TEST(emulated_copy_engine, wait_idle_waits_for_the_copy_in_progress) {
  copy_engine engine;
  std::latch started(1);
  std::latch release(1);
  bool done = false;
  std::thread stream([&] {
    engine.run(0, 0, [&] {
      started.count_down();
      release.wait();
      done = true;
      return true;
    });
  });
  started.wait();
  std::thread waiter([&] {
    engine.wait_idle();
    EXPECT_TRUE(done);
  });
  while (engine.arrived() != 2) std::this_thread::yield();
  release.count_down();
  waiter.join();
  stream.join();
}

}  // namespace
}  // namespace pinrail::devices
