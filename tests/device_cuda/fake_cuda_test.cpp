// The fake keeps to CUDA's rules, or the tests that stand on it mean nothing.

#include <gtest/gtest.h>

#include <thread>

#include "rig.hpp"

namespace pinrail::testing {
namespace {

class fake_rules : public ::testing::Test {
 protected:
  cudaStream_t make_stream(unsigned flags = cudaStreamNonBlocking) {
    cudaStream_t made = nullptr;
    EXPECT_EQ(cuda.stream_create(&made, flags), cudaSuccess);
    return made;
  }
  cudaEvent_t make_event() {
    cudaEvent_t made = nullptr;
    EXPECT_EQ(cuda.event_create(&made, cudaEventDisableTiming), cudaSuccess);
    return made;
  }
  CUresult query(cudaEvent_t event) {
    driver_api driver;
    EXPECT_EQ(load_driver_api(cuda, driver), nullptr);
    return driver.event_query(event);
  }

  fake_cuda fake{{.devices = 2}};
  cuda_api cuda = fake_cuda::api();
};

TEST_F(fake_rules, a_wait_takes_the_record_of_the_moment) {
  gate first;
  gate second;
  const cudaStream_t a = make_stream();
  const cudaStream_t b = make_stream();
  const cudaEvent_t event = make_event();
  ASSERT_EQ(fake.launch(a, first.kernel()), cudaSuccess);
  ASSERT_EQ(cuda.event_record(event, a), cudaSuccess);
  ASSERT_EQ(cuda.stream_wait_event(b, event, 0), cudaSuccess);
  ASSERT_EQ(fake.launch(a, second.kernel()), cudaSuccess);
  ASSERT_EQ(cuda.event_record(event, a), cudaSuccess);  // recorded again: of no account to b
  first.open();
  EXPECT_EQ(cuda.stream_synchronize(b), cudaSuccess);  // hangs if b waits for the second record
  EXPECT_EQ(query(event), CUDA_ERROR_NOT_READY);
}

TEST_F(fake_rules, a_wait_holds_until_the_record_is_reached) {
  gate held;
  const cudaStream_t a = make_stream();
  const cudaStream_t b = make_stream();
  const cudaEvent_t event = make_event();
  const cudaEvent_t after = make_event();
  ASSERT_EQ(fake.launch(a, held.kernel()), cudaSuccess);
  ASSERT_EQ(cuda.event_record(event, a), cudaSuccess);
  ASSERT_EQ(cuda.stream_wait_event(b, event, 0), cudaSuccess);
  ASSERT_EQ(cuda.event_record(after, b), cudaSuccess);
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(query(after), CUDA_ERROR_NOT_READY);
  held.open();
  EXPECT_EQ(cuda.stream_synchronize(b), cudaSuccess);
  EXPECT_EQ(query(after), CUDA_SUCCESS);
}

TEST_F(fake_rules, an_event_never_recorded_holds_nothing_up) {
  const cudaStream_t a = make_stream();
  const cudaEvent_t event = make_event();
  EXPECT_EQ(query(event), CUDA_SUCCESS);
  EXPECT_EQ(cuda.stream_wait_event(a, event, 0), cudaSuccess);
  EXPECT_EQ(cuda.stream_synchronize(a), cudaSuccess);
}

TEST_F(fake_rules, an_event_may_end_before_what_waits_for_it) {
  gate held;
  const cudaStream_t a = make_stream();
  const cudaStream_t b = make_stream();
  const cudaEvent_t event = make_event();
  ASSERT_EQ(fake.launch(a, held.kernel()), cudaSuccess);
  ASSERT_EQ(cuda.event_record(event, a), cudaSuccess);
  ASSERT_EQ(cuda.stream_wait_event(b, event, 0), cudaSuccess);
  EXPECT_EQ(cuda.event_destroy(event), cudaSuccess);
  EXPECT_EQ(cuda.event_destroy(event), cudaErrorInvalidResourceHandle);
  held.open();
  EXPECT_EQ(cuda.stream_synchronize(b), cudaSuccess);
}

TEST_F(fake_rules, the_default_stream_and_blocking_streams_wait_for_each_other) {
  gate held;
  const cudaStream_t blocking = make_stream(cudaStreamDefault);
  const cudaStream_t free = make_stream(cudaStreamNonBlocking);
  bool ran = false;
  ASSERT_EQ(fake.launch(blocking, held.kernel()), cudaSuccess);
  ASSERT_EQ(fake.launch(nullptr, [&] { ran = true; }), cudaSuccess);
  ASSERT_EQ(fake.launch(blocking, [&] { EXPECT_TRUE(ran); }), cudaSuccess);
  ASSERT_EQ(fake.launch(free, [&] { EXPECT_FALSE(ran); }), cudaSuccess);
  EXPECT_EQ(cuda.stream_synchronize(free), cudaSuccess);
  held.open();
  EXPECT_EQ(cuda.stream_synchronize(blocking), cudaSuccess);
  EXPECT_TRUE(ran);
}

TEST_F(fake_rules, an_event_belongs_to_a_device) {
  const cudaStream_t here = make_stream();
  const cudaEvent_t event = make_event();
  ASSERT_EQ(fake.set_device(1), cudaSuccess);
  const cudaStream_t there = make_stream();
  EXPECT_EQ(cuda.event_record(event, there), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cuda.event_record(event, here), cudaSuccess);
  EXPECT_EQ(cuda.stream_wait_event(there, event, 0), cudaSuccess);
}

TEST_F(fake_rules, the_last_error_is_the_last_failure_until_it_is_taken) {
  EXPECT_EQ(cuda.mem_free(this), cudaErrorInvalidValue);
  make_stream();  // success changes nothing
  EXPECT_EQ(cuda.peek_at_last_error(), cudaErrorInvalidValue);
  EXPECT_EQ(cuda.stream_destroy(reinterpret_cast<cudaStream_t>(this)), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cuda.get_last_error(), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cuda.peek_at_last_error(), cudaSuccess);
}

TEST_F(fake_rules, the_last_error_is_the_thread_s_own) {
  fake_cuda::leave_error(cudaErrorInvalidValue);
  std::thread([&] { EXPECT_EQ(cuda.peek_at_last_error(), cudaSuccess); }).join();
}

TEST_F(fake_rules, a_runtime_call_makes_a_context_where_there_is_none) {
  std::thread([&] {
    EXPECT_FALSE(fake_cuda::has_context());
    make_event();
    EXPECT_TRUE(fake_cuda::has_context());
  }).join();
  EXPECT_TRUE(fake.context_exists(0));
  EXPECT_FALSE(fake.context_exists(1));
  ASSERT_EQ(fake.set_device(1), cudaSuccess);
  EXPECT_TRUE(fake.context_exists(1));
}

TEST_F(fake_rules, copies_only_where_the_direction_says) {
  void* device = nullptr;
  void* host = nullptr;
  ASSERT_EQ(cuda.mem_alloc(&device, 4096), cudaSuccess);
  ASSERT_EQ(cuda.host_alloc(&host, 4096, 0), cudaSuccess);
  const cudaStream_t stream = make_stream();
  EXPECT_EQ(cuda.memcpy_async(device, host, 4096, cudaMemcpyHostToDevice, stream), cudaSuccess);
  EXPECT_EQ(cuda.memcpy_async(device, host, 4096, cudaMemcpyDeviceToHost, stream), cudaErrorInvalidValue);
  EXPECT_EQ(cuda.memcpy_async(device, host, 4096, cudaMemcpyDeviceToDevice, stream), cudaErrorInvalidValue);
  EXPECT_EQ(cuda.memcpy_async(device, host, 4097, cudaMemcpyHostToDevice, stream), cudaErrorInvalidValue);
  EXPECT_EQ(cuda.mem_free(host), cudaErrorInvalidValue);
  EXPECT_EQ(cuda.mem_free(device), cudaSuccess);
  EXPECT_EQ(cuda.memcpy_async(device, host, 1, cudaMemcpyHostToDevice, stream), cudaErrorInvalidValue);
  EXPECT_EQ(cuda.host_free(host), cudaSuccess);
}

TEST_F(fake_rules, a_stream_s_end_lets_its_work_finish) {
  gate held;
  const cudaStream_t stream = make_stream();
  bool ran = false;
  ASSERT_EQ(fake.launch(stream, held.kernel()), cudaSuccess);
  ASSERT_EQ(fake.launch(stream, [&] { ran = true; }), cudaSuccess);
  EXPECT_EQ(cuda.stream_destroy(stream), cudaSuccess);  // does not wait
  EXPECT_EQ(cuda.stream_synchronize(stream), cudaErrorInvalidResourceHandle);
  held.open();
  void* memory = nullptr;
  ASSERT_EQ(cuda.mem_alloc(&memory, 1), cudaSuccess);
  EXPECT_EQ(cuda.mem_free(memory), cudaSuccess);  // waits for the device
  EXPECT_TRUE(ran);
}

TEST_F(fake_rules, a_fault_comes_at_its_call_and_once) {
  fake.inject({.call = "cudaEventCreateWithFlags", .after = 1, .code = cudaErrorUnknown});
  cudaEvent_t event = nullptr;
  EXPECT_EQ(cuda.event_create(&event, 0), cudaSuccess);
  EXPECT_EQ(cuda.event_create(&event, 0), cudaErrorUnknown);
  EXPECT_EQ(cuda.event_create(&event, 0), cudaSuccess);
  fake.inject({.call = "any", .code = cudaErrorAssert, .sticky = true});
  EXPECT_EQ(cuda.event_create(&event, 0), cudaErrorAssert);
  EXPECT_EQ(cuda.event_create(&event, 0), cudaErrorAssert);
  EXPECT_EQ(query(event), CUDA_ERROR_ASSERT);
}

TEST_F(fake_rules, a_lost_device_moves_no_bytes) {
  const cudaStream_t stream = make_stream();
  gate held;
  bool ran = false;
  ASSERT_EQ(fake.launch(stream, held.kernel()), cudaSuccess);
  ASSERT_EQ(fake.launch(stream, [&] { ran = true; }), cudaSuccess);
  fake.lose(0, cudaErrorLaunchFailure);
  held.open();
  EXPECT_EQ(cuda.stream_synchronize(stream), cudaErrorLaunchFailure);
  EXPECT_FALSE(ran);
}

}  // namespace
}  // namespace pinrail::testing
