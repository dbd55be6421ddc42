#include "kernels.hpp"

#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

namespace gpu {
namespace {

constexpr unsigned tile = 16;

__global__ void gemm(const float* a, const float* b, float* c, unsigned repeats) {
  __shared__ float of_a[tile][tile];
  __shared__ float of_b[tile][tile];
  const unsigned row = blockIdx.y * tile + threadIdx.y;
  const unsigned column = blockIdx.x * tile + threadIdx.x;
  float sum = 0;
  for (unsigned repeat = 0; repeat < repeats; ++repeat)
    for (unsigned k = 0; k < gemm_edge; k += tile) {
      of_a[threadIdx.y][threadIdx.x] = a[row * gemm_edge + k + threadIdx.x];
      of_b[threadIdx.y][threadIdx.x] = b[(k + threadIdx.y) * gemm_edge + column];
      __syncthreads();
      for (unsigned i = 0; i < tile; ++i) sum += of_a[threadIdx.y][i] * of_b[i][threadIdx.x];
      __syncthreads();
    }
  c[row * gemm_edge + column] = sum;
}

__global__ void hold(const volatile unsigned* word) {
  unsigned long long began_ns = 0;
  unsigned long long now_ns = 0;
  asm volatile("mov.u64 %0, %globaltimer;" : "=l"(began_ns));
  do {
    asm volatile("mov.u64 %0, %globaltimer;" : "=l"(now_ns));
  } while (*word == 0 && now_ns - began_ns < 8'000'000'000ull);
}

void check_launch(const char* what) {
  if (const cudaError_t outcome = cudaGetLastError(); outcome != cudaSuccess)
    throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(outcome));
}

}  // namespace

void enqueue_gemm(void* stream, const void* a, const void* b, void* c, unsigned repeats) {
  constexpr unsigned blocks = gemm_edge / tile;
  gemm<<<dim3(blocks, blocks), dim3(tile, tile), 0, static_cast<cudaStream_t>(stream)>>>(
      static_cast<const float*>(a), static_cast<const float*>(b), static_cast<float*>(c), repeats);
  check_launch("gemm");
}

void enqueue_hold(void* stream, const volatile unsigned* word) {
  hold<<<1, 1, 0, static_cast<cudaStream_t>(stream)>>>(word);
  check_launch("hold");
}

}  // namespace gpu
