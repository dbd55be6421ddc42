// Memory, streams and events of the emulated device.
#include "device/emulated/backend.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <numeric>
#include <thread>
#include <vector>

#include "emulated_fixture.hpp"

namespace pinrail::devices {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using emulated_device = emulated_fixture;

// ---- memory -----------------------------------------------------------------------------------------------

TEST_F(emulated_device, tells_what_it_is) {
  EXPECT_EQ(device.kind(), device_kind::emulated);
  EXPECT_EQ(device.name(), "emulated, 1.00 MiB");
  EXPECT_EQ(device.memory_bytes(), arena_bytes);
  EXPECT_TRUE(device.is_threaded());
  EXPECT_FALSE(device.advance_clock(~std::uint64_t{0}));
  EXPECT_EQ(device.wrap_stream(this).code(), errc::not_supported);
  const std::uint64_t before_ns = device.now_ns();
  EXPECT_GE(device.now_ns(), before_ns);
}

TEST_F(emulated_device, refuses_an_arena_beyond_its_memory) {
  const auto refused = device.allocate_arena(1);
  EXPECT_EQ(refused.why().code, errc::out_of_memory);
  EXPECT_EQ(refused.why().available_bytes, 0u);
}

TEST_F(emulated_device, freeing_the_arena_waits_for_its_work) {
  const stream_handle stream = make_stream();
  gate hold;
  bool done = false;
  launch(stream, hold.kernel());
  launch(stream, [&] {
    arena[5] = std::byte{5};
    done = true;
  });
  hold.await_kernel();
  std::thread opener([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    hold.open();
  });
  device.free_arena(arena);
  EXPECT_TRUE(done);
  EXPECT_EQ(device.live_resources().arena_bytes, 0u);
  opener.join();
}

TEST_F(emulated_device, pinned_memory_freed_under_a_copy_stays_until_the_copy_is_done) {
  const stream_handle stream = make_stream();
  gate hold;
  std::byte* const from = make_pinned(4096);
  std::memset(from, 7, 4096);
  launch(stream, hold.kernel());
  copy_in(stream, 0, from, 4096);
  device.free_pinned(from);
  EXPECT_EQ(device.live_resources().pinned_bytes, 0u);
  std::memset(make_pinned(4096), 9, 4096);  // would most likely be the same memory
  hold.open();
  synchronize(stream);
  EXPECT_EQ(arena[4095], std::byte{7});
  EXPECT_THAT(device.violations(), ElementsAre(HasSubstr("pinned block 0 is freed")));
}

TEST_F(emulated_device, ignores_null_in_calls_that_free) {
  device.free_arena(nullptr);
  device.free_pinned(nullptr);
  device.destroy_event({});
  device.destroy_stream({});
}

TEST_F(emulated_device, counts_live_resources) {
  const stream_handle stream = make_stream();
  const event_handle event = make_event();
  std::byte* const pinned = make_pinned(100);
  const emulated::resources live = device.live_resources();
  EXPECT_EQ(live.arena_bytes, arena_bytes);
  EXPECT_EQ(live.pinned_bytes, 100u);
  EXPECT_EQ(live.streams, 1u);
  EXPECT_EQ(live.events, 1u);
  device.destroy_stream(stream);
  device.destroy_event(event);
  device.free_pinned(pinned);
  device.free_arena(arena);
  const emulated::resources left = device.live_resources();
  EXPECT_EQ(left.arena_bytes + left.pinned_bytes + left.streams + left.events, 0u);
}

// ---- streams ----------------------------------------------------------------------------------------------

TEST_F(emulated_device, a_stream_works_in_order) {
  const stream_handle stream = make_stream();
  std::vector<int> order;
  for (int i = 0; i < 100; ++i) launch(stream, [&order, i] { order.push_back(i); });
  synchronize(stream);
  std::vector<int> expected(100);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(order, expected);
}

TEST_F(emulated_device, streams_do_not_wait_for_each_other) {
  const stream_handle held = make_stream();
  const stream_handle free = make_stream();
  gate hold;
  launch(held, hold.kernel());
  bool ran = false;
  launch(free, [&] { ran = true; });
  synchronize(free);
  EXPECT_TRUE(ran);
}

TEST_F(emulated_device, what_a_kernel_captured_is_gone_after_synchronize) {
  const stream_handle stream = make_stream();
  auto captured = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = captured;
  launch(stream, [captured = std::move(captured)] {});
  synchronize(stream);
  EXPECT_TRUE(watch.expired());
}

TEST_F(emulated_device, destroying_a_stream_finishes_its_work) {
  const stream_handle stream = make_stream();
  int ran = 0;
  for (int i = 0; i < 50; ++i) launch(stream, [&] { ++ran; });
  device.destroy_stream(stream);
  EXPECT_EQ(ran, 50);
  EXPECT_EQ(device.live_resources().streams, 0u);
}

TEST_F(emulated_device, null_handles_are_errors) {
  const stream_handle stream = make_stream();
  const event_handle event = make_event();
  EXPECT_EQ(device.synchronize_stream({}).code(), errc::device_error);
  EXPECT_EQ(device.record_event({}, stream).code(), errc::device_error);
  EXPECT_EQ(device.record_event(event, {}).code(), errc::device_error);
  EXPECT_EQ(device.wait_event({}, event).code(), errc::device_error);
  EXPECT_EQ(device.wait_event(stream, {}).code(), errc::device_error);
  EXPECT_EQ(device.query_event({}).code(), errc::device_error);
  EXPECT_EQ(device.copy({}, direction::device_to_device, arena, arena + 64, 64).code(), errc::device_error);
  EXPECT_THROW(launch({}, [] {}), error);
  EXPECT_THROW(launch(stream, {}), error);
}

// ---- events -----------------------------------------------------------------------------------------------

TEST_F(emulated_device, an_event_never_recorded_is_complete) {
  const stream_handle stream = make_stream();
  const event_handle event = make_event();
  EXPECT_TRUE(query(event));
  wait(stream, event);
  synchronize(stream);
}

TEST_F(emulated_device, an_event_completes_with_the_work_before_it) {
  const stream_handle stream = make_stream();
  const event_handle event = make_event();
  gate before;
  gate after;
  launch(stream, before.kernel());
  record(event, stream);
  launch(stream, after.kernel());
  EXPECT_TRUE(stays_pending(event));
  before.open();
  after.await_kernel();
  EXPECT_TRUE(query(event));
}

TEST_F(emulated_device, a_wait_holds_later_work_only) {
  const stream_handle held = make_stream();
  const stream_handle waiting = make_stream();
  const event_handle event = make_event();
  const event_handle before = make_event();
  const event_handle after = make_event();
  gate hold;
  launch(held, hold.kernel());
  record(event, held);
  launch(waiting, [] {});
  record(before, waiting);
  wait(waiting, event);
  launch(waiting, [] {});
  record(after, waiting);
  await(before);
  EXPECT_TRUE(stays_pending(after));
  hold.open();
  synchronize(waiting);
  EXPECT_TRUE(query(after));
}

TEST_F(emulated_device, a_wait_makes_writes_visible) {
  const stream_handle writer = make_stream();
  const stream_handle reader = make_stream();
  const event_handle event = make_event();
  int value = 0;
  int seen = 0;
  for (int i = 1; i <= 200; ++i) {
    launch(writer, [&value, i] { value = i; });
    record(event, writer);
    wait(reader, event);
    launch(reader, [&] { seen += value; });
    record(event, reader);
    wait(writer, event);
  }
  synchronize(reader);
  EXPECT_EQ(seen, 200 * 201 / 2);
}

TEST_F(emulated_device, a_pending_wait_keeps_to_what_the_event_was_when_it_was_called) {
  const stream_handle first = make_stream();
  const stream_handle second = make_stream();
  const stream_handle waits_early = make_stream();
  const stream_handle waits_late = make_stream();
  const event_handle event = make_event();
  const event_handle late = make_event();
  gate hold_first;
  gate hold_second;
  launch(first, hold_first.kernel());
  launch(second, hold_second.kernel());
  record(event, first);
  wait(waits_early, event);
  record(event, second);
  wait(waits_late, event);
  record(late, waits_late);

  hold_first.open();
  synchronize(waits_early);  // though the event now stands for held work
  EXPECT_TRUE(stays_pending(event));
  EXPECT_TRUE(stays_pending(late));
  hold_second.open();
  synchronize(waits_late);
  EXPECT_TRUE(query(event));
}

TEST_F(emulated_device, a_wait_on_a_complete_event_is_not_held_by_a_later_record) {
  const stream_handle held = make_stream();
  const stream_handle waiting = make_stream();
  const event_handle event = make_event();
  gate hold;
  record(event, held);
  wait(waiting, event);
  launch(held, hold.kernel());
  record(event, held);
  synchronize(waiting);
  EXPECT_TRUE(stays_pending(event));
}

TEST_F(emulated_device, an_event_may_be_destroyed_while_streams_wait_for_it) {
  const stream_handle held = make_stream();
  const stream_handle waiting = make_stream();
  const event_handle event = make_event();
  const event_handle after = make_event();
  gate hold;
  bool first_done = false;
  bool in_order = false;
  launch(held, hold.kernel());
  launch(held, [&] { first_done = true; });
  record(event, held);
  wait(waiting, event);
  launch(waiting, [&] { in_order = first_done; });
  record(after, waiting);
  device.destroy_event(event);
  EXPECT_TRUE(stays_pending(after));
  hold.open();
  synchronize(waiting);
  EXPECT_TRUE(in_order);
}

TEST_F(emulated_device, an_event_outlives_its_stream) {
  const stream_handle gone = make_stream();
  const stream_handle waiting = make_stream();
  const event_handle event = make_event();
  launch(gone, [] {});
  record(event, gone);
  device.destroy_stream(gone);
  EXPECT_TRUE(query(event));
  wait(waiting, event);
  synchronize(waiting);
}

// ---- threads ----------------------------------------------------------------------------------------------

// Each thread owns a slot of the arena and passes a token around through three streams, while events and
// streams come and go beside it. ThreadSanitizer is the judge of the rest.
TEST_F(emulated_device, serves_many_threads_at_once) {
  constexpr std::uint64_t slot_bytes = 4096;
  const stream_handle in = make_stream();
  const stream_handle out = make_stream();
  std::mutex shared_events;  // guards nothing but gtest's output
  const auto body = [&](std::uint64_t index) {
    const stream_handle compute = make_stream();
    std::byte* const host = make_pinned(2 * slot_bytes);
    std::byte* const slot = arena + index * slot_bytes;
    std::memset(host, 0, 2 * slot_bytes);
    for (int round = 1; round <= 40; ++round) {
      const event_handle event = make_event();
      copy_in(in, index * slot_bytes, host, slot_bytes);
      record(event, in);
      wait(compute, event);
      const emulated::access access{slot, slot_bytes, true};
      device.launch(compute, [slot] { slot[0] = static_cast<std::byte>(static_cast<int>(slot[0]) + 1); }, {&access, 1});
      record(event, compute);
      wait(out, event);
      copy_out(out, host, index * slot_bytes, slot_bytes);
      record(event, out);
      wait(in, event);
      device.destroy_event(event);
    }
    synchronize(out);
    const std::lock_guard lock(shared_events);
    EXPECT_EQ(host[0], std::byte{40});
    device.destroy_stream(compute);
  };
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < 4; ++i) threads.emplace_back(body, i);
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(device.violations(), IsEmpty());
  EXPECT_EQ(device.live_resources().events, 0u);
}

}  // namespace
}  // namespace pinrail::devices
