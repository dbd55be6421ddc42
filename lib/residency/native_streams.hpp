// Streams of others by their native handles, each registered with the device at first sight.
//
// Progress: looking up a known stream is wait-free, linear in the streams known. Registering takes a lock.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <optional>

#include "core/atomic.hpp"
#include "device/timeline.hpp"

namespace pinrail::residency {

class native_streams {
 public:
  explicit native_streams(devices::timeline& timeline) noexcept : timeline_(timeline) {}
  native_streams(const native_streams&) = delete;
  native_streams& operator=(const native_streams&) = delete;
  /// Waits for the work of the streams that were registered here.
  ~native_streams() {
    for (entry& e : entries_) end(e);
  }

  [[nodiscard]] result<std::uint32_t> find(void* native) noexcept {
    if (const auto known = look_up(key_of(native))) return *known;
    const std::lock_guard lock(registering_);
    if (const auto known = look_up(key_of(native))) return *known;
    const auto stream = timeline_.wrap_stream(native);
    if (!stream) return stream;
    return add(key_of(native), *stream, true);
  }

  /// A stream that someone else has registered, and ends.
  [[nodiscard]] result<std::uint32_t> add(std::uint32_t stream) noexcept {
    const std::lock_guard lock(registering_);
    const std::uintptr_t key = key_of(timeline_.handle(stream).native);
    if (const auto known = look_up(key)) return *known;
    return add(key, stream, false);
  }

  void forget(void* native) noexcept {
    const std::lock_guard lock(registering_);
    for (entry& e : entries_)
      if (e.key.load(core::order::relaxed) == key_of(native)) end(e);
  }

 private:
  struct entry {
    core::atomic<std::uintptr_t> key{0};  ///< 0: free
    core::atomic<std::uint32_t> stream{0};
    bool registered_here = false;
  };

  /// The legacy default stream has two names: nullptr and cudaStreamLegacy, which is 1.
  [[nodiscard]] static std::uintptr_t key_of(const void* native) noexcept {
    return native == nullptr ? 1 : reinterpret_cast<std::uintptr_t>(native);
  }

  [[nodiscard]] std::optional<std::uint32_t> look_up(std::uintptr_t key) const noexcept {
    const std::uint32_t end = high_.load(core::order::acquire);
    for (std::uint32_t i = 0; i < end; ++i)
      if (entries_[i].key.load(core::order::acquire) == key) return entries_[i].stream.load(core::order::relaxed);
    return std::nullopt;
  }

  [[nodiscard]] result<std::uint32_t> add(std::uintptr_t key, std::uint32_t stream, bool registered_here) noexcept {
    std::uint32_t i = 0;
    while (i < entries_.size() && entries_[i].key.load(core::order::relaxed) != 0) ++i;
    if (i == entries_.size()) {  // streams that were added and ended, and not forgotten
      if (registered_here) timeline_.close_stream(stream);
      return failure{.code = errc::limit, .needed_bytes = entries_.size() + 1, .available_bytes = entries_.size()};
    }
    entries_[i].stream.store(stream, core::order::relaxed);
    entries_[i].registered_here = registered_here;
    entries_[i].key.store(key, core::order::release);
    if (i >= high_.load(core::order::relaxed)) high_.store(i + 1, core::order::release);
    return stream;
  }

  void end(entry& e) noexcept {
    if (e.key.exchange(0, core::order::acq_rel) != 0 && e.registered_here)
      timeline_.close_stream(e.stream.load(core::order::relaxed));
  }

  devices::timeline& timeline_;
  std::mutex registering_;
  std::array<entry, devices::timeline::max_streams> entries_;
  core::atomic<std::uint32_t> high_{0};
};

}  // namespace pinrail::residency
