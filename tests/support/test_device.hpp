// The devices that tests run on. A program is linked with one of two sources: emulated_test_device.cpp, or
// ../device_cuda/cuda_test_device.cpp, where the device is the CUDA backend over a fake runtime.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "pinrail/device.hpp"

namespace pinrail::test {

/// Opens a device by the spec of an emulated one. What pinrail/emulated.hpp has works on it.
[[nodiscard]] std::shared_ptr<device> open_test_device(const std::string& emulated_spec);

/// Host memory that is page-locked while this lives.
class page_lock {
 public:
  explicit page_lock(std::span<std::byte> memory);
  page_lock(page_lock&& other) noexcept : start_(std::exchange(other.start_, nullptr)) {}
  page_lock& operator=(page_lock&&) = delete;
  ~page_lock();

 private:
  std::byte* start_;
};

}  // namespace pinrail::test
