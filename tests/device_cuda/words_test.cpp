// Completion words: how the CPU learns what is done on Pinrail's own streams.

#include <gmock/gmock.h>

#include <algorithm>

#include "device/timeline.hpp"
#include "rig.hpp"

namespace pinrail::testing {
namespace {

using completion = timeline::completion;

class completion_words : public ::testing::Test {
 protected:
  ~completion_words() override {
    line.close_stream(stream);
    EXPECT_THAT(fake.misuses(), ::testing::IsEmpty());
  }

  void hold(const gate& held) {
    ASSERT_EQ(fake.launch(static_cast<cudaStream_t>(line.handle(stream).native), held.kernel()), cudaSuccess);
  }
  /// More often than the event is asked once.
  [[nodiscard]] bool comes_true_in_many_looks(core::ticket t) {
    for (int look = 0; look < 200; ++look)
      if (line.is_complete(t)) return true;
    return false;
  }
  [[nodiscard]] std::uint64_t queries() { return fake.calls("cuEventQuery"); }
  [[nodiscard]] std::uint64_t writes() { return fake.calls("cuStreamWriteValue64"); }

  fake_cuda fake;
  std::unique_ptr<backend> gpu = open_fake(0);
  timeline line{*gpu};
  std::uint32_t stream = line.create_stream(completion::by_word).value();
};

TEST_F(completion_words, tell_without_a_call_what_is_done) {
  gate held;
  hold(held);
  const core::ticket t = line.record(stream).value();
  EXPECT_FALSE(line.is_complete(t));
  held.open();
  ASSERT_TRUE(line.synchronize(stream));
  const std::uint64_t made = fake.calls("any");
  EXPECT_TRUE(line.is_complete(t));
  EXPECT_TRUE(line.is_complete(t));
  EXPECT_EQ(fake.calls("any"), made);
  EXPECT_EQ(queries(), 0u);
}

TEST_F(completion_words, are_written_behind_the_work_that_they_tell_of) {
  for (int i = 0; i < 3; ++i) {
    const core::ticket before = line.record(stream).value();
    gate held;
    hold(held);
    const core::ticket t = line.record(stream).value();
    while (!line.is_complete(before)) std::this_thread::yield();
    EXPECT_FALSE(comes_true_in_many_looks(t));
    held.open();
    ASSERT_TRUE(line.synchronize(stream));
    EXPECT_TRUE(line.is_complete(t));
  }
}

TEST_F(completion_words, show_the_cpu_what_was_copied_before) {  // for ThreadSanitizer, too
  constexpr std::size_t size_bytes = 4096;
  std::byte* const arena = gpu->allocate_arena(size_bytes).value();
  std::byte* const host = gpu->allocate_pinned(size_bytes).value();
  for (int i = 0; i < 20; ++i) {
    std::fill_n(host, size_bytes, static_cast<std::byte>(i));
    ASSERT_TRUE(gpu->copy(line.handle(stream), direction::host_to_device, arena, host, size_bytes));
    const core::ticket read = line.record(stream).value();
    while (!line.is_complete(read)) std::this_thread::yield();
    std::fill_n(host, size_bytes, std::byte{255});  // the copy has read it
    ASSERT_TRUE(gpu->copy(line.handle(stream), direction::device_to_host, host, arena, size_bytes));
    const core::ticket written = line.record(stream).value();
    while (!line.is_complete(written)) std::this_thread::yield();
    EXPECT_EQ(std::count(host, host + size_bytes, static_cast<std::byte>(i)), std::ptrdiff_t{size_bytes});
  }
  gpu->free_pinned(host);
  gpu->free_arena(arena);
}

TEST_F(completion_words, that_are_refused_leave_it_to_the_event) {
  for (const cudaError_t code : {cudaErrorNotSupported, cudaErrorMemoryAllocation}) {
    fake.inject({.call = "cuStreamWriteValue64", .code = code});
    const core::ticket refused = line.record(stream).value();
    ASSERT_TRUE(line.synchronize(stream));
    const std::uint64_t before = queries();
    EXPECT_TRUE(line.is_complete(refused)) << "at the first look";
    EXPECT_EQ(queries(), before + 1);
    const core::ticket next = line.record(stream).value();
    ASSERT_TRUE(line.synchronize(stream));
    EXPECT_TRUE(line.is_complete(next));
    EXPECT_EQ(queries(), before + 1) << "the next one is told by its word again";
  }
}

TEST_F(completion_words, that_never_come_are_no_hang) {
  gate held;
  hold(held);
  const core::ticket t = line.record(stream).value();
  fake.lose(0, cudaErrorIllegalAddress);  // nothing that is enqueued runs any more
  held.open();
  EXPECT_FALSE(comes_true_in_many_looks(t));
  ASSERT_TRUE(line.loss());
  EXPECT_EQ(line.loss()->native_code, cudaErrorIllegalAddress);
}

TEST_F(completion_words, of_an_earlier_stream_say_nothing_of_a_later_one) {
  void* const before = line.handle(stream).native;
  core::ticket old;
  for (int i = 0; i < 5; ++i) old = line.record(stream).value();
  line.close_stream(stream);
  const std::uint32_t number = stream;
  stream = line.create_stream(completion::by_word).value();
  ASSERT_EQ(stream, number);
  ASSERT_EQ(line.handle(stream).native, before);
  EXPECT_TRUE(line.is_complete(old));
  gate held;
  hold(held);
  const core::ticket t = line.record(stream).value();
  EXPECT_FALSE(comes_true_in_many_looks(t));
  held.open();
  ASSERT_TRUE(line.synchronize(stream));
  EXPECT_TRUE(line.is_complete(t));
  EXPECT_EQ(fake.live(0).pinned_bytes, line.pinned_bytes()) << "one lot of words for all";
}

TEST_F(completion_words, are_not_written_to_streams_of_users) {
  static_cast<void>(line.record(stream).value());
  EXPECT_EQ(writes(), 1u);
  line.close_stream(stream);
  const std::uint32_t number = stream;
  stream = line.create_stream().value();  // takes the number, and the lanes that have words
  ASSERT_EQ(stream, number);
  const core::ticket t = line.record(stream).value();
  ASSERT_TRUE(line.synchronize(stream));
  EXPECT_TRUE(line.is_complete(t));
  EXPECT_EQ(writes(), 1u);
}

TEST(completion_words_on, no_memory_are_done_without) {
  fake_cuda fake;
  const auto gpu = open_fake(0);
  timeline line(*gpu);
  fake.inject({.call = "cudaHostAlloc", .code = cudaErrorMemoryAllocation});
  const std::uint32_t first = line.create_stream(completion::by_word).value();
  const core::ticket t = line.record(first).value();
  EXPECT_EQ(fake.calls("cuStreamWriteValue64"), 0u);
  EXPECT_EQ(line.pinned_bytes(), 0u);
  ASSERT_TRUE(line.synchronize(first));
  EXPECT_TRUE(line.is_complete(t));
  const std::uint32_t second = line.create_stream(completion::by_word).value();
  static_cast<void>(line.record(second).value());
  EXPECT_EQ(fake.calls("cuStreamWriteValue64"), 1u) << "the next stream tries again";
  line.close_stream(first);
  line.close_stream(second);
}

TEST(completion_words_on, a_device_that_writes_none_are_not_asked_for) {
  for (const fake_cuda::options& what : {fake_cuda::options{.writes_words = false},
                                         fake_cuda::options{.missing_driver_function = "cuStreamWriteValue64"},
                                         fake_cuda::options{.missing_driver_function = "cuDeviceGetAttribute"}}) {
    fake_cuda fake(what);
    const auto gpu = open_fake(0);
    timeline line(*gpu);
    EXPECT_FALSE(gpu->writes_words());
    const std::uint32_t stream = line.create_stream(completion::by_word).value();
    const core::ticket t = line.record(stream).value();
    ASSERT_TRUE(line.synchronize(stream));
    EXPECT_TRUE(line.is_complete(t));
    EXPECT_EQ(fake.calls("cuStreamWriteValue64"), 0u);
    EXPECT_EQ(line.pinned_bytes(), 0u);
    line.close_stream(stream);
  }
}

}  // namespace
}  // namespace pinrail::testing
