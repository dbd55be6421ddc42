// The calling thread is left as it was: its current device, its context stack, its last error.

#include <gtest/gtest.h>

#include <thread>

#include "calls.hpp"

namespace pinrail::testing {
namespace {

/// Everything a backend may be asked, the calls that can't fail included.
void run_all(rig& r) {
  for (const backend_call& call : failing_calls()) EXPECT_EQ(call.run(r).code, errc::none) << call.name;
}

void on_a_new_thread(const std::function<void()>& body) { std::thread(body).join(); }

TEST(cuda_caller, work_goes_to_the_backend_s_device_whichever_is_current) {
  rig r;
  ASSERT_EQ(r.fake.set_device(0), cudaSuccess);
  run_all(r);
  for (const char* call :
       {"cudaMalloc", "cudaFree", "cudaHostAlloc", "cudaFreeHost", "cudaStreamCreateWithFlags", "cudaStreamDestroy",
        "cudaStreamSynchronize", "cudaStreamGetDevice", "cudaEventCreateWithFlags", "cudaEventDestroy",
        "cudaEventRecord", "cuEventQuery", "cudaStreamWaitEvent", "cudaMemcpyAsync"}) {
    EXPECT_EQ(r.fake.last_device(call), 1) << call;
  }
}

TEST(cuda_caller, keeps_its_current_device) {
  rig r;
  ASSERT_EQ(r.fake.set_device(0), cudaSuccess);
  run_all(r);
  EXPECT_EQ(fake_cuda::current_device(), 0);
  ASSERT_EQ(r.fake.set_device(1), cudaSuccess);
  run_all(r);
  EXPECT_EQ(fake_cuda::current_device(), 1);
}

TEST(cuda_caller, keeps_its_current_device_when_calls_fail) {
  rig r;
  ASSERT_EQ(r.fake.set_device(0), cudaSuccess);
  for (const backend_call& call : failing_calls()) {
    r.fake.inject({.call = call.cuda_name, .code = cudaErrorNotSupported});
    EXPECT_EQ(call.run(r).code, errc::device_error) << call.name;
    EXPECT_EQ(fake_cuda::current_device(), 0) << call.name;
  }
}

TEST(cuda_caller, without_a_device_stays_without_one) {
  rig r;
  on_a_new_thread([&] {
    run_all(r);
    EXPECT_FALSE(fake_cuda::has_context());
    EXPECT_EQ(fake_cuda::current_device(), 0);
  });
}

// The trap that cudaGetDevice and cudaSetDevice set: "restoring" device 0 would make a context there.
TEST(cuda_caller, without_a_device_gets_no_context_on_a_gpu_that_nobody_uses) {
  rig r;
  on_a_new_thread([&] { run_all(r); });
  r.close();
  EXPECT_FALSE(r.fake.context_exists(0));
  EXPECT_TRUE(r.fake.context_exists(1));
}

TEST(cuda_caller, with_the_device_current_already_pays_for_no_switch) {
  rig r;
  ASSERT_EQ(r.fake.set_device(1), cudaSuccess);
  const std::uint64_t before = r.fake.calls("cuCtxPushCurrent");
  run_all(r);
  EXPECT_EQ(r.fake.calls("cuCtxPushCurrent"), before);
}

TEST(cuda_caller, every_switch_is_taken_back) {
  rig r;
  on_a_new_thread([&] { run_all(r); });
  r.close();
  EXPECT_GT(r.fake.calls("cuCtxPushCurrent"), 0u);
  EXPECT_EQ(r.fake.calls("cuCtxPopCurrent"), r.fake.calls("cuCtxPushCurrent"));
}

// ---- last error -----------------------------------------------------------------------------------------

TEST(cuda_caller, sees_no_error_of_ours) {
  rig r;
  for (const backend_call& call : failing_calls()) {
    for (const cudaError_t code : {cudaErrorNotSupported, cudaErrorMemoryAllocation}) {
      r.fake.inject({.call = call.cuda_name, .code = code});
      EXPECT_NE(call.run(r).code, errc::none) << call.name;
      EXPECT_EQ(fake_cuda::last_error(), cudaSuccess) << call.name;
    }
  }
  EXPECT_EQ(r.gpu->wrap_stream(cudaStreamPerThread).code(), errc::not_supported);
  EXPECT_EQ(fake_cuda::last_error(), cudaSuccess);
}

TEST(cuda_caller, sees_no_error_of_ours_when_the_device_is_lost) {
  rig r;
  r.fake.lose(1, cudaErrorIllegalAddress);
  EXPECT_EQ(r.gpu->create_event().code(), errc::device_lost);
  EXPECT_EQ(fake_cuda::last_error(), cudaSuccess);
  // Its own next call says so again.
  EXPECT_EQ(r.fake.set_device(1), cudaSuccess);
  EXPECT_EQ(r.fake.launch(r.cuda_stream(), [] {}), cudaErrorIllegalAddress);
}

TEST(cuda_caller, keeps_its_pending_error_while_our_calls_succeed) {
  rig r;
  fake_cuda::leave_error(cudaErrorInvalidConfiguration);  // a kernel launch with a bad shape, not checked yet
  run_all(r);
  EXPECT_EQ(fake_cuda::last_error(), cudaErrorInvalidConfiguration);
}

TEST(cuda_caller, keeps_its_pending_error_while_we_ask_for_what_is_not_ready) {
  rig r;
  gate held;
  ASSERT_EQ(r.fake.launch(r.cuda_stream(), held.kernel()), cudaSuccess);
  EXPECT_TRUE(r.gpu->record_event(r.event, r.stream));
  EXPECT_FALSE(r.gpu->query_event(r.event).value());
  EXPECT_EQ(fake_cuda::last_error(), cudaSuccess);
  fake_cuda::leave_error(cudaErrorInvalidConfiguration);
  EXPECT_FALSE(r.gpu->query_event(r.event).value());
  EXPECT_EQ(fake_cuda::last_error(), cudaErrorInvalidConfiguration);
}

// The runtime can't put a replaced error back, so the caller sees ours: late, but not nothing.
TEST(cuda_caller, still_finds_an_error_where_its_own_was_replaced) {
  rig r;
  fake_cuda::leave_error(cudaErrorInvalidConfiguration);
  r.fake.inject({.call = "cudaEventRecord", .code = cudaErrorNotSupported});
  EXPECT_EQ(r.gpu->record_event(r.event, r.stream).code(), errc::device_error);
  EXPECT_EQ(fake_cuda::last_error(), cudaErrorNotSupported);
}

TEST(cuda_caller, keeps_its_pending_error_while_a_backend_opens_and_closes) {
  fake_cuda fake({.devices = 2});
  fake_cuda::leave_error(cudaErrorInvalidConfiguration);
  open_fake(1).reset();
  EXPECT_EQ(fake_cuda::last_error(), cudaErrorInvalidConfiguration);
  EXPECT_FALSE(fake_cuda::has_context());
  EXPECT_FALSE(fake.context_exists(0));
}

}  // namespace
}  // namespace pinrail::testing
