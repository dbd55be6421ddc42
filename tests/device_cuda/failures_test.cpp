// What each backend call does when CUDA fails.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "calls.hpp"
#include "device/cuda/classify.hpp"

namespace pinrail::testing {
namespace {

class cuda_failures : public ::testing::TestWithParam<backend_call> {
 protected:
  failure run_with(cudaError_t code, bool sticky = false) {
    r.fake.inject({.call = GetParam().cuda_name, .code = code, .sticky = sticky});
    return GetParam().run(r);
  }
  rig r;
};

INSTANTIATE_TEST_SUITE_P(each, cuda_failures, ::testing::ValuesIn(failing_calls()),
                         [](const auto& call) { return call.param.name; });

TEST_P(cuda_failures, succeeds_without_a_fault) { EXPECT_EQ(GetParam().run(r).code, errc::none); }

TEST_P(cuda_failures, rests_on_the_cuda_function_it_should) {
  const std::uint64_t before = r.fake.calls(GetParam().cuda_name);
  GetParam().run(r);
  EXPECT_EQ(r.fake.calls(GetParam().cuda_name), before + 1);
}

TEST_P(cuda_failures, an_error_of_the_call_is_a_device_error_and_the_next_call_works) {
  const auto before = r.fake.live();
  const failure why = run_with(cudaErrorNotSupported);
  EXPECT_EQ(why.code, errc::device_error);
  EXPECT_EQ(why.native_code, cudaErrorNotSupported);
  EXPECT_EQ(r.fake.live(), before) << "something leaked";
  EXPECT_EQ(GetParam().run(r).code, errc::none);
}

TEST_P(cuda_failures, refused_memory_is_out_of_memory_and_the_next_call_works) {
  EXPECT_EQ(run_with(cudaErrorMemoryAllocation).code, errc::out_of_memory);
  EXPECT_EQ(GetParam().run(r).code, errc::none);
}

TEST_P(cuda_failures, a_lost_device_stays_lost_for_every_call) {
  const failure first = run_with(cudaErrorLaunchFailure);  // not sticky in the fake: the backend must remember it
  EXPECT_EQ(first.code, errc::device_lost);
  const std::uint64_t made = r.fake.calls("any");
  for (const backend_call& call : failing_calls()) {
    const failure later = call.run(r);
    EXPECT_EQ(later.code, errc::device_lost) << call.name;
    EXPECT_EQ(later.native_code, cudaErrorLaunchFailure) << call.name;
  }
  EXPECT_EQ(r.fake.calls("any"), made) << "CUDA was asked although the device is lost";
}

TEST_P(cuda_failures, no_context_means_no_call) {
  for (const char* driver_call : {"cuCtxGetCurrent", "cuCtxPushCurrent"}) {
    r.fake.inject({.call = driver_call, .code = cudaErrorNotPermitted});
    const std::uint64_t before = r.fake.calls(GetParam().cuda_name);
    const failure why = GetParam().run(r);
    EXPECT_EQ(why.code, errc::device_error) << driver_call;
    EXPECT_EQ(why.native_code, cudaErrorNotPermitted) << driver_call;
    EXPECT_EQ(r.fake.calls(GetParam().cuda_name), before) << driver_call;
  }
}

TEST(cuda_failures_of, the_first_loss_is_the_one_that_is_told) {
  rig r;
  r.fake.inject({.call = "cudaEventRecord", .code = cudaErrorECCUncorrectable});
  EXPECT_EQ(r.gpu->record_event(r.event, r.stream).why().native_code, cudaErrorECCUncorrectable);
  r.fake.lose(1, cudaErrorIllegalAddress);
  EXPECT_EQ(r.gpu->synchronize_stream(r.stream).why().native_code, cudaErrorECCUncorrectable);
}

TEST(cuda_failures_of, a_call_under_way_are_told_as_the_first_loss_too) {
  rig r;
  gate held;
  ASSERT_EQ(r.fake.launch(r.cuda_stream(), held.kernel()), cudaSuccess);
  failure told;
  std::thread waiting([&] { told = r.gpu->synchronize_stream(r.stream).why(); });
  while (r.fake.calls("cudaStreamSynchronize") == 0) std::this_thread::yield();
  r.fake.inject({.call = "cudaEventRecord", .code = cudaErrorECCUncorrectable});
  EXPECT_EQ(r.gpu->record_event(r.event, r.stream).why().native_code, cudaErrorECCUncorrectable);
  r.fake.lose(1, cudaErrorIllegalAddress);
  held.open();
  waiting.join();
  EXPECT_EQ(told.code, errc::device_lost);
  EXPECT_EQ(told.native_code, cudaErrorECCUncorrectable);
}

TEST(cuda_failures_of, a_users_kernel_lose_the_device_for_us_too) {
  rig r;
  ASSERT_EQ(r.fake.launch(r.cuda_stream(), [&] { r.fake.lose(1, cudaErrorIllegalAddress); }), cudaSuccess);
  const auto synchronized = r.gpu->synchronize_stream(r.stream);
  EXPECT_EQ(synchronized.code(), errc::device_lost);
  EXPECT_EQ(synchronized.why().native_code, cudaErrorIllegalAddress);
}

TEST(cuda_failures_of, one_device_are_not_those_of_another) {
  rig r;
  const auto other = open_fake(0);
  r.fake.lose(1, cudaErrorIllegalAddress);
  EXPECT_EQ(r.gpu->create_event().code(), errc::device_lost);
  auto event = other->create_event();
  ASSERT_TRUE(event);
  other->destroy_event(*event);
}

TEST(cuda_failures_of, memory_name_what_was_asked_for_and_what_is_free) {
  rig r;
  const auto refused = r.gpu->allocate_arena(1_GiB);
  EXPECT_EQ(refused.code(), errc::out_of_memory);
  EXPECT_EQ(refused.why().needed_bytes, 1_GiB);
  EXPECT_EQ(refused.why().available_bytes, 256_MiB - rig::size_bytes);
  EXPECT_EQ(r.gpu->allocate_pinned(2_GiB).why().needed_bytes, 2_GiB);
}

TEST(cuda_failures_of, page_locking_is_out_of_memory_whatever_cuda_calls_it) {
  rig r;
  r.fake.inject({.call = "cudaHostAlloc", .code = cudaErrorOperatingSystem});
  const failure why = r.gpu->allocate_pinned(4096).why();
  EXPECT_EQ(why.code, errc::out_of_memory);
  EXPECT_EQ(why.native_code, cudaErrorOperatingSystem);
  EXPECT_EQ(why.needed_bytes, 4096u);
}

TEST(cuda_failures_of, sizes_that_make_no_sense) {
  rig r;
  EXPECT_EQ(r.gpu->allocate_arena(0).code(), errc::device_error);
  EXPECT_EQ(r.gpu->allocate_arena(~std::uint64_t{0}).code(), errc::out_of_memory);
  EXPECT_EQ(r.gpu->allocate_pinned(~std::uint64_t{0} - 4096).code(), errc::out_of_memory);
}

TEST(cuda_failures_of, the_second_try_for_aligned_memory_leak_nothing) {
  rig r({.devices = 2, .misalignment_bytes = 256});
  const auto before = r.fake.live();
  r.fake.inject({.call = "cudaMalloc", .after = 1, .code = cudaErrorMemoryAllocation});
  EXPECT_EQ(r.gpu->allocate_arena(4096).code(), errc::out_of_memory);
  EXPECT_EQ(r.fake.live(), before);
}

TEST(cuda_failures_of, a_stream_s_last_wait_do_not_keep_it_alive) {
  rig r;
  const auto stream = r.gpu->create_stream().value();
  r.fake.inject({.call = "cudaStreamSynchronize", .code = cudaErrorNotSupported});
  r.gpu->destroy_stream(stream);
  EXPECT_EQ(r.fake.live().streams, 1u);
}

TEST(cuda_teardown, gives_back_what_a_lost_device_still_takes) {
  rig r;
  r.fake.inject({.call = "cudaEventRecord", .code = cudaErrorAssert});  // lost to us, while CUDA itself still works
  EXPECT_EQ(r.gpu->record_event(r.event, r.stream).code(), errc::device_lost);
  r.close();
  EXPECT_EQ(r.fake.live(), fake_cuda::resources{});
}

TEST(cuda_teardown, is_silent_when_the_runtime_has_gone_before) {
  rig r;
  r.fake.unload();
  const failure why = r.gpu->record_event(r.event, r.stream).why();
  EXPECT_EQ(why.code, errc::device_lost);
  EXPECT_EQ(why.native_code, cudaErrorCudartUnloading);
  r.close();  // neither throws nor prints nor hangs
  EXPECT_EQ(fake_cuda::last_error(), cudaSuccess);
}

TEST(cuda_teardown, is_silent_when_cuda_itself_is_gone) {
  auto fake = std::make_unique<fake_cuda>();
  auto gpu = open_fake(0);
  const auto stream = gpu->create_stream().value();
  fake.reset();
  gpu->destroy_stream(stream);
  EXPECT_EQ(gpu->synchronize_stream(stream).code(), errc::device_lost);
  gpu.reset();
}

TEST(cuda_teardown, a_child_after_fork_finds_the_device_lost_and_ends_in_silence) {
  rig r;
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const failure why = r.gpu->record_event(r.event, r.stream).why();
    r.gpu->destroy_event(r.event);
    r.gpu->free_arena(r.arena);
    r.gpu.reset();
    _exit(why.code == errc::device_lost && why.native_code == cudaErrorInitializationError ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_TRUE(r.gpu->record_event(r.event, r.stream)) << "the parent goes on";
}

TEST(cuda_classify, knows_what_can_be_tried_again) {
  EXPECT_EQ(classify(cudaSuccess), errc::none);
  EXPECT_EQ(classify(cudaErrorMemoryAllocation), errc::out_of_memory);
  for (const cudaError_t code :
       {cudaErrorInvalidValue, cudaErrorInvalidResourceHandle, cudaErrorNotSupported, cudaErrorNotPermitted,
        cudaErrorLaunchOutOfResources, cudaErrorStreamCaptureUnsupported, cudaErrorCapturedEvent,
        cudaErrorDevicesUnavailable, cudaErrorOperatingSystem, cudaErrorUnknown, static_cast<cudaError_t>(12345)}) {
    EXPECT_EQ(classify(code), errc::device_error) << code;
  }
}

TEST(cuda_classify, knows_what_ends_a_context) {
  for (const cudaError_t code :
       {cudaErrorIllegalAddress, cudaErrorLaunchTimeout, cudaErrorAssert, cudaErrorHardwareStackError,
        cudaErrorIllegalInstruction, cudaErrorMisalignedAddress, cudaErrorInvalidAddressSpace, cudaErrorInvalidPc,
        cudaErrorLaunchFailure, cudaErrorECCUncorrectable, cudaErrorNvlinkUncorrectable, cudaErrorExternalDevice,
        cudaErrorDeviceUninitialized, cudaErrorContextIsDestroyed, cudaErrorMpsClientTerminated,
        cudaErrorCudartUnloading, cudaErrorInitializationError, static_cast<cudaError_t>(226),
        static_cast<cudaError_t>(721)}) {
    EXPECT_EQ(classify(code), errc::device_lost) << cudaGetErrorName(code);
  }
}

#if CUDART_VERSION >= 13000
// classify.cpp writes these by number, since the oldest Toolkit that builds Pinrail may not name them.
static_assert(static_cast<int>(cudaErrorContained) == 226 && static_cast<int>(cudaErrorTensorMemoryLeak) == 721);
#endif

}  // namespace
}  // namespace pinrail::testing
