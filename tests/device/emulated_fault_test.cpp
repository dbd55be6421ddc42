// Faults on an emulated device: which call fails, what a failed call leaves, and how a lost device ends.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include "device/emulated/backend.hpp"
#include "emulated_fixture.hpp"

namespace pinrail::devices {
namespace {

using emulated::call;

class emulated_faults : public emulated_fixture {
 protected:
  emulated_faults() { device.free_arena(arena), arena = device.allocate_arena(arena_bytes / 2).value(); }

  struct fallible {
    call kind;
    std::function<errc()> make;
  };
  /// Every call that can fail; each gives how it ended and frees what it got.
  std::vector<fallible> all_calls() {
    using enum direction;
    return {
        {call::allocate_arena, [this] { return freed(device.allocate_arena(4096), &backend::free_arena); }},
        {call::allocate_pinned, [this] { return freed(device.allocate_pinned(4096), &backend::free_pinned); }},
        {call::create_stream, [this] { return freed(device.create_stream(), &backend::destroy_stream); }},
        {call::synchronize_stream, [this] { return device.synchronize_stream(stream).code(); }},
        {call::create_event, [this] { return freed(device.create_event(), &backend::destroy_event); }},
        {call::record_event, [this] { return device.record_event(event, stream).code(); }},
        {call::query_event, [this] { return device.query_event(event).code(); }},
        {call::wait_event, [this] { return device.wait_event(stream, event).code(); }},
        {call::copy_host_to_device, [this] { return device.copy(stream, host_to_device, arena, host, 64).code(); }},
        {call::copy_device_to_host, [this] { return device.copy(stream, device_to_host, host, arena, 64).code(); }},
        {call::copy_device_to_device,
         [this] { return device.copy(stream, device_to_device, arena, arena + 64, 64).code(); }},
    };
  }
  template <class T, class Free>
  errc freed(const result<T>& got, Free free) {
    if (got) (device.*free)(*got);
    return got.code();
  }

