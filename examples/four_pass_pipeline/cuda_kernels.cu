#include "cuda_kernels.hpp"

#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

#include "mix.hpp"

namespace examples {
namespace {

constexpr unsigned threads_per_block = 256;
constexpr std::uint64_t most_blocks = 512;

void check(cudaError_t outcome, const char* what) {
  if (outcome != cudaSuccess) throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(outcome));
}

cudaStream_t native(cuda_stream s) { return static_cast<cudaStream_t>(s); }
unsigned long long* words(void* request) { return static_cast<unsigned long long*>(request); }

__global__ void begin_kernel(unsigned long long* request, std::uint64_t uses, std::uint64_t seed) {
  for (std::uint64_t i = threadIdx.x; i <= uses; i += blockDim.x) request[i] = i == 0 ? seed : 0;
}

/// Adds one tensor's terms to the use's checksum. Words are put together from bytes: tensors need not be aligned.
__global__ void add_kernel(unsigned long long* request, std::uint64_t use, const unsigned char* tensor,
                           std::uint64_t size_bytes, std::uint64_t index) {
  const bool aligned = reinterpret_cast<std::uintptr_t>(tensor) % 8 == 0;
  const std::uint64_t count = (size_bytes + 7) / 8;
  std::uint64_t sum = 0;
  for (std::uint64_t i = blockIdx.x * std::uint64_t{blockDim.x} + threadIdx.x; i < count;
       i += std::uint64_t{gridDim.x} * blockDim.x) {
    std::uint64_t word = 0;
    if (aligned && (i + 1) * 8 <= size_bytes) {
      word = reinterpret_cast<const std::uint64_t*>(tensor)[i];
    } else {
      for (unsigned b = 0; b < 8 && i * 8 + b < size_bytes; ++b) word |= std::uint64_t{tensor[i * 8 + b]} << 8 * b;
    }
    sum += term(word, first_place(index) + i);
  }
  for (unsigned lane = 16; lane > 0; lane /= 2) sum += __shfl_down_sync(0xffffffff, sum, lane);
  if (threadIdx.x % 32 == 0) atomicAdd(request + 1 + use, static_cast<unsigned long long>(sum));
}

__global__ void state_kernel(unsigned long long* request, std::uint64_t use) {
  request[0] = next_state(request[0], request[1 + use]);
}

}  // namespace

void cuda_begin(cuda_stream stream, void* request, std::uint64_t uses, std::uint64_t seed) {
  begin_kernel<<<1, threads_per_block, 0, native(stream)>>>(words(request), uses, seed);
  check(cudaGetLastError(), "begin_kernel");
}

void cuda_add_tensor(cuda_stream stream, void* request, std::uint64_t use, const void* tensor, std::uint64_t size_bytes,
                     std::uint64_t index) {
  const std::uint64_t wanted = size_bytes / 8 / threads_per_block + 1;
  add_kernel<<<static_cast<unsigned>(wanted < most_blocks ? wanted : most_blocks), threads_per_block, 0,
               native(stream)>>>(words(request), use, static_cast<const unsigned char*>(tensor), size_bytes, index);
  check(cudaGetLastError(), "add_kernel");
}

void cuda_end_use(cuda_stream stream, void* request, std::uint64_t use) {
  state_kernel<<<1, 1, 0, native(stream)>>>(words(request), use);
  check(cudaGetLastError(), "state_kernel");
}

void cuda_copy_back(cuda_stream stream, void* to, const void* request, std::uint64_t size_bytes) {
  check(cudaMemcpyAsync(to, request, size_bytes, cudaMemcpyDeviceToHost, native(stream)), "results");
  check(cudaStreamSynchronize(native(stream)), "results");
}

}  // namespace examples
