// A GPU through the CUDA runtime.
//
// Contexts. Every call runs with this device's primary context current and leaves the calling thread's
// current device and last error as they were (call_scope.hpp); threads that never touched CUDA may call.
// The backend keeps one reference to the primary context while it lives. cudaDeviceReset() ends the
// context under it: the device is lost then.
//
// Errors. The first error that classify() calls `device_lost` is kept, and every later call returns it
// without asking CUDA. It may have been caused by any kernel on the device, the user's too: CUDA reports
// those to whoever calls next. Calls that free or destroy go to CUDA all the same and keep quiet, also
// when the process is ending and the runtime or the driver has gone before us.
//
// Streams of users. `wrap_stream` takes any cudaStream_t of this device's primary context:
//   - One that was created, by the runtime or by the driver, blocking or not: as it is.
//   - nullptr and cudaStreamLegacy: the device's default stream, which also waits for all blocking
//     streams of the device, and they for it. Ours are non-blocking, so events alone order them with it.
//     It is kept as cudaStreamLegacy, because what nullptr means depends on how a caller was compiled:
//     under --default-stream per-thread it is the next one, which can't be seen from here.
//   - cudaStreamPerThread is refused with `not_supported`. It names another stream on every thread that
//     says it: the copy thread would record on, and wait for, a stream of its own, and the caller's work
//     would go unordered. CUDA gives no handle for the one that the caller means. Create a stream and
//     wrap that.
//   - A stream of another device is refused with `invalid_argument`. One of another context on the same
//     device can't be told here; CUDA refuses it when an event is first recorded on it.
// CUDA does not check handles: a destroyed stream's is undefined behaviour, as in any CUDA call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "core/atomic.hpp"
#include "device/backend.hpp"
#include "device/cuda/aligned_memory.hpp"
#include "device/cuda/api.hpp"

namespace pinrail::devices {

class cuda_backend final : public backend {
 public:
  struct identity {
    int ordinal = 0;
    CUdevice device = 0;
    CUcontext context = nullptr;  ///< the primary context, retained once for this backend
    std::string name;             ///< the GPU's own
    std::uint64_t memory_bytes = 0;
    bool writes_words = false;
  };

  /// Takes over the reference to the primary context.
  cuda_backend(const cuda_api& api, const driver_api& driver, identity who);
  ~cuda_backend() override;

  [[nodiscard]] device_kind kind() const noexcept override { return device_kind::cuda; }
  [[nodiscard]] std::string name() const override;
  [[nodiscard]] std::uint64_t memory_bytes() const noexcept override { return who_.memory_bytes; }
  [[nodiscard]] std::uint64_t now_ns() const noexcept override;

  [[nodiscard]] result<std::byte*> allocate_arena(std::uint64_t size_bytes) noexcept override;
  void free_arena(std::byte* arena) noexcept override;
  /// Page-locked for every device (cudaHostAllocPortable), so one pool serves several.
  [[nodiscard]] result<std::byte*> allocate_pinned(std::uint64_t size_bytes) noexcept override;
  void free_pinned(std::byte* memory) noexcept override;

  /// Streams are non-blocking: they have nothing to do with the legacy default stream.
  [[nodiscard]] result<stream_handle> create_stream() noexcept override;
  void destroy_stream(stream_handle stream) noexcept override;
  [[nodiscard]] result<stream_handle> wrap_stream(void* native) noexcept override;
  [[nodiscard]] bool is_capturing(stream_handle stream) noexcept override;
  [[nodiscard]] status synchronize_stream(stream_handle stream) noexcept override;

  [[nodiscard]] result<event_handle> create_event() noexcept override;
  void destroy_event(event_handle event) noexcept override;
  [[nodiscard]] status record_event(event_handle event, stream_handle stream) noexcept override;
  [[nodiscard]] result<bool> query_event(event_handle event) noexcept override;
  [[nodiscard]] status wait_event(stream_handle stream, event_handle event) noexcept override;

  [[nodiscard]] bool writes_words() const noexcept override { return who_.writes_words; }
  /// Page-locked memory has one address for the CPU and for every device.
  [[nodiscard]] status write_word(stream_handle stream, completion_word& word, std::uint64_t value) noexcept override;

  [[nodiscard]] status copy(stream_handle stream, direction way, void* to, const void* from,
                            std::uint64_t size_bytes) noexcept override;
  [[nodiscard]] bool copies_batches() const noexcept override { return driver_.memcpy_batch != nullptr; }
  [[nodiscard]] status copy_batch(stream_handle stream, std::span<const copy_to_device> copies) noexcept override;

 private:
  template <class... P, class... A>
  cudaError_t call(cudaError_t (*function)(P...), A... arguments) const noexcept;
  template <class... P, class... A>
  cudaError_t call_driver(CUresult (*function)(P...), A... arguments) const noexcept;
  [[nodiscard]] std::optional<failure> lost() const noexcept;
  failure failed(cudaError_t code) noexcept;
  failure refused(std::uint64_t size_bytes, cudaError_t code) noexcept;
  status finish(cudaError_t code) noexcept;

  const cuda_api api_;
  const driver_api driver_;
  const identity who_;
  aligned_memory memory_;
  core::atomic<int> lost_{0};  ///< the cudaError_t that ended the device; 0: none
};

}  // namespace pinrail::devices
