// What each backend call does when CUDA does as it is told.

#include <gmock/gmock.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "rig.hpp"

namespace pinrail::testing {
namespace {

using ::testing::Each;
using ::testing::Eq;

std::span<std::byte> bytes(std::byte* start) { return {start, rig::size_bytes}; }

TEST(cuda_backend, tells_what_it_is) {
  rig r;
  EXPECT_EQ(r.gpu->kind(), device_kind::cuda);
  EXPECT_EQ(r.gpu->name(), "Fake GPU 1 (cuda:1)");
  EXPECT_EQ(r.gpu->memory_bytes(), 256_MiB);
  EXPECT_TRUE(r.gpu->is_threaded());
}

TEST(cuda_backend, its_clock_is_the_steady_clock_in_nanoseconds) {
  rig r;
  const auto steady_ns = [] {
    return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch() /
                                      std::chrono::nanoseconds(1));
  };
  const std::uint64_t before_ns = steady_ns();
  const std::uint64_t now_ns = r.gpu->now_ns();
  EXPECT_LE(before_ns, now_ns);
  EXPECT_LE(now_ns, steady_ns());
}

TEST(cuda_backend, gives_everything_back) {
  rig r;
  const fake_cuda::resources expected{.device_bytes = rig::size_bytes,
                                      .pinned_bytes = rig::size_bytes,
                                      .streams = 1,
                                      .events = 1,
                                      .context_references = 1};
  EXPECT_EQ(r.fake.live(), expected);
  r.close();
  EXPECT_EQ(r.fake.live(), fake_cuda::resources{});
}

TEST(cuda_backend, frees_nothing_where_there_is_nothing) {
  rig r;
  r.gpu->free_arena(nullptr);
  r.gpu->free_pinned(nullptr);
  EXPECT_EQ(r.fake.calls("cudaFree") + r.fake.calls("cudaFreeHost"), 0u);
}

TEST(cuda_backend, makes_streams_and_events_and_pinned_memory_of_the_right_sort) {
  rig r;
  EXPECT_EQ(r.fake.flags_of(r.stream.native), unsigned{cudaStreamNonBlocking});
  EXPECT_EQ(r.fake.flags_of(r.event.native), unsigned{cudaEventDisableTiming});
  EXPECT_EQ(r.fake.flags_of(r.pinned), unsigned{cudaHostAllocPortable});
}

TEST(cuda_backend, aligns_memory_to_pages_where_cuda_does_not) {
  for (const std::uint64_t misalignment_bytes : {0, 256, 512, 3840}) {
    rig r({.devices = 2, .misalignment_bytes = misalignment_bytes});
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(r.arena) % 4096, 0u);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(r.pinned) % 4096, 0u);
    // All of it can be used, and the copy knows where it is.
    std::ranges::fill(bytes(r.pinned), std::byte{7});
    EXPECT_TRUE(r.gpu->copy(r.stream, direction::host_to_device, r.arena, r.pinned, rig::size_bytes));
    EXPECT_TRUE(r.gpu->synchronize_stream(r.stream));
    r.close();
    EXPECT_EQ(r.fake.live(), fake_cuda::resources{}) << misalignment_bytes;
  }
}

TEST(cuda_backend, asks_only_once_for_memory_that_comes_aligned) {
  rig r;
  EXPECT_EQ(r.fake.calls("cudaMalloc"), 1u);
  EXPECT_EQ(r.fake.calls("cudaHostAlloc"), 1u);
}

TEST(cuda_backend, copies_both_ways_and_on_the_device) {
  rig r;
  std::byte* const half = r.arena + rig::size_bytes / 2;
  const auto back = r.gpu->allocate_pinned(rig::size_bytes).value();
  std::ranges::fill(bytes(r.pinned), std::byte{42});
  EXPECT_TRUE(r.gpu->copy(r.stream, direction::host_to_device, r.arena, r.pinned, rig::size_bytes / 2));
  EXPECT_TRUE(r.gpu->copy(r.stream, direction::device_to_device, half, r.arena, rig::size_bytes / 2));
  EXPECT_TRUE(r.gpu->copy(r.stream, direction::device_to_host, back, r.arena, rig::size_bytes));
  EXPECT_TRUE(r.gpu->synchronize_stream(r.stream));
  EXPECT_THAT(bytes(back), Each(Eq(std::byte{42})));
  r.gpu->free_pinned(back);
}

TEST(cuda_backend, copies_from_pageable_memory) {
  rig r;
  std::vector<std::byte> pageable(4096, std::byte{9});
  EXPECT_TRUE(r.gpu->copy(r.stream, direction::host_to_device, r.arena, pageable.data(), pageable.size()));
  EXPECT_TRUE(r.gpu->copy(r.stream, direction::device_to_host, r.pinned, r.arena, pageable.size()));
  EXPECT_TRUE(r.gpu->synchronize_stream(r.stream));
  EXPECT_EQ(std::memcmp(r.pinned, pageable.data(), pageable.size()), 0);
}

