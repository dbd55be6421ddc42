// What a program does with CUDA on the device of a rig.
#pragma once

#include <gtest/gtest.h>

#include "device_cuda/fake_machine.hpp"
#include "support/rig.hpp"

namespace pinrail::test {

inline testing::fake_gpu& gpu_of(rig& r) { return dynamic_cast<testing::fake_gpu&>(r.device().backend()); }

/// A stream of the program's own, and its registration with Pinrail. Makes the rig's device current.
class user_stream {
 public:
  explicit user_stream(rig& r, unsigned flags = cudaStreamNonBlocking) : gpu_(gpu_of(r)) {
    EXPECT_EQ(gpu_.machine().set_device(gpu_.ordinal()), cudaSuccess);
    EXPECT_EQ(testing::fake_cuda::api().stream_create(&native_, flags), cudaSuccess);
    wrapped_ = r.device().wrap_stream(native_);
  }
  user_stream(const user_stream&) = delete;
  user_stream& operator=(const user_stream&) = delete;
  ~user_stream() {
    wrapped_ = {};
    EXPECT_EQ(gpu_.machine().set_device(gpu_.ordinal()), cudaSuccess);
    EXPECT_EQ(testing::fake_cuda::api().stream_destroy(native_), cudaSuccess);
  }

  operator stream_ref() const { return wrapped_; }  // NOLINT: as `stream`
  [[nodiscard]] cudaStream_t native() const { return native_; }

  void begin_capture(cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal) {
    ASSERT_EQ(gpu_.machine().begin_capture(native_, mode), cudaSuccess);
  }
  /// Null: the capture was broken.
  [[nodiscard]] testing::fake_graph end_capture() {
    testing::fake_graph graph;
    EXPECT_EQ(gpu_.machine().end_capture(native_, graph), cudaSuccess);
    return graph;
  }
  void launch(const testing::fake_graph& graph) { ASSERT_EQ(gpu_.machine().launch_graph(graph, native_), cudaSuccess); }

 private:
  testing::fake_gpu& gpu_;
  cudaStream_t native_ = nullptr;
  stream wrapped_;
};

}  // namespace pinrail::test
