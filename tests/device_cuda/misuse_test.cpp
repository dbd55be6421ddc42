// What CUDA takes, or leaves undefined, and Pinrail must not do: the fake notes each. Nothing here goes through
// Pinrail.

#include <gmock/gmock.h>

#include <thread>
#include <vector>

#include "rig.hpp"

namespace pinrail::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class fake_misuse : public ::testing::Test {
 protected:
  fake_misuse() {
    EXPECT_EQ(load_driver_api(cuda, driver), nullptr);
    EXPECT_EQ(fake.set_device(0), cudaSuccess);
  }
  cudaStream_t make_stream() {
    cudaStream_t made = nullptr;
    EXPECT_EQ(cuda.stream_create(&made, cudaStreamNonBlocking), cudaSuccess);
    return made;
  }
  cudaEvent_t make_event() {
    cudaEvent_t made = nullptr;
    EXPECT_EQ(cuda.event_create(&made, cudaEventDisableTiming), cudaSuccess);
    return made;
  }
  void* make_device_memory() {
    void* made = nullptr;
    EXPECT_EQ(cuda.mem_alloc(&made, size_bytes), cudaSuccess);
    return made;
  }
  void* make_pinned_memory() {
    void* made = nullptr;
    EXPECT_EQ(cuda.host_alloc(&made, size_bytes, 0), cudaSuccess);
    return made;
  }
  CUresult batch(void* from, CUmemcpySrcAccessOrder when) {
    auto source = reinterpret_cast<CUdeviceptr>(from);
    auto to = reinterpret_cast<CUdeviceptr>(make_device_memory());
    std::size_t size = size_bytes;
    CUmemcpyAttributes how{};
    how.srcAccessOrder = when;
    std::size_t first = 0;
    std::size_t failed = 0;
    return driver.memcpy_batch(&to, &source, &size, 1, &how, &first, 1, &failed, a);
  }
  void expect_one(const char* said) { EXPECT_THAT(fake.misuses(), ElementsAre(HasSubstr(said))); }

  static constexpr std::size_t size_bytes = 4096;
  fake_cuda fake{{.devices = 2}};
  cuda_api cuda = fake_cuda::api();
  driver_api driver;
  cudaStream_t a = make_stream();
  cudaStream_t b = make_stream();
  cudaEvent_t event = make_event();
};

TEST_F(fake_misuse, a_word_is_written_to_memory_that_is_not_page_locked) {
  std::uint64_t word = 0;
  EXPECT_EQ(driver.stream_write_value(a, reinterpret_cast<CUdeviceptr>(&word), 1, CU_STREAM_WRITE_VALUE_DEFAULT),
            CUDA_ERROR_INVALID_VALUE);
  expect_one("which is no page-locked memory");
}

TEST_F(fake_misuse, a_word_may_be_seen_before_earlier_writes) {
  const auto word = reinterpret_cast<CUdeviceptr>(make_pinned_memory());
  EXPECT_EQ(driver.stream_write_value(a, word, 1, CU_STREAM_WRITE_VALUE_NO_MEMORY_BARRIER), CUDA_SUCCESS);
  expect_one("may be seen before");
}

TEST_F(fake_misuse, none_where_there_is_none) {
  void* const on_device = make_device_memory();
  void* const on_host = make_pinned_memory();
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(cuda.memcpy_async(on_device, on_host, size_bytes, cudaMemcpyHostToDevice, a), cudaSuccess);
    ASSERT_EQ(cuda.event_record(event, a), cudaSuccess);
    ASSERT_EQ(cuda.stream_wait_event(b, event, 0), cudaSuccess);
    ASSERT_EQ(cuda.stream_synchronize(b), cudaSuccess);
    ASSERT_EQ(driver.event_query(event), CUDA_SUCCESS);
  }
  ASSERT_EQ(cuda.mem_free(on_device), cudaSuccess);
  ASSERT_EQ(cuda.host_free(on_host), cudaSuccess);
  EXPECT_THAT(fake.misuses(), IsEmpty());
}

