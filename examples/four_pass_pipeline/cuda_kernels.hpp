// The CUDA kernels of the example as plain functions: cuda_kernels.cu is C++17, the newest that CMake 3.25 knows for
// nvcc.
#pragma once

#include <cstdint>

namespace examples {

/// A cudaStream_t.
using cuda_stream = void*;

// Each throws std::runtime_error with CUDA's text. Parameters as in compute.hpp; `request` is device memory.
void cuda_begin(cuda_stream stream, void* request, std::uint64_t uses, std::uint64_t seed);
void cuda_add_tensor(cuda_stream stream, void* request, std::uint64_t use, const void* tensor, std::uint64_t size_bytes,
                     std::uint64_t index);
void cuda_end_use(cuda_stream stream, void* request, std::uint64_t use);
void cuda_copy_back(cuda_stream stream, void* to, const void* request, std::uint64_t size_bytes);

}  // namespace examples
