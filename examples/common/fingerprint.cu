#include "common/fingerprint.hpp"

#include <cuda_runtime.h>

#include <algorithm>
#include <stdexcept>
#include <string>

namespace examples {
namespace {

constexpr unsigned threads_per_block = 256;
constexpr std::uint64_t most_blocks = 1024;

__global__ void add_fingerprint(const std::uint64_t* data, std::uint64_t words, unsigned long long* sum,
                                unsigned passes) {
  const std::uint64_t first = blockIdx.x * std::uint64_t{blockDim.x} + threadIdx.x;
  const std::uint64_t step = std::uint64_t{gridDim.x} * blockDim.x;
  std::uint64_t mine = 0;
  for (unsigned pass = 0; pass < passes; ++pass)
    for (std::uint64_t i = first; i < words; i += step) mine += mixed(data[i], i);
  for (unsigned lane = 16; lane > 0; lane /= 2) mine += __shfl_down_sync(0xffffffff, mine, lane);
  if (threadIdx.x % 32 == 0) atomicAdd(sum, static_cast<unsigned long long>(mine));
}

}  // namespace

void cuda_add_fingerprint(void* stream, const void* data, std::uint64_t size_bytes, std::uint64_t* sum,
                          unsigned passes) {
  const std::uint64_t words = size_bytes / 8;
  const auto blocks = static_cast<unsigned>(std::clamp<std::uint64_t>(words / threads_per_block, 1, most_blocks));
  add_fingerprint<<<blocks, threads_per_block, 0, static_cast<cudaStream_t>(stream)>>>(
      static_cast<const std::uint64_t*>(data), words, reinterpret_cast<unsigned long long*>(sum), passes);
  if (const cudaError_t outcome = cudaGetLastError(); outcome != cudaSuccess)
    throw std::runtime_error(std::string("add_fingerprint: ") + cudaGetErrorString(outcome));
}

}  // namespace examples