TEST_F(fake_misuse, an_event_recorded_again_while_someone_waits) {
  gate held;
  ASSERT_EQ(fake.launch(a, held.kernel()), cudaSuccess);
  ASSERT_EQ(cuda.event_record(event, a), cudaSuccess);
  ASSERT_EQ(cuda.stream_wait_event(b, event, 0), cudaSuccess);
  ASSERT_EQ(cuda.event_record(event, a), cudaSuccess);
  expect_one("recorded again while someone may wait");
}

TEST_F(fake_misuse, a_wait_for_an_event_that_was_never_recorded) {
  ASSERT_EQ(cuda.stream_wait_event(a, event, 0), cudaSuccess);
  expect_one("never recorded");
}

TEST_F(fake_misuse, a_copy_from_memory_that_is_not_page_locked) {
  std::vector<std::byte> pageable(size_bytes);
  ASSERT_EQ(cuda.memcpy_async(make_device_memory(), pageable.data(), size_bytes, cudaMemcpyHostToDevice, a),
            cudaSuccess);
  expect_one("is not page-locked");
}

TEST_F(fake_misuse, a_batch_from_memory_that_is_not_page_locked) {
  std::vector<std::byte> pageable(size_bytes);
  EXPECT_EQ(batch(pageable.data(), CU_MEMCPY_SRC_ACCESS_ORDER_STREAM), CUDA_SUCCESS);
  ASSERT_EQ(cuda.stream_synchronize(a), cudaSuccess);
  expect_one("is not page-locked");
}

TEST_F(fake_misuse, a_batch_that_reads_its_sources_out_of_stream_order) {
  EXPECT_EQ(batch(make_pinned_memory(), CU_MEMCPY_SRC_ACCESS_ORDER_ANY), CUDA_SUCCESS);
  expect_one("before the stream has come to it");
}

TEST_F(fake_misuse, a_copy_from_page_locked_memory_that_was_freed) {
  void* const freed = make_pinned_memory();
  void* const on_device = make_device_memory();
  ASSERT_EQ(cuda.host_free(freed), cudaSuccess);
  static_cast<void>(cuda.memcpy_async(on_device, freed, 0, cudaMemcpyHostToDevice, a));
  expect_one("was freed");
}

TEST_F(fake_misuse, a_copy_to_device_memory_that_was_freed) {
  void* const freed = make_device_memory();
  void* const on_host = make_pinned_memory();
  ASSERT_EQ(cuda.mem_free(freed), cudaSuccess);
  EXPECT_EQ(cuda.memcpy_async(freed, on_host, 1, cudaMemcpyHostToDevice, a), cudaErrorInvalidValue);
  expect_one("was freed");
}

TEST_F(fake_misuse, memory_freed_twice) {
  void* const freed = make_device_memory();
  ASSERT_EQ(cuda.mem_free(freed), cudaSuccess);
  EXPECT_EQ(cuda.mem_free(freed), cudaErrorInvalidValue);
  expect_one("no such memory");
}

TEST_F(fake_misuse, calls_with_another_device_current) {
  const auto misused = [&](const char* call) {
    const auto all = fake.misuses();
    return !all.empty() && all.back().starts_with(call);
  };
  void* const on_device = make_device_memory();
  void* const on_host = make_pinned_memory();
  const cudaStream_t brief = make_stream();
  const cudaEvent_t other = make_event();
  ASSERT_EQ(fake.set_device(1), cudaSuccess);
  ASSERT_EQ(cuda.event_record(event, a), cudaSuccess);
  EXPECT_TRUE(misused("cudaEventRecord "));
  ASSERT_EQ(cuda.stream_wait_event(b, event, 0), cudaSuccess);
  EXPECT_TRUE(misused("cudaStreamWaitEvent "));
  static_cast<void>(driver.event_query(event));
  EXPECT_TRUE(misused("cuEventQuery "));
  ASSERT_EQ(cuda.memcpy_async(on_device, on_host, size_bytes, cudaMemcpyHostToDevice, a), cudaSuccess);
  EXPECT_TRUE(misused("cudaMemcpyAsync "));
  ASSERT_EQ(cuda.stream_synchronize(a), cudaSuccess);
  EXPECT_TRUE(misused("cudaStreamSynchronize "));
  ASSERT_EQ(cuda.stream_destroy(brief), cudaSuccess);
  EXPECT_TRUE(misused("cudaStreamDestroy "));
  ASSERT_EQ(cuda.event_destroy(other), cudaSuccess);
  EXPECT_TRUE(misused("cudaEventDestroy "));
  ASSERT_EQ(cuda.mem_free(on_device), cudaSuccess);
  EXPECT_TRUE(misused("cudaFree "));
  ASSERT_EQ(cuda.host_free(on_host), cudaSuccess);
  EXPECT_TRUE(misused("cudaFreeHost "));
}

