// The emulated device: real bytes and real threads in host memory.
//
// Streams are threads, kernels are host functions, a copy is a memcpy that takes as long as the rates say.
// Waits between streams are real, so ThreadSanitizer sees unordered accesses to device memory as races when
// they happen; the order checker finds them also when they don't.
//
// The locks below order the threads that call the device, and so can hide missing order in the callers from
// ThreadSanitizer: `check=off` leaves only those of one stream and one event, as in a CUDA driver.
//
// Locks, outermost first: a stream's enqueue mutex, an event's mutex, the checker's, the table's; the mutexes
// of queues, progress and engines are leaves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "device/backend.hpp"
#include "device/device_memory.hpp"
#include "device/emulated/emulation.hpp"
#include "device/emulated/fault_plan.hpp"
#include "device/emulated/order_checker.hpp"
#include "device/emulated/stream_thread.hpp"
#include "device/spec.hpp"
#include "pinrail/emulated.hpp"

namespace pinrail::devices {

/// A lost device starts no more copies and kernels; once a call has returned `device_lost`, no copy touches
/// host memory any more. Streams drain at once, so that everything can still be destroyed. Tests derive from this.
class emulated_backend : public backend, public emulation {
 public:
  explicit emulated_backend(const host_device_options& options);
  ~emulated_backend() override;

  [[nodiscard]] device_kind kind() const noexcept override { return device_kind::emulated; }
  [[nodiscard]] std::string name() const override;
  [[nodiscard]] std::uint64_t memory_bytes() const noexcept override { return options_.vram_bytes; }
  [[nodiscard]] std::uint64_t now_ns() const noexcept override;

  /// Costs memory where it is touched.
  [[nodiscard]] result<std::byte*> allocate_arena(std::uint64_t size_bytes) noexcept override;
  /// Waits for all work of the device.
  void free_arena(std::byte* arena) noexcept override;
  [[nodiscard]] result<std::byte*> allocate_pinned(std::uint64_t size_bytes) noexcept override;
  /// Pending copies keep the memory until they are done; the checker reports them.
  void free_pinned(std::byte* memory) noexcept override;

  [[nodiscard]] result<stream_handle> create_stream() noexcept override;
  void destroy_stream(stream_handle stream) noexcept override;
  [[nodiscard]] result<stream_handle> wrap_stream(void* native) noexcept override;
  [[nodiscard]] status synchronize_stream(stream_handle stream) noexcept override;

  [[nodiscard]] result<event_handle> create_event() noexcept override;
  void destroy_event(event_handle event) noexcept override;
  [[nodiscard]] status record_event(event_handle event, stream_handle stream) noexcept override;
  [[nodiscard]] result<bool> query_event(event_handle event) noexcept override;
  [[nodiscard]] status wait_event(stream_handle stream, event_handle event) noexcept override;

  [[nodiscard]] status copy(stream_handle stream, direction way, void* to, const void* from,
                            std::uint64_t size_bytes) noexcept override;

  /// To be called before the event that covers the kernels is recorded. A null stream means an access by the
  /// host itself: refilling a pinned slab, say.
  void note_access(stream_handle stream, const void* data, std::uint64_t size_bytes, access way) noexcept override;
  void note_discard(stream_handle stream, void* data, std::uint64_t size_bytes) noexcept override;

  // ---- what only an emulated device has; see pinrail/emulated.hpp -----------------------------------------
  void launch(stream_handle stream, std::function<void()> kernel, std::span<const emulated::access> accesses) override;
  void inject(const emulated::fault& what) override { faults_.inject(what); }
  void clear_faults() override { faults_.clear(); }
  [[nodiscard]] bool has_faults() const override { return faults_.armed(); }
  [[nodiscard]] std::vector<std::string> violations() const override;
  [[nodiscard]] emulated::resources live_resources() const override;
  [[nodiscard]] std::uint64_t calls_made() const override { return faults_.calls_made(); }

 private:
  /// What an event stood for when it was last recorded.
  struct event_record {
    stream_position position;
    order_checker::moment covers;
  };
  class event {
   public:
    void set(event_record last);
    [[nodiscard]] event_record get() const;

   private:
    mutable std::mutex mutex_;
    event_record last_;
  };

  [[nodiscard]] std::optional<failure> refuse(emulated::call which) noexcept;
  [[nodiscard]] std::uint32_t lowest_free_number() const noexcept;
  void check_copy(const stream_thread& stream, const copy_work& copy) noexcept;
  [[nodiscard]] bool is_device_memory(const void* data, std::uint64_t size_bytes) const noexcept;

  const host_device_options options_;
  fault_plan faults_;
  const std::unique_ptr<order_checker> checker_;  ///< null with check=off
  stream_environment environment_{options_, faults_};

  mutable std::shared_mutex table_mutex_;
  device_memory memory_;
  std::unordered_map<void*, std::unique_ptr<event>> events_;
  std::unordered_map<void*, std::unique_ptr<stream_thread>> streams_;  ///< last: threads use all of the above
};

}  // namespace pinrail::devices
