// A device whose calls cost next to nothing: what is measured on it is Pinrail's own work, the device's part excluded.
// Events complete at once, copies do nothing, memory is addresses.
#pragma once

#include <chrono>
#include <cstdlib>

#include "device/backend.hpp"

namespace pinrail::bench {

class null_backend final : public devices::backend {
 public:
  /// Not threaded: the scheduler starts no transfer thread, and who waits for a load does it.
  explicit null_backend(std::uint64_t memory_bytes, bool threaded = true)
      : memory_bytes_(memory_bytes), threaded_(threaded) {}

  [[nodiscard]] device_kind kind() const noexcept override { return device_kind::emulated; }
  [[nodiscard]] std::string name() const override { return "null device"; }
  [[nodiscard]] std::uint64_t memory_bytes() const noexcept override { return memory_bytes_; }
  [[nodiscard]] bool is_threaded() const noexcept override { return threaded_; }
  [[nodiscard]] std::uint64_t now_ns() const noexcept override {
    return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  }

  /// Addresses only: never touched.
  [[nodiscard]] result<std::byte*> allocate_arena(std::uint64_t) noexcept override { return anywhere(); }
  void free_arena(std::byte*) noexcept override {}
  [[nodiscard]] result<std::byte*> allocate_pinned(std::uint64_t size_bytes) noexcept override {
    auto* memory = static_cast<std::byte*>(std::aligned_alloc(4096, (size_bytes + 4095) / 4096 * 4096));
    if (memory == nullptr) return failure{.code = errc::out_of_memory};
    return memory;
  }
  void free_pinned(std::byte* memory) noexcept override { std::free(memory); }

  [[nodiscard]] result<devices::stream_handle> create_stream() noexcept override {
    return devices::stream_handle{anywhere()};
  }
  void destroy_stream(devices::stream_handle) noexcept override {}
  [[nodiscard]] result<devices::stream_handle> wrap_stream(void* native) noexcept override {
    return devices::stream_handle{native};
  }
  [[nodiscard]] devices::status synchronize_stream(devices::stream_handle) noexcept override { return {}; }

  [[nodiscard]] result<devices::event_handle> create_event() noexcept override {
    return devices::event_handle{anywhere()};
  }
  void destroy_event(devices::event_handle) noexcept override {}
  [[nodiscard]] devices::status record_event(devices::event_handle, devices::stream_handle) noexcept override {
    return {};
  }
  [[nodiscard]] result<bool> query_event(devices::event_handle) noexcept override { return true; }
  [[nodiscard]] devices::status wait_event(devices::stream_handle, devices::event_handle) noexcept override {
    return {};
  }
  [[nodiscard]] devices::status copy(devices::stream_handle, devices::direction, void*, const void*,
                                     std::uint64_t) noexcept override {
    return {};
  }

 private:
  [[nodiscard]] static std::byte* anywhere() noexcept { return reinterpret_cast<std::byte*>(std::uintptr_t{1} << 40); }

  std::uint64_t memory_bytes_;
  bool threaded_;
};

}  // namespace pinrail::bench
