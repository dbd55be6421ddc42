// A backend on a fake GPU, with one of everything.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>
#include <thread>
#include <utility>

#include "device/cuda/open_cuda.hpp"
#include "fake_cuda.hpp"
#include "pinrail/units.hpp"

namespace pinrail::testing {

using namespace devices;

inline std::unique_ptr<backend> open_fake(int ordinal) {
  return open_cuda(fake_cuda::api(), {.library_found = true}, ordinal);
}

/// Holds a stream up until it is opened; opens by itself at its end, so that a failed test does not hang.
class gate {
 public:
  gate() = default;
  gate(const gate&) = delete;
  gate& operator=(const gate&) = delete;
  ~gate() { open(); }
  void open() {
    if (!std::exchange(open_, true)) opened_.set_value();
  }
  [[nodiscard]] auto kernel() const {
    return [passed = passed_] { passed.wait(); };
  }

 private:
  std::promise<void> opened_;
  std::shared_future<void> passed_ = opened_.get_future().share();
  bool open_ = false;
};

/// Asks until the event is complete. False when that fails or takes longer than any machine should need.
inline bool comes_true(backend& gpu, event_handle event) {
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  for (;;) {
    const auto complete = gpu.query_event(event);
    if (!complete || *complete) return complete.has_value();
    if (std::chrono::steady_clock::now() > give_up) return false;
    std::this_thread::yield();
  }
}

/// By default a machine with two GPUs, and the second one in use.
class rig {
 public:
  static constexpr std::uint64_t size_bytes = 64 * 1024;

  explicit rig(const fake_cuda::options& options = {.devices = 2}, int ordinal = 1)
      : fake(options),
        gpu(open_fake(ordinal)),
        arena(gpu->allocate_arena(size_bytes).value()),
        pinned(gpu->allocate_pinned(size_bytes).value()),
        stream(gpu->create_stream().value()),
        event(gpu->create_event().value()) {}
  rig(const rig&) = delete;
  rig& operator=(const rig&) = delete;
  ~rig() { close(); }

  void close() {
    if (gpu == nullptr) return;
    gpu->destroy_event(event);
    gpu->destroy_stream(stream);
    gpu->free_pinned(pinned);
    gpu->free_arena(arena);
    gpu.reset();
  }

  [[nodiscard]] cudaStream_t cuda_stream() const { return static_cast<cudaStream_t>(stream.native); }

  fake_cuda fake;
  std::unique_ptr<backend> gpu;
  std::byte* arena;
  std::byte* pinned;
  stream_handle stream;
  event_handle event;
};

}  // namespace pinrail::testing
