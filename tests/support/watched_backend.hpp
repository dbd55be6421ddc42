// An emulated device that is watched: before each call that could fail something may be done, and at its very end,
// when its events are gone too, it tells what nobody has given back.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "core/atomic.hpp"
#include "device/emulated/backend.hpp"

namespace pinrail::test {

class watched_backend : public devices::emulated_backend {
 public:
  using base = devices::emulated_backend;
  /// Called on the thread that makes the call, before it; `number` counts from 0.
  using hook = std::function<void(emulated::call what, std::uint64_t number)>;

  watched_backend(const devices::host_device_options& options, std::shared_ptr<emulated::resources> left,
                  hook before = {})
      : base(options), left_(std::move(left)), before_(std::move(before)) {}
  ~watched_backend() override { *left_ = live_resources(); }

  [[nodiscard]] std::uint64_t calls_made(emulated::call what) const {
    return calls_[static_cast<std::size_t>(what)].load(core::order::relaxed);
  }

  [[nodiscard]] result<std::byte*> allocate_arena(std::uint64_t size_bytes) noexcept override {
    return before(emulated::call::allocate_arena), base::allocate_arena(size_bytes);
  }
  [[nodiscard]] result<std::byte*> allocate_pinned(std::uint64_t size_bytes) noexcept override {
    return before(emulated::call::allocate_pinned), base::allocate_pinned(size_bytes);
  }
  [[nodiscard]] result<devices::stream_handle> create_stream() noexcept override {
    return before(emulated::call::create_stream), base::create_stream();
  }
  [[nodiscard]] devices::status synchronize_stream(devices::stream_handle stream) noexcept override {
    return before(emulated::call::synchronize_stream), base::synchronize_stream(stream);
  }
  [[nodiscard]] result<devices::event_handle> create_event() noexcept override {
    return before(emulated::call::create_event), base::create_event();
  }
  [[nodiscard]] devices::status record_event(devices::event_handle which,
                                             devices::stream_handle stream) noexcept override {
    return before(emulated::call::record_event), base::record_event(which, stream);
  }
  [[nodiscard]] result<bool> query_event(devices::event_handle which) noexcept override {
    return before(emulated::call::query_event), base::query_event(which);
  }
  [[nodiscard]] devices::status wait_event(devices::stream_handle stream,
                                           devices::event_handle which) noexcept override {
    return before(emulated::call::wait_event), base::wait_event(stream, which);
  }
  [[nodiscard]] devices::status copy(devices::stream_handle stream, devices::direction way, void* to, const void* from,
                                     std::uint64_t size_bytes) noexcept override {
    static constexpr emulated::call by_direction[] = {emulated::call::copy_host_to_device,
                                                      emulated::call::copy_device_to_host,
                                                      emulated::call::copy_device_to_device};
    return before(by_direction[static_cast<std::size_t>(way)]), base::copy(stream, way, to, from, size_bytes);
  }

 private:
  void before(emulated::call what) noexcept {
    calls_[static_cast<std::size_t>(what)].fetch_add(1, core::order::relaxed);
    const std::uint64_t number =
        calls_[static_cast<std::size_t>(emulated::call::any)].fetch_add(1, core::order::relaxed);
    if (before_) before_(what, number);
  }

  std::array<core::atomic<std::uint64_t>, static_cast<std::size_t>(emulated::call::any) + 1> calls_{};
  std::shared_ptr<emulated::resources> left_;
  hook before_;
};

}  // namespace pinrail::test
