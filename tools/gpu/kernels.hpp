// Kernels as plain functions: kernels.cu is C++17.
#pragma once

#include <cstdint>

namespace gpu {

/// Edge of the square matrices below; one is `gemm_bytes`.
inline constexpr unsigned gemm_edge = 512;
inline constexpr std::uint64_t gemm_bytes = std::uint64_t{4} * gemm_edge * gemm_edge;

/// Enqueues on a cudaStream_t: c = a * b in floats, `repeats` times. What the matrices hold does not matter.
void enqueue_gemm(void* stream, const void* a, const void* b, void* c, unsigned repeats);
/// Enqueues a kernel that runs until the word, in page-locked memory, is not 0, and 8 s at most.
void enqueue_hold(void* stream, const volatile unsigned* word);

}  // namespace gpu
