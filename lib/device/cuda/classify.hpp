// Which CUDA errors mean what to Pinrail.
#pragma once

#include <cuda_runtime_api.h>

#include "pinrail/error.hpp"

namespace pinrail::devices {

/// `none` for cudaSuccess, `out_of_memory` where memory was refused, `device_lost` where no later call on the
/// device's context can succeed, else `device_error`. Codes that this Toolkit does not know are
/// `device_error`.
[[nodiscard]] errc classify(cudaError_t code) noexcept;

}  // namespace pinrail::devices
