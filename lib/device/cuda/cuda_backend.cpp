#include "device/cuda/cuda_backend.hpp"

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <utility>

#include "device/cuda/call_scope.hpp"
#include "device/cuda/classify.hpp"

namespace pinrail::devices {
namespace {

cudaStream_t native(stream_handle stream) noexcept { return static_cast<cudaStream_t>(stream.native); }
cudaEvent_t native(event_handle event) noexcept { return static_cast<cudaEvent_t>(event.native); }

cudaMemcpyKind native(direction way) noexcept {
  switch (way) {
    case direction::host_to_device:
      return cudaMemcpyHostToDevice;
    case direction::device_to_host:
      return cudaMemcpyDeviceToHost;
    case direction::device_to_device:
      break;
  }
  return cudaMemcpyDeviceToDevice;
}

/// The errors of a stream handle that is no stream of a living context. They say nothing about our own
/// context.
bool blames_the_handle(cudaError_t code) noexcept {
  return code == cudaErrorInvalidValue || code == cudaErrorInvalidResourceHandle ||
         code == cudaErrorContextIsDestroyed || code == cudaErrorDeviceUninitialized;
}

}  // namespace

cuda_backend::cuda_backend(const cuda_api& api, const driver_api& driver, identity who)
    : api_(api), driver_(driver), who_(std::move(who)) {}

cuda_backend::~cuda_backend() { static_cast<void>(driver_.primary_context_release(who_.device)); }

// ---- calling CUDA ---------------------------------------------------------------------------------------

template <class... P, class... A>
cudaError_t cuda_backend::call(cudaError_t (*function)(P...), A... arguments) const noexcept {
  const context_scope here(driver_, who_.context);
  if (here.error() != cudaSuccess) return here.error();
  const capture_scope relaxed(api_);
  return call_quietly(api_, function, arguments...);
}

/// Driver functions leave the last error alone.
template <class... P, class... A>
cudaError_t cuda_backend::call_driver(CUresult (*function)(P...), A... arguments) const noexcept {
  const context_scope here(driver_, who_.context);
  if (here.error() != cudaSuccess) return here.error();
  const capture_scope relaxed(api_);
  return from_driver(function(arguments...));
}

std::optional<failure> cuda_backend::lost() const noexcept {
  // Relaxed: nothing but the code itself is read on account of it.
  const int code = lost_.load(core::order::relaxed);
  if (code == 0) return std::nullopt;
  return failure{.code = errc::device_lost, .native_code = code};
}

failure cuda_backend::failed(cudaError_t code) noexcept {
  const errc meaning = classify(code);
  if (meaning == errc::device_lost) {
    int none = 0;
    lost_.compare_exchange_strong(none, static_cast<int>(code), core::order::relaxed);
    return *lost();  // the first one, whoever was first
  }
  return failure{.code = meaning, .native_code = static_cast<std::int32_t>(code)};
}

failure cuda_backend::refused(std::uint64_t size_bytes, cudaError_t code) noexcept {
  failure why = failed(code);
  if (why.code == errc::out_of_memory) why.needed_bytes = size_bytes;
  return why;
}

status cuda_backend::finish(cudaError_t code) noexcept {
  if (code == cudaSuccess) return {};
  return failed(code);
}

// ---- the device -----------------------------------------------------------------------------------------

std::string cuda_backend::name() const { return fmt::format("{} (cuda:{})", who_.name, who_.ordinal); }

std::uint64_t cuda_backend::now_ns() const noexcept {
  const auto since_start = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(since_start).count());
}

// ---- memory ---------------------------------------------------------------------------------------------

result<std::byte*> cuda_backend::allocate_arena(std::uint64_t size_bytes) noexcept {
  if (const auto why = lost()) return *why;
  std::byte* arena = nullptr;
  const cudaError_t code = memory_.allocate(
      size_bytes, [&](void** base, std::uint64_t bytes) { return call(api_.mem_alloc, base, bytes); },
      [&](void* base) { static_cast<void>(call(api_.mem_free, base)); }, arena);
  if (code == cudaSuccess) return arena;
  failure why = refused(size_bytes, code);
  std::size_t free_bytes = 0;
  std::size_t total_bytes = 0;
  if (why.code == errc::out_of_memory && call(api_.mem_get_info, &free_bytes, &total_bytes) == cudaSuccess) {
    why.available_bytes = free_bytes;
  }
  return why;
}

void cuda_backend::free_arena(std::byte* arena) noexcept {
  if (arena != nullptr) static_cast<void>(call(api_.mem_free, memory_.take_base(arena)));
}

result<std::byte*> cuda_backend::allocate_pinned(std::uint64_t size_bytes) noexcept {
  if (const auto why = lost()) return *why;
  std::byte* memory = nullptr;
  const cudaError_t code = memory_.allocate(
      size_bytes,
      [&](void** base, std::uint64_t bytes) { return call(api_.host_alloc, base, bytes, cudaHostAllocPortable); },
      [&](void* base) { static_cast<void>(call(api_.host_free, base)); }, memory);
  if (code == cudaSuccess) return memory;
  failure why = refused(size_bytes, code);
  if (code == cudaErrorOperatingSystem) {
    // The operating system won't lock that many pages. For the caller it is a lack of memory: ask for less.
    why.code = errc::out_of_memory;
    why.needed_bytes = size_bytes;
  }
  return why;
}

void cuda_backend::free_pinned(std::byte* memory) noexcept {
  if (memory != nullptr) static_cast<void>(call(api_.host_free, memory_.take_base(memory)));
}

