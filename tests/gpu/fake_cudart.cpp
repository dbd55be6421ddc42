// The CUDA runtime of pinrail_gpu's own calls and kernels, on the fake runtime of tests/device_cuda: what the program
// does is tried without a GPU. Its figures mean nothing then.
#include "common/fingerprint.hpp"
#include "device_cuda/fake_cuda.hpp"
#include "kernels.hpp"
#include "parts.hpp"

namespace {

using pinrail::testing::fake_cuda;

fake_cuda& fake() {
  static fake_cuda the_one({.memory_bytes = std::uint64_t{1} << 30});
  return the_one;
}

/// The table is the fake's, once there is one.
pinrail::devices::cuda_api table() {
  (void)fake();
  return fake_cuda::api();
}

void launch(void* stream, std::function<void()> kernel) {
  if (fake().launch(static_cast<cudaStream_t>(stream), std::move(kernel)) != cudaSuccess)
    throw std::runtime_error("the fake refused a launch");
}

}  // namespace

// ---- the runtime --------------------------------------------------------------------------------------------------

extern "C" {

cudaError_t cudaGetLastError() { return table().get_last_error(); }
cudaError_t cudaPeekAtLastError() { return table().peek_at_last_error(); }
const char* cudaGetErrorName(cudaError_t code) { return table().get_error_name(code); }
const char* cudaGetErrorString(cudaError_t code) { return table().get_error_string(code); }
cudaError_t cudaRuntimeGetVersion(int* version) { return table().runtime_get_version(version); }
cudaError_t cudaDriverGetVersion(int* version) { return table().driver_get_version(version); }
cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** found, unsigned version, unsigned long long flags,
                                             cudaDriverEntryPointQueryResult* why) {
  return table().get_driver_entry_point(name, found, version, flags, why);
}
cudaError_t cudaGetDeviceCount(int* count) { return table().get_device_count(count); }
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* of, int device) {
  return table().get_device_properties(of, device);
}
cudaError_t cudaSetDevice(int device) { return fake().set_device(device); }
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) { return table().mem_get_info(free, total); }
cudaError_t cudaMalloc(void** made, std::size_t size) { return table().mem_alloc(made, size); }
cudaError_t cudaFree(void* memory) { return table().mem_free(memory); }
cudaError_t cudaHostAlloc(void** made, std::size_t size, unsigned flags) {
  return table().host_alloc(made, size, flags);
}
cudaError_t cudaMallocHost(void** made, std::size_t size) { return table().host_alloc(made, size, 0); }
cudaError_t cudaFreeHost(void* memory) { return table().host_free(memory); }
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* made, unsigned flags) { return table().stream_create(made, flags); }
cudaError_t cudaStreamDestroy(cudaStream_t stream) { return table().stream_destroy(stream); }
cudaError_t cudaStreamSynchronize(cudaStream_t stream) { return table().stream_synchronize(stream); }
cudaError_t cudaStreamGetDevice(cudaStream_t stream, int* device) { return table().stream_get_device(stream, device); }
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  return table().stream_is_capturing(stream, status);
}
cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  return table().thread_exchange_capture_mode(mode);
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags) {
  return table().stream_wait_event(stream, event, flags);
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* made, unsigned flags) { return table().event_create(made, flags); }
cudaError_t cudaEventDestroy(cudaEvent_t event) { return table().event_destroy(event); }
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) { return table().event_record(event, stream); }
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t size, cudaMemcpyKind way, cudaStream_t stream) {
  return table().memcpy_async(to, from, size, way, stream);
}
cudaError_t cudaMemsetAsync(void* memory, int value, std::size_t size, cudaStream_t stream) {
  return fake().launch(stream, [=] { std::memset(memory, value, size); });
}

}  // extern "C"

// ---- kernels ------------------------------------------------------------------------------------------------------

void examples::cuda_add_fingerprint(void* stream, const void* data, std::uint64_t size_bytes, std::uint64_t* sum,
                                    unsigned passes) {
  launch(stream, [=] { *sum += passes * fingerprint(static_cast<const std::byte*>(data), size_bytes); });
}

void gpu::enqueue_gemm(void* stream, const void*, const void*, void*, unsigned) {
  launch(stream, [] {});
}

/// Needs functions of the driver that the fake has not.
nlohmann::json gpu::costs(const settings&) { throw std::runtime_error("not on a fake device"); }
