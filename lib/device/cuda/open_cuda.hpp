// Opens GPUs, or says why there is none to open. Includes no CUDA header, so anyone may include it.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "device/backend.hpp"

namespace pinrail::devices {

struct cuda_api;

/// What can be seen of the driver without CUDA. The runtime answers "driver too old" where there is no driver
/// at all, so one has to look.
struct driver_probe {
  bool library_found = false;                       ///< libcuda.so.1 could be loaded
  std::string load_error = {};                      ///< what dlopen said where not
  std::optional<std::string> visible_devices = {};  ///< CUDA_VISIBLE_DEVICES; none: not set
};

[[nodiscard]] driver_probe probe_driver();

/// Opens the GPU of that ordinal, as the runtime numbers those that CUDA_VISIBLE_DEVICES leaves. Throws
/// `errc::device_unavailable`; the message names the cause: no driver, only the Toolkit's stub of it, a
/// driver too old for the runtime, no GPU, no such ordinal, or CUDA's own words. Starts the driver in this
/// process: a child that is forked afterwards can't use CUDA.
[[nodiscard]] std::unique_ptr<backend> open_cuda(int ordinal);
/// The same through a table of functions and a look at the driver of one's own; for tests.
[[nodiscard]] std::unique_ptr<backend> open_cuda(const cuda_api& api, const driver_probe& probe, int ordinal);

/// GPUs that could be opened; 0 when there is no usable driver. Starts the driver as `open_cuda` does.
[[nodiscard]] int cuda_device_count() noexcept;
[[nodiscard]] int cuda_device_count(const cuda_api& api) noexcept;

}  // namespace pinrail::devices
