#include "device/simulated/backend.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

namespace pinrail::devices {
namespace {

constexpr std::uint64_t never = ~std::uint64_t{0};

class simulated_device : public ::testing::Test {
 protected:
  static constexpr std::uint64_t arena_bytes = 1 << 20;

  /// 1 byte per ns in, 2 ns per byte out, instantaneous within; 100 ns latency.
  static host_device_options options() {
    host_device_options o;
    o.vram_bytes = arena_bytes;
    o.bytes_per_second = {1'000'000'000, 500'000'000, 0};
    o.latency_ns = 100;
    return o;
  }

  stream_handle make_stream() { return device.create_stream().value(); }
  event_handle make_event() { return device.create_event().value(); }
  void copy_in(stream_handle s, std::uint64_t size) {
    device.copy(s, direction::host_to_device, arena, host, size).value();
  }
  void copy_out(stream_handle s, std::uint64_t size) {
    device.copy(s, direction::device_to_host, host, arena, size).value();
  }
  void launch(stream_handle s, std::uint64_t duration_ns) { device.launch(s, duration_ns).value(); }
  void record(event_handle e, stream_handle s) { device.record_event(e, s).value(); }
  void wait(stream_handle s, event_handle e) { device.wait_event(s, e).value(); }
  bool query(event_handle e) { return device.query_event(e).value(); }
  /// When all work of the stream so far ends.
  std::uint64_t end_of(stream_handle s) {
    device.synchronize_stream(s).value();
    return device.now_ns();
  }

  simulated_backend device{options()};
  std::byte* const arena = device.allocate_arena(arena_bytes).value();
  std::byte* const host = device.allocate_pinned(arena_bytes).value();
};

TEST_F(simulated_device, tells_what_it_is) {
  EXPECT_EQ(device.kind(), device_kind::simulated);
  EXPECT_EQ(device.name(), "simulated, 1.00 MiB");
  EXPECT_EQ(device.memory_bytes(), arena_bytes);
  EXPECT_FALSE(device.is_threaded());
  EXPECT_EQ(device.wrap_stream(this).code(), errc::not_supported);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(arena) % 4096, 0u);
  EXPECT_EQ(device.allocate_arena(1).code(), errc::out_of_memory);
}

TEST_F(simulated_device, the_arena_can_not_be_touched) {
  std::array<int, 2> pipe_ends{};
  ASSERT_EQ(::pipe(pipe_ends.data()), 0);
  EXPECT_EQ(::write(pipe_ends[1], arena, 1), -1);
  EXPECT_EQ(errno, EFAULT);
  ::close(pipe_ends[0]);
  ::close(pipe_ends[1]);
}

TEST_F(simulated_device, time_stands_still_unless_moved) {
  const stream_handle s = make_stream();
  const event_handle e = make_event();
  launch(s, 1);
  record(e, s);
  EXPECT_EQ(device.now_ns(), 0u);
  EXPECT_FALSE(query(e));
  EXPECT_EQ(device.now_ns(), 0u);
}

TEST_F(simulated_device, a_stream_works_in_order) {
  const stream_handle s = make_stream();
  launch(s, 50);
  copy_in(s, 1000);
  copy_out(s, 1000);
  launch(s, 5);
  EXPECT_EQ(end_of(s), 50u + 1100u + 2100u + 5u);
}

TEST_F(simulated_device, streams_overlap_except_on_one_engine) {
  const stream_handle a = make_stream();
  const stream_handle b = make_stream();
  const stream_handle c = make_stream();
  const stream_handle d = make_stream();
  copy_in(a, 1000);
  copy_in(b, 500);
  copy_out(c, 1000);
  launch(d, 3000);
  EXPECT_EQ(end_of(a), 1100u);
  EXPECT_EQ(end_of(b), 1700u);
  EXPECT_EQ(end_of(c), 2100u);
  EXPECT_EQ(end_of(d), 3000u);
}

TEST_F(simulated_device, an_engine_serves_in_the_order_of_enqueueing) {
  const stream_handle late = make_stream();
  const stream_handle early = make_stream();
  launch(late, 10'000);
  copy_in(late, 1000);
  copy_in(early, 1000);
  EXPECT_EQ(end_of(early), 12'200u);
}

TEST_F(simulated_device, work_starts_when_it_is_enqueued_at_the_earliest) {
  const stream_handle s = make_stream();
  EXPECT_FALSE(device.advance_clock(5000));
  launch(s, 10);
  EXPECT_EQ(end_of(s), 5010u);
  EXPECT_FALSE(device.advance_clock(6000));
  copy_in(s, 900);
  EXPECT_EQ(end_of(s), 7000u);
}

TEST_F(simulated_device, a_wait_holds_later_work) {
  const stream_handle a = make_stream();
  const stream_handle b = make_stream();
  const event_handle e = make_event();
  launch(b, 10);
  launch(a, 700);
  record(e, a);
  launch(a, 9000);
  wait(b, e);
  launch(b, 1);
  EXPECT_EQ(end_of(b), 701u);
}

TEST_F(simulated_device, a_wait_for_what_is_over_holds_nothing_and_hurries_nothing) {
  const stream_handle a = make_stream();
  const stream_handle b = make_stream();
  const event_handle e = make_event();
  launch(a, 10);
  record(e, a);
  launch(b, 700);
  wait(b, e);
  launch(b, 1);
  EXPECT_EQ(end_of(b), 701u);
}

TEST_F(simulated_device, a_wait_keeps_to_what_the_event_was_when_it_was_called) {
  const stream_handle a = make_stream();
  const stream_handle b = make_stream();
  const stream_handle c = make_stream();
  const event_handle e = make_event();
  launch(a, 100);
  record(e, a);
  wait(b, e);
  launch(a, 1000);
  record(e, a);
  wait(c, e);
  EXPECT_EQ(end_of(b), 100u);
  EXPECT_FALSE(query(e));
  EXPECT_EQ(end_of(c), 1100u);
  EXPECT_TRUE(query(e));
}

TEST_F(simulated_device, an_event_never_recorded_is_complete) {
  const stream_handle s = make_stream();
  const event_handle e = make_event();
  EXPECT_TRUE(query(e));
  wait(s, e);
  EXPECT_EQ(end_of(s), 0u);
}

TEST_F(simulated_device, the_clock_goes_from_end_to_end) {
  const stream_handle a = make_stream();
  const stream_handle b = make_stream();
  launch(a, 300);
  launch(a, 200);
  launch(b, 400);
  launch(b, 100);
  const std::vector<std::uint64_t> ends{300, 400, 500};
  for (const std::uint64_t end_ns : ends) {
    EXPECT_TRUE(device.advance_clock(never));
    EXPECT_EQ(device.now_ns(), end_ns);
  }
  EXPECT_FALSE(device.advance_clock(1000));
  EXPECT_EQ(device.now_ns(), 1000u);
}

TEST_F(simulated_device, the_clock_does_not_pass_the_limit) {
  const stream_handle s = make_stream();
  launch(s, 300);
  EXPECT_FALSE(device.advance_clock(299));
  EXPECT_EQ(device.now_ns(), 299u);
  EXPECT_TRUE(device.advance_clock(300));
  EXPECT_EQ(device.now_ns(), 300u);
  EXPECT_FALSE(device.advance_clock(100));  // never backwards
  EXPECT_EQ(device.now_ns(), 300u);
}

TEST_F(simulated_device, ends_that_synchronize_passed_do_not_come_again) {
  const stream_handle a = make_stream();
  const stream_handle b = make_stream();
  launch(a, 100);
  launch(a, 100);
  launch(b, 250);
  EXPECT_EQ(end_of(a), 200u);
  EXPECT_TRUE(device.advance_clock(never));
  EXPECT_EQ(device.now_ns(), 250u);
}

TEST_F(simulated_device, destroying_a_stream_waits_for_its_work) {
  const stream_handle s = make_stream();
  launch(s, 123);
  device.destroy_stream(s);
  EXPECT_EQ(device.now_ns(), 123u);
}

TEST_F(simulated_device, an_event_outlives_its_stream_and_a_wait_its_event) {
  const stream_handle a = make_stream();
  const stream_handle b = make_stream();
  const event_handle e = make_event();
  launch(a, 100);
  record(e, a);
  wait(b, e);
  device.destroy_event(e);
  EXPECT_EQ(end_of(b), 100u);
}

TEST_F(simulated_device, refuses_bad_calls_without_effect) {
  const stream_handle s = make_stream();
  const event_handle e = make_event();
  using enum direction;
  EXPECT_EQ(device.copy(s, host_to_device, arena + arena_bytes, host, 1).code(), errc::device_error);
  EXPECT_EQ(device.copy(s, device_to_device, arena, arena + 1, 2).code(), errc::device_error);
  EXPECT_EQ(device.copy({}, host_to_device, arena, host, 1).code(), errc::device_error);
  EXPECT_EQ(device.launch({}, 1).code(), errc::device_error);
  EXPECT_EQ(device.record_event({}, s).code(), errc::device_error);
  EXPECT_EQ(device.record_event(e, {}).code(), errc::device_error);
  EXPECT_EQ(device.wait_event(s, {}).code(), errc::device_error);
  EXPECT_EQ(device.query_event({}).code(), errc::device_error);
  EXPECT_EQ(device.synchronize_stream({}).code(), errc::device_error);
  EXPECT_EQ(end_of(s), 0u);
}

/// A random program; the times at which its events complete.
std::vector<std::uint64_t> trace(unsigned seed) {
  host_device_options options;
  options.bytes_per_second = {25'000'000'000, 24'000'000'000, 900'000'000'000};
  options.latency_ns = 3000;
  simulated_backend device(options);
  std::byte* const arena = device.allocate_arena(1 << 30).value();
  std::byte* const host = device.allocate_pinned(1 << 20).value();
  std::vector<stream_handle> streams;
  std::vector<event_handle> events;
  for (int i = 0; i < 4; ++i) streams.push_back(device.create_stream().value());
  for (int i = 0; i < 8; ++i) events.push_back(device.create_event().value());
  std::mt19937 random(seed);
  std::vector<std::uint64_t> times;
  for (int i = 0; i < 2000; ++i) {
    const stream_handle s = streams[random() % streams.size()];
    const event_handle e = events[random() % events.size()];
    switch (random() % 6) {
      case 0:
        device.copy(s, direction::host_to_device, arena, host, random() % (1 << 20)).value();
        break;
      case 1:
        device.copy(s, direction::device_to_host, host, arena, random() % (1 << 20)).value();
        break;
      case 2:
        device.launch(s, random() % 50'000).value();
        break;
      case 3:
        device.record_event(e, s).value();
        break;
      case 4:
        device.wait_event(s, e).value();
        break;
      default:
        device.advance_clock(device.now_ns() + random() % 20'000);
    }
    times.push_back(device.now_ns() * 2 + (device.query_event(e).value() ? 1 : 0));
  }
  return times;
}

TEST(simulated_determinism, the_same_calls_give_the_same_times) {
  for (unsigned seed = 1; seed <= 5; ++seed) {
    EXPECT_EQ(trace(seed), trace(seed));
    EXPECT_NE(trace(seed), trace(seed + 1));
  }
}

}  // namespace
}  // namespace pinrail::devices