TEST(cuda_backend, an_empty_copy_asks_nothing_of_cuda) {
  rig r;
  EXPECT_TRUE(r.gpu->copy(r.stream, direction::host_to_device, nullptr, nullptr, 0));
  EXPECT_EQ(r.fake.calls("cudaMemcpyAsync"), 0u);
}

TEST(cuda_backend, a_copy_does_not_wait_for_its_stream) {
  rig r;
  gate held;
  ASSERT_EQ(r.fake.launch(r.cuda_stream(), held.kernel()), cudaSuccess);
  EXPECT_TRUE(r.gpu->copy(r.stream, direction::host_to_device, r.arena, r.pinned, 4096));  // or this would hang
  held.open();
}

TEST(cuda_backend, an_event_is_complete_when_what_it_covers_is_done) {
  rig r;
  EXPECT_TRUE(r.gpu->query_event(r.event).value()) << "never recorded";
  gate held;
  ASSERT_EQ(r.fake.launch(r.cuda_stream(), held.kernel()), cudaSuccess);
  EXPECT_TRUE(r.gpu->record_event(r.event, r.stream));
  EXPECT_FALSE(r.gpu->query_event(r.event).value());
  held.open();
  EXPECT_TRUE(r.gpu->synchronize_stream(r.stream));
  EXPECT_TRUE(r.gpu->query_event(r.event).value());
}

TEST(cuda_backend, a_stream_waits_for_an_event_on_the_device_and_not_here) {
  rig r;
  const auto copies = r.gpu->create_stream().value();
  std::ranges::fill(bytes(r.pinned), std::byte{0});
  gate held;
  ASSERT_EQ(r.fake.launch(r.cuda_stream(), held.kernel()), cudaSuccess);
  ASSERT_EQ(r.fake.launch(r.cuda_stream(), [&] { r.arena[0] = std::byte{1}; }), cudaSuccess);
  EXPECT_TRUE(r.gpu->record_event(r.event, r.stream));
  EXPECT_TRUE(r.gpu->wait_event(copies, r.event));
  EXPECT_TRUE(r.gpu->copy(copies, direction::device_to_host, r.pinned, r.arena, 1));
  held.open();
  EXPECT_TRUE(r.gpu->synchronize_stream(copies));
  EXPECT_EQ(r.pinned[0], std::byte{1});
  r.gpu->destroy_stream(copies);
}

TEST(cuda_backend, the_end_of_a_stream_waits_for_its_work) {
  rig r;
  const auto stream = r.gpu->create_stream().value();
  bool done = false;
  ASSERT_EQ(r.fake.launch(static_cast<cudaStream_t>(stream.native),
                          [&] {
                            std::this_thread::sleep_for(std::chrono::milliseconds(20));
                            done = true;
                          }),
            cudaSuccess);
  r.gpu->destroy_stream(stream);
  EXPECT_TRUE(done);
}

TEST(cuda_backend, many_threads_on_streams_of_their_own_share_a_device) {
  rig r;
  constexpr int workers = 4;
  constexpr std::uint64_t part_bytes = rig::size_bytes / workers;
  const auto work = [&](std::uint64_t number) {
    const auto up = r.gpu->create_stream().value();
    const auto down = r.gpu->create_stream().value();
    const auto event = r.gpu->create_event().value();
    std::byte* const host = r.pinned + number * part_bytes;
    std::byte* const device = r.arena + number * part_bytes;
    for (int round = 0; round < 50; ++round) {
      std::memset(host, static_cast<int>(number) + round, part_bytes);
      EXPECT_TRUE(r.gpu->copy(up, direction::host_to_device, device, host, part_bytes));
      EXPECT_TRUE(r.gpu->record_event(event, up));
      EXPECT_TRUE(r.gpu->wait_event(down, event));
      EXPECT_TRUE(r.gpu->copy(down, direction::device_to_host, host, device, part_bytes));
      EXPECT_TRUE(r.gpu->record_event(event, down));
      ASSERT_TRUE(comes_true(*r.gpu, event));
      EXPECT_EQ(host[part_bytes - 1], static_cast<std::byte>(number + static_cast<unsigned>(round)));
    }
    r.gpu->destroy_event(event);
    r.gpu->destroy_stream(down);
    r.gpu->destroy_stream(up);
  };
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < workers; ++i) threads.emplace_back(work, i);
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(r.fake.live().streams, 1u);
}

}  // namespace
}  // namespace pinrail::testing