TEST_F(fake_misuse, a_stream_used_after_its_end) {
  ASSERT_EQ(cuda.stream_destroy(a), cudaSuccess);
  EXPECT_EQ(cuda.event_record(event, a), cudaErrorInvalidResourceHandle);
  expect_one("is no stream, or no longer");
}

TEST_F(fake_misuse, an_event_used_after_its_end) {
  ASSERT_EQ(cuda.event_destroy(event), cudaSuccess);
  EXPECT_EQ(driver.event_query(event), CUDA_ERROR_INVALID_HANDLE);
  expect_one("is no event, or no longer");
}

TEST_F(fake_misuse, handles_that_nobody_gives_back) {
  make_device_memory();
  make_pinned_memory();
  CUcontext context = nullptr;
  ASSERT_EQ(driver.primary_context_retain(&context, 0), CUDA_SUCCESS);
  EXPECT_THAT(fake.leaks(0),
              ElementsAre("4096 bytes of device memory left on device 0",
                          "4096 bytes of page-locked memory left on device 0", "2 streams left on device 0",
                          "1 events left on device 0", "1 references to the context left on device 0"));
  EXPECT_THAT(fake.leaks(1), IsEmpty());
}

TEST_F(fake_misuse, a_kernel_or_a_host_function_that_calls_cuda) {
  ASSERT_EQ(fake.launch(a, [&] { static_cast<void>(cuda.event_record(event, b)); }), cudaSuccess);
  ASSERT_EQ(cuda.stream_synchronize(a), cudaSuccess);
  EXPECT_THAT(fake.misuses(), ::testing::Contains(HasSubstr("cudaEventRecord is called by a kernel")));
}

TEST_F(fake_misuse, a_query_of_an_event_whose_record_is_captured) {
  fake_graph graph;
  ASSERT_EQ(fake.begin_capture(a, cudaStreamCaptureModeRelaxed), cudaSuccess);
  ASSERT_EQ(cuda.event_record(event, a), cudaSuccess);
  EXPECT_EQ(driver.event_query(event), CUDA_ERROR_CAPTURED_EVENT);
  expect_one("part of a capture");
  EXPECT_EQ(fake.end_capture(a, graph), cudaErrorStreamCaptureInvalidated);
}

TEST_F(fake_misuse, a_context_taken_off_that_nobody_put_there) {
  CUcontext context = nullptr;
  ASSERT_EQ(driver.context_pop(&context), CUDA_SUCCESS);  // of set_device
  EXPECT_EQ(driver.context_pop(&context), CUDA_ERROR_INVALID_CONTEXT);
  expect_one("takes off what nobody has put there");
}

