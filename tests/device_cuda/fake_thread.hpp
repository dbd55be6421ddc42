// What CUDA keeps for each thread of the program.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <vector>

namespace pinrail::testing {

struct fake_thread {
  std::vector<int> contexts;  ///< the stack, by device; the last one is current
  int device = 0;             ///< chosen for when there is no context
  cudaError_t last_error = cudaSuccess;
  cudaStreamCaptureMode capture_mode = cudaStreamCaptureModeGlobal;
  std::uint64_t fake = 0;  ///< the fake this belongs to; a new one starts afresh

  static fake_thread& self();
};

}  // namespace pinrail::testing
