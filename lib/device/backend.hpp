// The device interface: what a backend gives the rest of Pinrail.
//
// Everything here is `noexcept` and returns a result. Error codes a backend may return:
//   out_of_memory   refused for now; nothing changed; may be retried
//   device_error    the call failed and did nothing; may be retried
//   device_lost     sticky: this and every later call fails
//
// Order. A stream runs its work in the order it was enqueued. `wait_event` makes all later work of a stream
// wait, on the device, for what `record_event` covered at the time of the call; the CPU does not wait. An event
// that was never recorded reads as complete.
//
// Thread-safety: any thread may call anything at any time, except on a simulated device, which belongs to one
// thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "core/atomic.hpp"
#include "pinrail/device.hpp"
#include "pinrail/error.hpp"

namespace pinrail::devices {

using status = result<void>;

struct stream_handle {
  void* native = nullptr;
  friend bool operator==(const stream_handle&, const stream_handle&) = default;
};

struct event_handle {
  void* native = nullptr;
};

/// In memory from `allocate_pinned`: written by streams, read by the CPU, which so asks no driver.
using completion_word = core::atomic<std::uint64_t>;
static_assert(sizeof(completion_word) == sizeof(std::uint64_t) && completion_word::is_always_lock_free);

enum class direction : std::uint8_t { host_to_device, device_to_host, device_to_device };

enum class access : std::uint8_t { read, write };

struct copy_to_device {
  void* to = nullptr;
  const void* from = nullptr;  ///< memory from `allocate_pinned`, or page-locked otherwise
  std::uint64_t size_bytes = 0;
};
inline constexpr std::size_t largest_batch = 64;  ///< copies

class backend {
 public:
  backend() = default;
  backend(const backend&) = delete;
  backend& operator=(const backend&) = delete;
  virtual ~backend() = default;

  [[nodiscard]] virtual device_kind kind() const noexcept = 0;
  [[nodiscard]] virtual std::string name() const = 0;
  [[nodiscard]] virtual std::uint64_t memory_bytes() const noexcept = 0;

  /// False on a simulated device: no other thread may touch it, and the clock stands still unless moved.
  [[nodiscard]] virtual bool is_threaded() const noexcept { return true; }
  [[nodiscard]] virtual std::uint64_t now_ns() const noexcept = 0;
  /// Simulated devices: moves the clock to the next completion of enqueued work, but not past `limit_ns`.
  /// Returns false if no work was pending before `limit_ns` (the clock is then at `limit_ns`).
  virtual bool advance_clock(std::uint64_t limit_ns) noexcept { return static_cast<void>(limit_ns), false; }

  // ---- memory -------------------------------------------------------------------------------------------
  /// One arena per device, allocated once; aligned to 4096 bytes at least.
  [[nodiscard]] virtual result<std::byte*> allocate_arena(std::uint64_t size_bytes) noexcept = 0;
  virtual void free_arena(std::byte* arena) noexcept = 0;
  /// Page-locked host memory that copies start from at full speed; aligned to 4096 bytes at least.
  [[nodiscard]] virtual result<std::byte*> allocate_pinned(std::uint64_t size_bytes) noexcept = 0;
  virtual void free_pinned(std::byte* memory) noexcept = 0;

  // ---- streams ------------------------------------------------------------------------------------------
  [[nodiscard]] virtual result<stream_handle> create_stream() noexcept = 0;
  /// Waits for the stream's work.
  virtual void destroy_stream(stream_handle stream) noexcept = 0;
  /// Checks a stream that the user owns and returns its handle; `not_supported` where that makes no sense.
  [[nodiscard]] virtual result<stream_handle> wrap_stream(void* native) noexcept = 0;
  /// Is the stream's work being captured into a graph? Then nothing may be recorded in it, and nothing that was
  /// recorded outside be waited for.
  [[nodiscard]] virtual bool is_capturing(stream_handle) noexcept { return false; }
  [[nodiscard]] virtual status synchronize_stream(stream_handle stream) noexcept = 0;

  // ---- events (without timing) --------------------------------------------------------------------------
  [[nodiscard]] virtual result<event_handle> create_event() noexcept = 0;
  virtual void destroy_event(event_handle event) noexcept = 0;
  [[nodiscard]] virtual status record_event(event_handle event, stream_handle stream) noexcept = 0;
  /// True once everything covered by the last record is done.
  [[nodiscard]] virtual result<bool> query_event(event_handle event) noexcept = 0;
  [[nodiscard]] virtual status wait_event(stream_handle stream, event_handle event) noexcept = 0;

  // ---- completion words ---------------------------------------------------------------------------------
  [[nodiscard]] virtual bool writes_words() const noexcept { return false; }
  /// Enqueues the write of a value, to be done once all earlier work of the stream is done and visible to the CPU (21).
  /// On a lost device it may never be done.
  [[nodiscard]] virtual status write_word(stream_handle, completion_word&, std::uint64_t) noexcept {
    return failure{.code = errc::not_supported};
  }

  // ---- copies -------------------------------------------------------------------------------------------
  /// Enqueues a copy. Host memory must stay valid until the copy is done; memory from `allocate_pinned` copies
  /// asynchronously, other host memory may make the call block. Device ranges must not overlap.
  [[nodiscard]] virtual status copy(stream_handle stream, direction way, void* to, const void* from,
                                    std::uint64_t size_bytes) noexcept = 0;

  [[nodiscard]] virtual bool copies_batches() const noexcept { return false; }
  /// Enqueues up to `largest_batch` copies that are done in any order, but all after what the stream did before and
  /// before what it does next. After a failure some may have been enqueued; the same bytes may be copied again.
  [[nodiscard]] virtual status copy_batch(stream_handle, std::span<const copy_to_device>) noexcept {
    return failure{.code = errc::not_supported};
  }

  // ---- for devices that check their users ---------------------------------------------------------------
  /// Kernels between the stream's last wait and now touch these bytes. A no-op except on devices that check.
  virtual void note_access(stream_handle, const void*, std::uint64_t, access) noexcept {}
  /// From here on in the stream the bytes mean nothing until they are written. A no-op except on devices that
  /// poison what is freed.
  virtual void note_discard(stream_handle, void*, std::uint64_t) noexcept {}
  /// The CPU has read this value in the word, and takes what is behind it as done.
  virtual void note_word(const completion_word&, std::uint64_t) noexcept {}
};

}  // namespace pinrail::devices
