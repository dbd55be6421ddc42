// What only a GPU can show. Takes a few MiB of it and less than a second.

#include <gmock/gmock.h>

#include <algorithm>
#include <cstring>
#include <thread>

#include "device/timeline.hpp"
#include "rig.hpp"

namespace pinrail::testing {
namespace {

using ::testing::HasSubstr;

class cuda_gpu : public ::testing::Test {
 protected:
  void SetUp() override {
    if (cuda_device_count() == 0) GTEST_SKIP() << "this test needs a GPU, and there is none here";
    gpu = open_cuda(0);
  }
  static constexpr std::uint64_t size_bytes = 8_MiB;
  std::unique_ptr<backend> gpu;
};

TEST_F(cuda_gpu, round_trip) {
  EXPECT_THAT(gpu->name(), HasSubstr("(cuda:0)"));
  EXPECT_GT(gpu->memory_bytes(), 1_GiB);
  std::byte* const arena = gpu->allocate_arena(size_bytes).value();
  std::byte* const up = gpu->allocate_pinned(size_bytes).value();
  std::byte* const down = gpu->allocate_pinned(size_bytes).value();
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(arena) % 4096, 0u);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(up) % 4096, 0u);
  const auto in = gpu->create_stream().value();
  const auto out = gpu->create_stream().value();
  const auto event = gpu->create_event().value();
  EXPECT_TRUE(gpu->query_event(event).value());
  for (std::uint64_t i = 0; i < size_bytes; ++i) up[i] = static_cast<std::byte>(i * 2654435761u >> 13);
  std::memset(down, 0, size_bytes);
  EXPECT_TRUE(gpu->copy(in, direction::host_to_device, arena, up, size_bytes / 2));
  EXPECT_TRUE(gpu->copy(in, direction::device_to_device, arena + size_bytes / 2, arena, size_bytes / 2));
  EXPECT_TRUE(gpu->record_event(event, in));
  EXPECT_TRUE(gpu->wait_event(out, event));
  EXPECT_TRUE(gpu->copy(out, direction::device_to_host, down, arena, size_bytes));
  EXPECT_TRUE(gpu->record_event(event, out));
  ASSERT_TRUE(comes_true(*gpu, event));
  EXPECT_EQ(std::memcmp(up, down, size_bytes / 2), 0);
  EXPECT_EQ(std::memcmp(up, down + size_bytes / 2, size_bytes / 2), 0);
  gpu->destroy_event(event);
  gpu->destroy_stream(out);
  gpu->destroy_stream(in);
  gpu->free_pinned(down);
  gpu->free_pinned(up);
  gpu->free_arena(arena);
}

TEST_F(cuda_gpu, a_completion_word_is_written_behind_a_copy) {
  if (!gpu->writes_words()) GTEST_SKIP() << "this GPU, or its driver, writes no completion words";
  std::byte* const arena = gpu->allocate_arena(size_bytes).value();
  std::byte* const host = gpu->allocate_pinned(size_bytes).value();
  {
    timeline line(*gpu);
    const std::uint32_t stream = line.create_stream(timeline::completion::by_word).value();
    for (int round = 0; round < 20; ++round) {
      std::memset(host, round, size_bytes);
      EXPECT_TRUE(gpu->copy(line.handle(stream), direction::host_to_device, arena, host, size_bytes));
      const core::ticket in = line.record(stream).value();
      while (!line.is_complete(in) && !line.loss()) std::this_thread::yield();
      std::memset(host, 255, size_bytes);
      EXPECT_TRUE(gpu->copy(line.handle(stream), direction::device_to_host, host, arena, size_bytes));
      const core::ticket out = line.record(stream).value();
      while (!line.is_complete(out) && !line.loss()) std::this_thread::yield();
      ASSERT_FALSE(line.loss());
      EXPECT_EQ(std::count(host, host + size_bytes, static_cast<std::byte>(round)), std::ptrdiff_t{size_bytes});
    }
    line.close_stream(stream);
  }
  gpu->free_pinned(host);
  gpu->free_arena(arena);
}

TEST_F(cuda_gpu, small_memory_is_aligned_too) {
  std::vector<std::byte*> arenas;
  for (int i = 0; i < 8; ++i) arenas.push_back(gpu->allocate_arena(100).value());
  for (std::byte* const a : arenas) EXPECT_EQ(reinterpret_cast<std::uintptr_t>(a) % 4096, 0u);
  for (std::byte* const a : arenas) gpu->free_arena(a);
}

TEST_F(cuda_gpu, leaves_no_error_and_no_context_behind) {
  std::thread([&] {
    const cuda_api cuda = runtime_api();
    driver_api driver;
    ASSERT_EQ(load_driver_api(cuda, driver), nullptr);
    const auto stream = gpu->create_stream().value();
    const auto event = gpu->create_event().value();
    EXPECT_TRUE(gpu->record_event(event, stream));
    EXPECT_TRUE(gpu->query_event(event));
    EXPECT_EQ(gpu->allocate_arena(std::uint64_t{1} << 50).code(), errc::out_of_memory);
    CUcontext current = nullptr;
    EXPECT_EQ(driver.context_get_current(&current), CUDA_SUCCESS);
    EXPECT_EQ(current, nullptr);
    EXPECT_EQ(cuda.peek_at_last_error(), cudaSuccess);
    gpu->destroy_event(event);
    gpu->destroy_stream(stream);
  }).join();
}

TEST_F(cuda_gpu, takes_the_streams_of_users) {
  const cuda_api cuda = runtime_api();
  cudaStream_t mine = nullptr;
  ASSERT_EQ(cuda.stream_create(&mine, cudaStreamDefault), cudaSuccess);
  const auto event = gpu->create_event().value();
  for (void* const said :
       {static_cast<void*>(mine), static_cast<void*>(nullptr), static_cast<void*>(cudaStreamLegacy)}) {
    const auto wrapped = gpu->wrap_stream(said).value();
    EXPECT_TRUE(gpu->record_event(event, wrapped));
    EXPECT_TRUE(gpu->wait_event(wrapped, event));
    EXPECT_TRUE(gpu->synchronize_stream(wrapped));
  }
  EXPECT_EQ(gpu->wrap_stream(cudaStreamPerThread).code(), errc::not_supported);
  gpu->destroy_event(event);
  EXPECT_EQ(cuda.stream_destroy(mine), cudaSuccess);
}

}  // namespace
}  // namespace pinrail::testing
