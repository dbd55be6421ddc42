// The CUDA functions that Pinrail calls, as tables of pointers.
//
// `cuda_api` is the runtime's part. `runtime_api()` fills it from the statically linked runtime; tests fill
// it with a fake. The build needs no driver: the runtime loads it by itself, and the few driver functions
// that Pinrail needs (`driver_api`) are asked from the runtime by name. Nothing links libcuda.
//
// Why driver functions at all: the runtime has no word for "this thread has no device current" and can't put
// a replaced last error back. The driver's context stack and `cuEventQuery` have neither problem; see
// call_scope.hpp.
#pragma once

#include <cuda.h>
#include <cudaTypedefs.h>
#include <cuda_runtime_api.h>

static_assert(CUDART_VERSION >= 12080, "Pinrail's CUDA backend needs the CUDA Toolkit 12.8 (cudaStreamGetDevice)");

namespace pinrail::devices {

struct cuda_api {
  // Errors, versions, devices
  decltype(&::cudaGetLastError) get_last_error = nullptr;
  decltype(&::cudaPeekAtLastError) peek_at_last_error = nullptr;
  decltype(&::cudaGetErrorName) get_error_name = nullptr;
  decltype(&::cudaGetErrorString) get_error_string = nullptr;
  decltype(&::cudaRuntimeGetVersion) runtime_get_version = nullptr;
  decltype(&::cudaDriverGetVersion) driver_get_version = nullptr;
  decltype(&::cudaGetDriverEntryPointByVersion) get_driver_entry_point = nullptr;
  decltype(&::cudaGetDeviceCount) get_device_count = nullptr;
  decltype(&::cudaGetDeviceProperties) get_device_properties = nullptr;

  // Memory
  decltype(&::cudaMemGetInfo) mem_get_info = nullptr;
  cudaError_t (*mem_alloc)(void**, size_t) = nullptr;  // cudaMalloc; nvcc overloads it and cudaHostAlloc
  decltype(&::cudaFree) mem_free = nullptr;
  cudaError_t (*host_alloc)(void**, size_t, unsigned) = nullptr;  // cudaHostAlloc
  decltype(&::cudaFreeHost) host_free = nullptr;

  // Streams and events
  decltype(&::cudaStreamCreateWithFlags) stream_create = nullptr;
  decltype(&::cudaStreamDestroy) stream_destroy = nullptr;
  decltype(&::cudaStreamSynchronize) stream_synchronize = nullptr;
  decltype(&::cudaStreamGetDevice) stream_get_device = nullptr;
  decltype(&::cudaStreamIsCapturing) stream_is_capturing = nullptr;
  decltype(&::cudaThreadExchangeStreamCaptureMode) thread_exchange_capture_mode = nullptr;
  decltype(&::cudaEventCreateWithFlags) event_create = nullptr;
  decltype(&::cudaEventDestroy) event_destroy = nullptr;
  decltype(&::cudaEventRecord) event_record = nullptr;
  decltype(&::cudaStreamWaitEvent) stream_wait_event = nullptr;

  // Copies
  decltype(&::cudaMemcpyAsync) memcpy_async = nullptr;
};

/// The runtime that this program is linked with. Calls nothing.
[[nodiscard]] cuda_api runtime_api() noexcept;

struct driver_api {
  decltype(&::cuDeviceGet) device_get = nullptr;
  decltype(&::cuDevicePrimaryCtxRetain) primary_context_retain = nullptr;
  decltype(&::cuDevicePrimaryCtxRelease) primary_context_release = nullptr;
  decltype(&::cuCtxGetCurrent) context_get_current = nullptr;
  decltype(&::cuCtxPushCurrent) context_push = nullptr;
  decltype(&::cuCtxPopCurrent) context_pop = nullptr;
  decltype(&::cuEventQuery) event_query = nullptr;
  // Pinrail does without these where a driver has none.
  decltype(&::cuDeviceGetAttribute) device_get_attribute = nullptr;
  decltype(&::cuStreamWriteValue64) stream_write_value = nullptr;
  // As of 12.8: cuda.h of CUDA 13 has the later form only, without the place for the failed index.
  PFN_cuMemcpyBatchAsync_v12080 memcpy_batch = nullptr;
};

/// Fills `driver` through the runtime, which loads the driver if need be. Returns the name of the first
/// function that the driver lacks and Pinrail needs, or nullptr.
[[nodiscard]] const char* load_driver_api(const cuda_api& api, driver_api& driver) noexcept;

/// Since CUDA 10.1 both interfaces number their errors alike, so one type serves for both.
[[nodiscard]] inline cudaError_t from_driver(CUresult result) noexcept { return static_cast<cudaError_t>(result); }

}  // namespace pinrail::devices
