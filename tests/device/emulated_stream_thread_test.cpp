#include "device/emulated/stream_thread.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <memory>
#include <utility>

namespace pinrail::devices {
namespace {

class emulated_stream_thread : public ::testing::Test {
 protected:
  static void finish(stream_thread& stream) {
    const stream_position end = stream.position();
    end.of->wait(end.number);
  }
  std::uint64_t arrived(direction way) const { return environment.engines[static_cast<std::size_t>(way)].arrived(); }

  host_device_options options;
  fault_plan faults;
  stream_environment environment{options, faults};
};

TEST_F(emulated_stream_thread, starts_with_nothing_to_do) {
  stream_thread stream(7, environment);
  EXPECT_EQ(stream.number(), 7u);
  EXPECT_TRUE(stream.position().of->is_complete(stream.position().number));
}

TEST_F(emulated_stream_thread, each_direction_has_its_engine) {
  stream_thread stream(0, environment);
  std::array<char, 4> from{"abc"};
  std::array<char, 4> to{};
  using enum direction;
  for (const auto& [way, copies] : {std::pair{host_to_device, 1}, {device_to_host, 2}, {device_to_device, 3}}) {
    for (int i = 0; i < copies; ++i) stream.enqueue(copy_work{way, to.data(), from.data(), 4, nullptr});
  }
  finish(stream);
  EXPECT_EQ(arrived(host_to_device), 1u);
  EXPECT_EQ(arrived(device_to_host), 2u);
  EXPECT_EQ(arrived(device_to_device), 3u);
  EXPECT_STREQ(to.data(), "abc");
}

TEST_F(emulated_stream_thread, a_copy_owns_its_host_memory_until_it_is_done) {
  stream_thread stream(0, environment);
  auto owner = std::make_shared<std::byte>();
  const std::weak_ptr<std::byte> watch = owner;
  std::byte to{};
  bool alive = false;
  const void* const from = owner.get();
  stream.enqueue([&] { alive = !watch.expired(); });
  stream.enqueue(copy_work{direction::host_to_device, &to, from, 1, std::move(owner)});
  finish(stream);
  EXPECT_TRUE(alive);
  EXPECT_TRUE(watch.expired());
}

TEST_F(emulated_stream_thread, waits_for_positions_of_other_streams_and_for_none) {
  stream_thread first(0, environment);
  stream_thread second(1, environment);
  bool done = false;
  bool in_order = false;
  first.enqueue([&] { done = true; });
  second.enqueue(first.position());
  second.enqueue(stream_position{});
  second.enqueue([&] { in_order = done; });
  finish(second);
  EXPECT_TRUE(in_order);
}

TEST_F(emulated_stream_thread, the_end_finishes_what_is_enqueued) {
  int ran = 0;
  {
    stream_thread stream(0, environment);
    for (int i = 0; i < 100; ++i) stream.enqueue([&] { ++ran; });
  }
  EXPECT_EQ(ran, 100);
}

}  // namespace
}  // namespace pinrail::devices
