#include "device/cuda/api.hpp"

#include "device/cuda/call_scope.hpp"

namespace pinrail::devices {
namespace {

// The form of the functions below has not changed since, and every driver that can serve the runtime has it.
constexpr unsigned driver_interface_version = 12000;
constexpr unsigned batch_interface_version = 12080;

template <class Function>
bool find(const cuda_api& api, const char* name, Function& function,
          unsigned version = driver_interface_version) noexcept {
  void* found = nullptr;
  cudaDriverEntryPointQueryResult why = cudaDriverEntryPointSymbolNotFound;
  const cudaError_t result =
      call_quietly(api, api.get_driver_entry_point, name, &found, version, cudaEnableLegacyStream, &why);
  if (result != cudaSuccess || why != cudaDriverEntryPointSuccess) return false;
  function = reinterpret_cast<Function>(found);
  return function != nullptr;
}

}  // namespace

cuda_api runtime_api() noexcept {
  return {
      .get_last_error = &::cudaGetLastError,
      .peek_at_last_error = &::cudaPeekAtLastError,
      .get_error_name = &::cudaGetErrorName,
      .get_error_string = &::cudaGetErrorString,
      .runtime_get_version = &::cudaRuntimeGetVersion,
      .driver_get_version = &::cudaDriverGetVersion,
      .get_driver_entry_point = &::cudaGetDriverEntryPointByVersion,
      .get_device_count = &::cudaGetDeviceCount,
      .get_device_properties = &::cudaGetDeviceProperties,
      .mem_get_info = &::cudaMemGetInfo,
      .mem_alloc = &::cudaMalloc,
      .mem_free = &::cudaFree,
      .host_alloc = &::cudaHostAlloc,
      .host_free = &::cudaFreeHost,
      .stream_create = &::cudaStreamCreateWithFlags,
      .stream_destroy = &::cudaStreamDestroy,
      .stream_synchronize = &::cudaStreamSynchronize,
      .stream_get_device = &::cudaStreamGetDevice,
      .stream_is_capturing = &::cudaStreamIsCapturing,
      .thread_exchange_capture_mode = &::cudaThreadExchangeStreamCaptureMode,
      .event_create = &::cudaEventCreateWithFlags,
      .event_destroy = &::cudaEventDestroy,
      .event_record = &::cudaEventRecord,
      .stream_wait_event = &::cudaStreamWaitEvent,
      .memcpy_async = &::cudaMemcpyAsync,
  };
}

const char* load_driver_api(const cuda_api& api, driver_api& driver) noexcept {
  if (!find(api, "cuDeviceGet", driver.device_get)) return "cuDeviceGet";
  if (!find(api, "cuDevicePrimaryCtxRetain", driver.primary_context_retain)) return "cuDevicePrimaryCtxRetain";
  if (!find(api, "cuDevicePrimaryCtxRelease", driver.primary_context_release)) return "cuDevicePrimaryCtxRelease";
  if (!find(api, "cuCtxGetCurrent", driver.context_get_current)) return "cuCtxGetCurrent";
  if (!find(api, "cuCtxPushCurrent", driver.context_push)) return "cuCtxPushCurrent";
  if (!find(api, "cuCtxPopCurrent", driver.context_pop)) return "cuCtxPopCurrent";
  if (!find(api, "cuEventQuery", driver.event_query)) return "cuEventQuery";
  static_cast<void>(find(api, "cuDeviceGetAttribute", driver.device_get_attribute));
  static_cast<void>(find(api, "cuStreamWriteValue64", driver.stream_write_value));
  static_cast<void>(find(api, "cuMemcpyBatchAsync", driver.memcpy_batch, batch_interface_version));
  return nullptr;
}

}  // namespace pinrail::devices
