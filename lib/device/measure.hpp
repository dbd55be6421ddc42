// How fast bare copies are, measured: between page-locked memory and an arena that nobody else uses meanwhile.
#pragma once

#include <cstddef>
#include <cstdint>

#include "device/backend.hpp"
#include "pinrail/statistics.hpp"

namespace pinrail::devices {

/// What is copied, and where: `size_bytes` at each address in, as many behind them out.
struct copy_ground {
  backend& device;
  stream_handle in;
  stream_handle out;
  std::byte* arena = nullptr;
  std::byte* pinned = nullptr;
  std::uint64_t size_bytes = 0;
};

/// Copies to the device alone, for about `wanted_ns`.
[[nodiscard]] result<double> measure_copies_in(const copy_ground& g, std::uint64_t wanted_ns) noexcept;
/// Each direction alone and both at once, a few milliseconds in all; a device so slow that this is the time of a single
/// small copy is asked for six of them. After an error copies may still be in the streams.
[[nodiscard]] result<copy_rates> measure_copy_rates(const copy_ground& g) noexcept;

}  // namespace pinrail::devices