TEST_F(fake_misuse, a_read_that_nothing_orders_after_the_write) {
  fake.configure(1, {});
  ASSERT_EQ(fake.set_device(1), cudaSuccess);
  auto* const on_device = static_cast<std::byte*>(make_device_memory());
  auto* const on_host = static_cast<std::byte*>(make_pinned_memory());
  const cudaStream_t in = make_stream();
  const cudaStream_t out = make_stream();
  const emulated::access read{on_device, size_bytes, false};
  ASSERT_EQ(cuda.memcpy_async(on_device, on_host, size_bytes, cudaMemcpyHostToDevice, in), cudaSuccess);
  ASSERT_EQ(fake.enqueue(1, out, [] {}, {&read, 1}), cudaSuccess);
  EXPECT_THAT(fake.checker(1)->violations(), ElementsAre(HasSubstr("kernel on stream 1")));
  ASSERT_EQ(cuda.stream_synchronize(in), cudaSuccess);
  ASSERT_EQ(cuda.stream_synchronize(out), cudaSuccess);
}

// ---- captures ----------------------------------------------------------------------------------------------------

TEST_F(fake_misuse, a_graph_does_the_work_when_it_is_launched) {
  int runs = 0;
  fake_graph graph;
  ASSERT_EQ(fake.begin_capture(a), cudaSuccess);
  ASSERT_EQ(fake.launch(a, [&] { ++runs; }), cudaSuccess);
  ASSERT_EQ(fake.end_capture(a, graph), cudaSuccess);
  ASSERT_EQ(cuda.stream_synchronize(a), cudaSuccess);
  EXPECT_EQ(runs, 0);
  ASSERT_EQ(fake.launch_graph(graph, b), cudaSuccess);
  ASSERT_EQ(fake.launch_graph(graph, b), cudaSuccess);
  ASSERT_EQ(cuda.stream_synchronize(b), cudaSuccess);
  EXPECT_EQ(runs, 2);
}

TEST_F(fake_misuse, a_wait_in_a_capture_for_what_was_recorded_outside_breaks_it) {
  fake_graph graph;
  ASSERT_EQ(cuda.event_record(event, b), cudaSuccess);
  ASSERT_EQ(fake.begin_capture(a, cudaStreamCaptureModeRelaxed), cudaSuccess);
  EXPECT_EQ(cuda.stream_wait_event(a, event, 0), cudaErrorStreamCaptureIsolation);
  EXPECT_EQ(fake.end_capture(a, graph), cudaErrorStreamCaptureInvalidated);
}

TEST_F(fake_misuse, an_unsafe_call_breaks_a_capture_of_any_thread_but_not_in_relaxed_mode) {
  ASSERT_EQ(cuda.event_record(event, b), cudaSuccess);
  ASSERT_EQ(cuda.stream_synchronize(b), cudaSuccess);
  const auto asked_by_another = [&](cudaStreamCaptureMode mode) {
    CUresult answer = CUDA_SUCCESS;
    std::thread([&] {
      ASSERT_EQ(fake.set_device(0), cudaSuccess);
      ASSERT_EQ(cuda.thread_exchange_capture_mode(&mode), cudaSuccess);
      answer = driver.event_query(event);
    }).join();
    return answer;
  };
  fake_graph graph;
  ASSERT_EQ(fake.begin_capture(a, cudaStreamCaptureModeGlobal), cudaSuccess);
  EXPECT_EQ(asked_by_another(cudaStreamCaptureModeRelaxed), CUDA_SUCCESS);
  EXPECT_EQ(asked_by_another(cudaStreamCaptureModeThreadLocal), CUDA_SUCCESS);
  ASSERT_EQ(fake.end_capture(a, graph), cudaSuccess);
  ASSERT_EQ(fake.begin_capture(a, cudaStreamCaptureModeGlobal), cudaSuccess);
  EXPECT_EQ(asked_by_another(cudaStreamCaptureModeGlobal), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  EXPECT_EQ(fake.end_capture(a, graph), cudaErrorStreamCaptureInvalidated);
  expect_one("an unsafe call breaks a capture");
  ASSERT_EQ(fake.begin_capture(a, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  EXPECT_EQ(driver.event_query(event), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED) << "this thread's own capture";
}

TEST_F(fake_misuse, the_handle_of_a_destroyed_stream_comes_again) {
  ASSERT_EQ(cuda.stream_destroy(a), cudaSuccess);
  EXPECT_EQ(make_stream(), a);
}

}  // namespace
}  // namespace pinrail::testing
