// Copies of the emulated device, how long they take, and what becomes of discarded bytes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <thread>
#include <vector>

#include "device/emulated/backend.hpp"
#include "emulated_fixture.hpp"

namespace pinrail::devices {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using emulated_copies = emulated_fixture;

std::vector<std::byte> pattern(std::size_t size_bytes, unsigned seed) {
  std::vector<std::byte> bytes(size_bytes);
  for (std::size_t i = 0; i < size_bytes; ++i) bytes[i] = static_cast<std::byte>(i * 31 + seed);
  return bytes;
}

// ---- copies -----------------------------------------------------------------------------------------------

TEST_F(emulated_copies, copies_bytes_in_every_direction) {
  const stream_handle stream = make_stream();
  const std::vector<std::byte> from = pattern(100'000, 3);
  std::byte* const to = make_pinned(from.size());
  copy_in(stream, 17, from.data(), from.size());
  copy_within(stream, 300'000, 17, from.size());
  copy_out(stream, to, 300'000, from.size());
  synchronize(stream);
  EXPECT_TRUE(std::equal(from.begin(), from.end(), to));
}

TEST_F(emulated_copies, refuses_copies_out_of_bounds) {
  const stream_handle stream = make_stream();
  std::array<std::byte, 64> host{};
  using enum direction;
  EXPECT_EQ(device.copy(stream, host_to_device, arena + arena_bytes - 63, host.data(), 64).code(), errc::device_error);
  EXPECT_EQ(device.copy(stream, device_to_device, arena + 32, arena, 64).code(), errc::device_error);
  EXPECT_EQ(device.copy(stream, device_to_host, nullptr, arena, 64).code(), errc::device_error);
  EXPECT_THAT(device.violations(), IsEmpty());
}

TEST_F(emulated_copies, the_cpu_does_not_wait_for_copies) {
  const stream_handle stream = make_stream();
  gate hold;
  std::byte* const from = make_pinned(64);
  launch(stream, hold.kernel());
  copy_in(stream, 0, from, 64);
  hold.open();
  synchronize(stream);
}

class emulated_slow_device : public emulated_fixture {
 protected:
  static host_device_options slow() {
    host_device_options options = small();
    options.bytes_per_second = {100'000'000, 50'000'000, 0};
    options.latency_ns = 1'000'000;
    return options;
  }
  emulated_slow_device() : emulated_fixture(slow()) {}
};

TEST_F(emulated_slow_device, copies_take_at_least_what_the_rates_say) {
  const stream_handle stream = make_stream();
  std::byte* const host = make_pinned(1'000'000);
  std::memset(host, 0, 1'000'000);
  const std::uint64_t began_ns = device.now_ns();
  copy_in(stream, 0, host, 1'000'000);
  copy_out(stream, host, 0, 500'000);
  synchronize(stream);
  EXPECT_GE(device.now_ns() - began_ns, 11'000'000u + 11'000'000u);
  copy_within(stream, 0, 500'000, 1000);
  synchronize(stream);
  EXPECT_GE(device.now_ns() - began_ns, 23'000'000u);
}

TEST_F(emulated_slow_device, streams_share_one_engine_per_direction) {
  const stream_handle one = make_stream();
  const stream_handle other = make_stream();
  std::byte* const host = make_pinned(1'000'000);
  std::memset(host, 0, 1'000'000);
  const std::uint64_t began_ns = device.now_ns();
  copy_in(one, 0, host, 500'000);
  copy_in(other, 500'000, host, 500'000);
  synchronize(one);
  synchronize(other);
  EXPECT_GE(device.now_ns() - began_ns, 12'000'000u);
}

TEST_F(emulated_slow_device, a_copy_after_a_wait_does_not_begin_before_what_it_waited_for_ended) {
  const stream_handle in = make_stream();
  const stream_handle out = make_stream();
  const event_handle in_done = make_event();
  std::byte* const host = make_pinned(500'000);
  std::memset(host, 0, 500'000);
  const std::uint64_t began_ns = device.now_ns();
  copy_in(in, 0, host, 500'000);
  record(in_done, in);
  wait(out, in_done);
  copy_out(out, host, 0, 200'000);
  synchronize(out);
  EXPECT_GE(device.now_ns() - began_ns, 6'000'000u + 5'000'000u);
}

TEST_F(emulated_slow_device, a_copy_after_a_kernel_does_not_begin_before_the_kernel_ended) {
  const stream_handle stream = make_stream();
  std::byte* const host = make_pinned(500'000);
  std::memset(host, 0, 500'000);
  const std::uint64_t began_ns = device.now_ns();
  launch(stream, [] { std::this_thread::sleep_for(std::chrono::milliseconds(5)); });
  copy_in(stream, 0, host, 500'000);
  synchronize(stream);
  EXPECT_GE(device.now_ns() - began_ns, 5'000'000u + 6'000'000u);
}

// ---- poison -----------------------------------------------------------------------------------------------

TEST_F(emulated_copies, discarded_bytes_are_overwritten_at_every_4096_and_at_the_end) {
  const stream_handle stream = make_stream();
  constexpr std::size_t size_bytes = 3 * 4096 + 1000;
  std::memset(arena, 1, size_bytes + 8);
  device.note_discard(stream, arena, size_bytes);
  synchronize(stream);
  const auto poisoned = [&](std::size_t offset, std::size_t length) {
    return std::all_of(arena + offset, arena + offset + length, [](std::byte b) { return b == poison_byte; });
  };
  for (std::size_t line = 0; line < size_bytes; line += 4096) EXPECT_TRUE(poisoned(line, 64)) << line;
  EXPECT_TRUE(poisoned(size_bytes - 64, 64));
  EXPECT_EQ(arena[64], std::byte{1});
  EXPECT_EQ(arena[size_bytes], std::byte{1});
}

TEST_F(emulated_copies, small_discards_are_overwritten_whole) {
  const stream_handle stream = make_stream();
  for (const std::size_t size_bytes : {std::size_t{1}, std::size_t{63}, std::size_t{64}, std::size_t{100}}) {
    std::memset(arena, 1, 4096);
    device.note_discard(stream, arena + 10, size_bytes);
    synchronize(stream);
    EXPECT_EQ(arena[9], std::byte{1});
    EXPECT_EQ(arena[10], poison_byte);
    EXPECT_EQ(arena[10 + size_bytes - 1], poison_byte);
    EXPECT_EQ(arena[10 + size_bytes], std::byte{1});
  }
  device.note_discard(stream, arena, 0);
  synchronize(stream);
}

TEST_F(emulated_copies, poison_comes_in_stream_order) {
  const stream_handle stream = make_stream();
  gate hold;
  std::byte seen{};
  launch(stream, [&] { arena[0] = std::byte{1}; });
  launch(stream, hold.kernel());
  launch(stream, [&] { seen = arena[0]; });
  device.note_discard(stream, arena, 4096);
  hold.open();
  synchronize(stream);
  EXPECT_EQ(seen, std::byte{1});
  EXPECT_EQ(arena[0], poison_byte);
}

TEST_F(emulated_copies, a_discard_outside_the_arena_writes_nothing) {
  const stream_handle stream = make_stream();
  std::array<std::byte, 4096> elsewhere{};
  device.note_discard(stream, elsewhere.data(), elsewhere.size());
  synchronize(stream);
  EXPECT_THAT(elsewhere, Each(std::byte{0}));
  EXPECT_THAT(device.violations(), ElementsAre(HasSubstr("not within the device's memory")));
}

class emulated_plain_device : public emulated_fixture {
 protected:
  static host_device_options plain() {
    host_device_options options = small();
    options.poison = false;
    options.check = false;
    return options;
  }
  emulated_plain_device() : emulated_fixture(plain()) {}
};

TEST_F(emulated_plain_device, neither_poisons_nor_checks) {
  const stream_handle one = make_stream();
  const stream_handle other = make_stream();
  std::memset(arena, 1, 4096);
  device.note_discard(one, arena, 4096);
  writes(one, 0, 16);
  writes(other, 0, 16);
  reads(other, 0, 4096);
  synchronize(one);
  synchronize(other);
  EXPECT_EQ(arena[0], std::byte{1});
  EXPECT_THAT(device.violations(), IsEmpty());
}

}  // namespace
}  // namespace pinrail::devices
