// Streams that users bring.

#include <gtest/gtest.h>

#include "rig.hpp"

namespace pinrail::testing {
namespace {

cudaStream_t user_stream(fake_cuda& fake, int device, unsigned flags) {
  cudaStream_t made = nullptr;
  EXPECT_EQ(fake.set_device(device), cudaSuccess);
  EXPECT_EQ(fake_cuda::api().stream_create(&made, flags), cudaSuccess);
  return made;
}

TEST(cuda_wrap_stream, takes_streams_of_its_device_as_they_are) {
  rig r;
  for (const unsigned flags : {cudaStreamDefault, cudaStreamNonBlocking}) {
    const cudaStream_t mine = user_stream(r.fake, 1, flags);
    EXPECT_EQ(r.gpu->wrap_stream(mine).value().native, mine);
  }
}

TEST(cuda_wrap_stream, asks_on_its_own_device) {
  rig r;
  const cudaStream_t mine = user_stream(r.fake, 1, cudaStreamDefault);
  ASSERT_EQ(r.fake.set_device(0), cudaSuccess);
  EXPECT_TRUE(r.gpu->wrap_stream(mine));
  EXPECT_EQ(fake_cuda::current_device(), 0);
}

TEST(cuda_wrap_stream, refuses_streams_of_another_device) {
  rig r;
  const auto refused = r.gpu->wrap_stream(user_stream(r.fake, 0, cudaStreamNonBlocking));
  EXPECT_EQ(refused.code(), errc::invalid_argument);
  EXPECT_EQ(refused.why().native_code, cudaErrorInvalidDevice);
}

TEST(cuda_wrap_stream, refuses_the_per_thread_stream) {
  rig r;
  const auto refused = r.gpu->wrap_stream(cudaStreamPerThread);
  EXPECT_EQ(refused.code(), errc::not_supported);
  EXPECT_EQ(refused.why().native_code, cudaErrorNotSupported);
}

TEST(cuda_wrap_stream, refuses_what_is_no_stream_and_goes_on) {
  rig r;
  const cudaStream_t ended = user_stream(r.fake, 1, cudaStreamDefault);
  ASSERT_EQ(fake_cuda::api().stream_destroy(ended), cudaSuccess);
  EXPECT_EQ(r.gpu->wrap_stream(ended).code(), errc::invalid_argument);
  // A handle of a context that someone destroyed says nothing about ours.
  for (const cudaError_t code : {cudaErrorInvalidValue, cudaErrorContextIsDestroyed, cudaErrorDeviceUninitialized}) {
    r.fake.inject({.call = "cudaStreamGetDevice", .code = code});
    const auto refused = r.gpu->wrap_stream(r.stream.native);
    EXPECT_EQ(refused.code(), errc::invalid_argument);
    EXPECT_EQ(refused.why().native_code, code);
  }
  EXPECT_TRUE(r.gpu->synchronize_stream(r.stream));
}

TEST(cuda_wrap_stream, takes_the_default_stream_of_its_own_device) {
  rig r;
  ASSERT_EQ(r.fake.set_device(0), cudaSuccess);
  for (const cudaStream_t said : {cudaStream_t{nullptr}, cudaStream_t{cudaStreamLegacy}}) {
    const auto wrapped = r.gpu->wrap_stream(said).value();
    EXPECT_EQ(wrapped.native, cudaStreamLegacy) << "nullptr means something else to some callers";
    // An event of device 1 can be recorded only on a stream of device 1.
    EXPECT_TRUE(r.gpu->record_event(r.event, wrapped));
    EXPECT_TRUE(r.gpu->wait_event(wrapped, r.event));
    EXPECT_TRUE(r.gpu->synchronize_stream(wrapped));
  }
}

TEST(cuda_wrap_stream, the_default_stream_orders_copies_by_events_like_any_other) {
  rig r;
  ASSERT_EQ(r.fake.set_device(1), cudaSuccess);
  const auto legacy = r.gpu->wrap_stream(nullptr).value();
  gate held;
  ASSERT_EQ(r.fake.launch(nullptr, held.kernel()), cudaSuccess);
  ASSERT_EQ(r.fake.launch(nullptr, [&] { r.arena[0] = std::byte{5}; }), cudaSuccess);
  EXPECT_TRUE(r.gpu->record_event(r.event, legacy));
  EXPECT_TRUE(r.gpu->wait_event(r.stream, r.event));
  EXPECT_TRUE(r.gpu->copy(r.stream, direction::device_to_host, r.pinned, r.arena, 1));
  held.open();
  EXPECT_TRUE(r.gpu->synchronize_stream(r.stream));
  EXPECT_EQ(r.pinned[0], std::byte{5});
}

TEST(cuda_wrap_stream, work_of_ours_does_not_wait_for_the_default_stream) {
  rig r;
  ASSERT_EQ(r.fake.set_device(1), cudaSuccess);
  gate held;
  ASSERT_EQ(r.fake.launch(nullptr, held.kernel()), cudaSuccess);
  EXPECT_TRUE(r.gpu->copy(r.stream, direction::host_to_device, r.arena, r.pinned, 4096));
  EXPECT_TRUE(r.gpu->record_event(r.event, r.stream));
  EXPECT_TRUE(comes_true(*r.gpu, r.event));
}

}  // namespace
}  // namespace pinrail::testing