// ---- streams --------------------------------------------------------------------------------------------

result<stream_handle> cuda_backend::create_stream() noexcept {
  if (const auto why = lost()) return *why;
  cudaStream_t stream = nullptr;
  const cudaError_t code = call(api_.stream_create, &stream, cudaStreamNonBlocking);
  if (code != cudaSuccess) return failed(code);
  return stream_handle{stream};
}

void cuda_backend::destroy_stream(stream_handle stream) noexcept {
  static_cast<void>(call(api_.stream_synchronize, native(stream)));
  static_cast<void>(call(api_.stream_destroy, native(stream)));
}

result<stream_handle> cuda_backend::wrap_stream(void* handle) noexcept {
  if (const auto why = lost()) return *why;
  const auto stream = static_cast<cudaStream_t>(handle);
  if (stream == nullptr || stream == cudaStreamLegacy) return stream_handle{cudaStreamLegacy};
  if (stream == cudaStreamPerThread) {
    return failure{.code = errc::not_supported, .native_code = static_cast<std::int32_t>(cudaErrorNotSupported)};
  }
  int ordinal = -1;
  const cudaError_t code = call(api_.stream_get_device, stream, &ordinal);
  if (blames_the_handle(code)) {
    return failure{.code = errc::invalid_argument, .native_code = static_cast<std::int32_t>(code)};
  }
  if (code != cudaSuccess) return failed(code);
  if (ordinal != who_.ordinal) {
    return failure{.code = errc::invalid_argument, .native_code = static_cast<std::int32_t>(cudaErrorInvalidDevice)};
  }
  return stream_handle{stream};
}

bool cuda_backend::is_capturing(stream_handle stream) noexcept {
  if (lost()) return false;
  cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
  const cudaError_t code = call(api_.stream_is_capturing, native(stream), &capture);
  // Implicit: the default stream, while a stream that it would have to wait for is captured.
  if (code == cudaErrorStreamCaptureImplicit) return true;
  return code == cudaSuccess && capture != cudaStreamCaptureStatusNone;
}

status cuda_backend::synchronize_stream(stream_handle stream) noexcept {
  if (const auto why = lost()) return *why;
  return finish(call(api_.stream_synchronize, native(stream)));
}

// ---- events ---------------------------------------------------------------------------------------------

result<event_handle> cuda_backend::create_event() noexcept {
  if (const auto why = lost()) return *why;
  cudaEvent_t event = nullptr;
  const cudaError_t code = call(api_.event_create, &event, cudaEventDisableTiming);
  if (code != cudaSuccess) return failed(code);
  return event_handle{event};
}

void cuda_backend::destroy_event(event_handle event) noexcept {
  static_cast<void>(call(api_.event_destroy, native(event)));
}

status cuda_backend::record_event(event_handle event, stream_handle stream) noexcept {
  if (const auto why = lost()) return *why;
  return finish(call(api_.event_record, native(event), native(stream)));
}

result<bool> cuda_backend::query_event(event_handle event) noexcept {
  if (const auto why = lost()) return *why;
  const cudaError_t code = call_driver(driver_.event_query, native(event));
  if (code == cudaSuccess) return true;
  if (code == cudaErrorNotReady) return false;
  return failed(code);
}

status cuda_backend::wait_event(stream_handle stream, event_handle event) noexcept {
  if (const auto why = lost()) return *why;
  return finish(call(api_.stream_wait_event, native(stream), native(event), cudaEventWaitDefault));
}

// ---- completion words -----------------------------------------------------------------------------------

status cuda_backend::write_word(stream_handle stream, completion_word& word, std::uint64_t value) noexcept {
  if (const auto why = lost()) return *why;
  // The default flags: a fence for all of the system comes before the write.
  return finish(call_driver(driver_.stream_write_value, native(stream), reinterpret_cast<CUdeviceptr>(&word), value,
                            unsigned{CU_STREAM_WRITE_VALUE_DEFAULT}));
}

// ---- copies ---------------------------------------------------------------------------------------------

status cuda_backend::copy(stream_handle stream, direction way, void* to, const void* from,
                          std::uint64_t size_bytes) noexcept {
  if (const auto why = lost()) return *why;
  if (size_bytes == 0) return {};
  return finish(call(api_.memcpy_async, to, from, size_bytes, native(way), native(stream)));
}

status cuda_backend::copy_batch(stream_handle stream, std::span<const copy_to_device> copies) noexcept {
  if (const auto why = lost()) return *why;
  if (!copies_batches() || copies.size() > largest_batch) return failure{.code = errc::not_supported};
  std::array<CUdeviceptr, largest_batch> to;
  std::array<CUdeviceptr, largest_batch> from;
  std::array<std::size_t, largest_batch> sizes_bytes;
  for (std::size_t i = 0; i < copies.size(); ++i) {
    to[i] = reinterpret_cast<CUdeviceptr>(copies[i].to);
    from[i] = reinterpret_cast<CUdeviceptr>(copies[i].from);
    sizes_bytes[i] = copies[i].size_bytes;
  }
  CUmemcpyAttributes in_stream_order{};
  in_stream_order.srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_STREAM;
  std::size_t first = 0;
  std::size_t failed_at = 0;
  return finish(call_driver(driver_.memcpy_batch, to.data(), from.data(), sizes_bytes.data(), copies.size(),
                            &in_stream_order, &first, std::size_t{1}, &failed_at, native(stream)));
}

}  // namespace pinrail::devices
