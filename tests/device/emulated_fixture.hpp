// What the tests of the emulated device share.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "device/emulated/backend.hpp"

namespace pinrail::devices {

/// Holds kernels until it is opened; opens when it goes, so that a failing test does not hang.
class gate {
 public:
  gate() = default;
  gate(const gate&) = delete;
  gate& operator=(const gate&) = delete;
  ~gate() { open(); }

  void open() {
    const std::lock_guard lock(state_->mutex);
    state_->opened = true;
    state_->changed.notify_all();
  }
  /// Returns once a kernel stands at the gate.
  void await_kernel() {
    std::unique_lock lock(state_->mutex);
    state_->changed.wait(lock, [&] { return state_->entered; });
  }
  [[nodiscard]] std::function<void()> kernel() const {
    return [state = state_] {
      std::unique_lock lock(state->mutex);
      state->entered = true;
      state->changed.notify_all();
      state->changed.wait(lock, [&] { return state->opened; });
    };
  }

 private:
  struct state {
    std::mutex mutex;
    std::condition_variable changed;
    bool entered = false;
    bool opened = false;
  };
  std::shared_ptr<state> state_ = std::make_shared<state>();
};

class emulated_fixture : public ::testing::Test {
 protected:
  static constexpr std::uint64_t arena_bytes = 1 << 20;

  static host_device_options small() {
    host_device_options options;
    options.vram_bytes = arena_bytes;
    return options;
  }

  explicit emulated_fixture(const host_device_options& options = small())
      : device(options), arena(device.allocate_arena(options.vram_bytes).value()) {}

  stream_handle make_stream() { return device.create_stream().value(); }
  event_handle make_event() { return device.create_event().value(); }
  std::byte* make_pinned(std::uint64_t size_bytes) { return device.allocate_pinned(size_bytes).value(); }

  void launch(stream_handle stream, std::function<void()> kernel) { device.launch(stream, std::move(kernel), {}); }
  void touch(stream_handle stream, const void* data, std::uint64_t size_bytes, bool writes) {
    const emulated::access access{data, size_bytes, writes};
    device.launch(stream, [] {}, {&access, 1});
  }
  void reads(stream_handle stream, std::uint64_t offset, std::uint64_t size_bytes) {
    touch(stream, arena + offset, size_bytes, false);
  }
  void writes(stream_handle stream, std::uint64_t offset, std::uint64_t size_bytes) {
    touch(stream, arena + offset, size_bytes, true);
  }
  void copy_in(stream_handle stream, std::uint64_t offset, const void* from, std::uint64_t size_bytes) {
    device.copy(stream, direction::host_to_device, arena + offset, from, size_bytes).value();
  }
  void copy_out(stream_handle stream, void* to, std::uint64_t offset, std::uint64_t size_bytes) {
    device.copy(stream, direction::device_to_host, to, arena + offset, size_bytes).value();
  }
  void copy_within(stream_handle stream, std::uint64_t to, std::uint64_t from, std::uint64_t size_bytes) {
    device.copy(stream, direction::device_to_device, arena + to, arena + from, size_bytes).value();
  }
  void record(event_handle event, stream_handle stream) { device.record_event(event, stream).value(); }
  void wait(stream_handle stream, event_handle event) { device.wait_event(stream, event).value(); }
  void synchronize(stream_handle stream) { device.synchronize_stream(stream).value(); }
  bool query(event_handle event) { return device.query_event(event).value(); }

  /// True if the event does not complete in a while in which it would if nothing held it.
  bool stays_pending(event_handle event) {
    for (int i = 0; i < 20; ++i) {
      if (query(event)) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
  }

  /// Returns once the event is complete.
  void await(event_handle event) {
    while (!query(event)) std::this_thread::yield();
  }

  emulated_backend device;
  std::byte* arena;
};

}  // namespace pinrail::devices