  const stream_handle stream = make_stream();
  const event_handle event = make_event();
  std::byte* const host = make_pinned(4096);
};

TEST_F(emulated_faults, each_kind_fails_when_asked_and_works_again) {
  for (const fallible& wanted : all_calls()) {
    for (const errc code : {errc::device_error, errc::out_of_memory}) {
      device.inject({wanted.kind, 0, code});
      for (const fallible& made : all_calls()) {
        EXPECT_EQ(made.make(), made.kind == wanted.kind ? code : errc::none);
      }
      EXPECT_EQ(wanted.make(), errc::none);
    }
  }
}

TEST_F(emulated_faults, failed_calls_leave_nothing_behind) {
  const emulated::resources before = device.live_resources();
  for (const fallible& wanted : all_calls()) {
    device.inject({wanted.kind, 0, errc::out_of_memory});
    EXPECT_EQ(wanted.make(), errc::out_of_memory);
  }
  const emulated::resources after = device.live_resources();
  EXPECT_EQ(after.arena_bytes, before.arena_bytes);
  EXPECT_EQ(after.pinned_bytes, before.pinned_bytes);
  EXPECT_EQ(after.streams, before.streams);
  EXPECT_EQ(after.events, before.events);
}

TEST_F(emulated_faults, a_failed_copy_copies_nothing) {
  std::memset(host, 1, 4096);
  std::memset(arena, 2, 4096);
  device.inject({call::copy_host_to_device, 0, errc::device_error});
  EXPECT_EQ(device.copy(stream, direction::host_to_device, arena, host, 4096).code(), errc::device_error);
  synchronize(stream);
  EXPECT_EQ(arena[0], std::byte{2});
}

TEST_F(emulated_faults, a_failed_record_leaves_the_event_as_it_was) {
  gate hold;
  launch(stream, hold.kernel());
  device.inject({call::record_event, 0, errc::device_error});
  EXPECT_EQ(device.record_event(event, stream).code(), errc::device_error);
  EXPECT_TRUE(query(event));
}

TEST_F(emulated_faults, every_fallible_call_counts_and_no_other) {
  const std::uint64_t before = device.calls_made();
  const auto calls = all_calls();
  for (const fallible& made : calls) EXPECT_EQ(made.make(), errc::none);
  EXPECT_EQ(device.calls_made(), before + calls.size());
  launch(stream, [] {});
  device.note_discard(stream, arena, 64);
  static_cast<void>(device.live_resources());
  EXPECT_EQ(device.calls_made(), before + calls.size());
}

TEST_F(emulated_faults, a_sweep_meets_every_call_of_a_program) {
  const std::uint64_t before = device.calls_made();
  for (const fallible& made : all_calls()) static_cast<void>(made.make());
  const std::uint64_t calls = device.calls_made() - before;
  for (std::uint64_t n = 0; n < calls; ++n) {
    device.inject({call::any, n, errc::device_error});
    std::uint64_t failed = 0;
    for (const fallible& made : all_calls()) failed += made.make() == errc::device_error;
    EXPECT_EQ(failed, 1u) << n;
  }
}

TEST_F(emulated_faults, a_lost_device_fails_every_call_and_still_goes_away) {
  gate hold;
  bool ran = false;
  std::memset(host, 1, 4096);
  std::memset(arena, 2, 4096);
  launch(stream, hold.kernel());
  hold.await_kernel();
  copy_in(stream, 0, host, 4096);
  device.note_discard(stream, arena + 8192, 4096);
  launch(stream, [&] { ran = true; });
  device.inject({call::any, 0, errc::device_lost});
  for (const fallible& made : all_calls()) EXPECT_EQ(made.make(), errc::device_lost);
  EXPECT_THROW(launch(stream, [] {}), error);

  // Nothing new starts, and destroying waits for what runs.
  hold.open();
  device.destroy_stream(stream);
  EXPECT_EQ(arena[0], std::byte{2});
  EXPECT_NE(arena[8192], poison_byte);
  EXPECT_FALSE(ran);
  device.destroy_event(event);
  device.free_pinned(host);
  device.free_arena(arena);
  const emulated::resources left = device.live_resources();
  EXPECT_EQ(left.arena_bytes + left.pinned_bytes + left.streams + left.events, 0u);
}

// The caller may free host memory once it knows of the loss; AddressSanitizer sees a copy that still uses it.
TEST_F(emulated_faults, no_copy_touches_host_memory_after_a_loss_was_reported) {
  constexpr std::size_t size_bytes = arena_bytes / 2;
  auto memory = std::make_unique<std::byte[]>(size_bytes);
  for (int i = 0; i < 20; ++i) copy_in(stream, 0, memory.get(), size_bytes);
  device.inject({call::query_event, 0, errc::device_lost});
  EXPECT_EQ(device.query_event(event).code(), errc::device_lost);
  memory.reset();
  device.destroy_stream(stream);
}

TEST_F(emulated_faults, pinned_memory_may_be_freed_after_a_loss) {
  gate hold;
  launch(stream, hold.kernel());
  copy_in(stream, 0, host, 4096);
  device.inject({call::query_event, 0, errc::device_lost});
  EXPECT_EQ(device.query_event(event).code(), errc::device_lost);
  device.free_pinned(host);
  EXPECT_THAT(device.violations(), testing::IsEmpty()) << "the copy will never run";
}

TEST_F(emulated_faults, faults_may_be_planned_while_threads_call) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([this] {
      for (int call = 0; call < 2000; ++call) static_cast<void>(device.query_event(event));
    });
  }
  for (int i = 0; i < 100; ++i) device.inject({call::query_event, 10, errc::device_error});
  for (std::thread& thread : threads) thread.join();
  device.clear_faults();
  EXPECT_TRUE(query(event));
}

}  // namespace
}  // namespace pinrail::devices
