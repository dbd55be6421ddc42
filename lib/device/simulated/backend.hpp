// The simulated device: a virtual clock, and no bytes.
//
// A wait can only name work that was enqueued before, so the time at which a piece of work ends is known when
// it is enqueued. Nothing runs; only times are kept: a stream's and an engine's is when it is next free, an
// event's is the stream's at the record. The same calls give the same times in every run.
//
// A copy engine serves copies in the order in which they were enqueued, also across streams: a copy that
// waits for its stream holds up those enqueued after it.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <queue>
#include <string>
#include <unordered_map>
#include <vector>

#include "device/backend.hpp"
#include "device/device_memory.hpp"
#include "device/spec.hpp"

namespace pinrail::devices {

/// Thread-safety: none; a simulated device belongs to one thread.
class simulated_backend final : public backend {
 public:
  explicit simulated_backend(const host_device_options& options);

  [[nodiscard]] device_kind kind() const noexcept override { return device_kind::simulated; }
  [[nodiscard]] std::string name() const override;
  [[nodiscard]] std::uint64_t memory_bytes() const noexcept override { return options_.vram_bytes; }
  [[nodiscard]] bool is_threaded() const noexcept override { return false; }
  [[nodiscard]] std::uint64_t now_ns() const noexcept override { return now_ns_; }
  bool advance_clock(std::uint64_t limit_ns) noexcept override;

  /// The arena's addresses are reserved and can't be read or written.
  [[nodiscard]] result<std::byte*> allocate_arena(std::uint64_t size_bytes) noexcept override;
  void free_arena(std::byte* arena) noexcept override;
  [[nodiscard]] result<std::byte*> allocate_pinned(std::uint64_t size_bytes) noexcept override;
  void free_pinned(std::byte* memory) noexcept override;

  [[nodiscard]] result<stream_handle> create_stream() noexcept override;
  void destroy_stream(stream_handle stream) noexcept override;
  [[nodiscard]] result<stream_handle> wrap_stream(void* native) noexcept override;
  /// Moves the clock to the end of the stream's work.
  [[nodiscard]] status synchronize_stream(stream_handle stream) noexcept override;

  [[nodiscard]] result<event_handle> create_event() noexcept override;
  void destroy_event(event_handle event) noexcept override;
  [[nodiscard]] status record_event(event_handle event, stream_handle stream) noexcept override;
  [[nodiscard]] result<bool> query_event(event_handle event) noexcept override;
  [[nodiscard]] status wait_event(stream_handle stream, event_handle event) noexcept override;

  [[nodiscard]] status copy(stream_handle stream, direction way, void* to, const void* from,
                            std::uint64_t size_bytes) noexcept override;

  /// Enqueues a kernel that takes `duration_ns`.
  [[nodiscard]] status launch(stream_handle stream, std::uint64_t duration_ns) noexcept;

 private:
  struct simulated_stream {
    std::uint64_t free_ns = 0;
  };
  struct simulated_event {
    std::uint64_t done_ns = 0;  ///< 0 also while never recorded: complete
  };

  [[nodiscard]] status note_end(std::uint64_t end_ns) noexcept;
  void move_clock(std::uint64_t to_ns) noexcept;

  host_device_options options_;
  device_memory memory_;
  std::uint64_t now_ns_ = 0;
  std::array<std::uint64_t, 3> engine_free_ns_{};
  /// When enqueued work ends, nearest first; later than now.
  std::priority_queue<std::uint64_t, std::vector<std::uint64_t>, std::greater<>> ends_ns_;
  std::unordered_map<void*, std::unique_ptr<simulated_stream>> streams_;
  std::unordered_map<void*, std::unique_ptr<simulated_event>> events_;
};

}  // namespace pinrail::devices
