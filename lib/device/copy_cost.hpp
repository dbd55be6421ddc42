// How long a copy takes on a device whose rates are set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "device/backend.hpp"
#include "device/spec.hpp"

namespace pinrail::devices {

/// Nanoseconds, rounded up; a rate of 0 is unlimited and takes no time.
[[nodiscard]] constexpr std::uint64_t transfer_ns(std::uint64_t size_bytes, std::uint64_t bytes_per_second) noexcept {
  if (bytes_per_second == 0) return 0;
  __extension__ using wide = unsigned __int128;
  const wide exact = (wide{size_bytes} * 1'000'000'000u + (bytes_per_second - 1)) / bytes_per_second;
  constexpr std::uint64_t longest = std::numeric_limits<std::int64_t>::max() / 2;
  return exact > longest ? longest : static_cast<std::uint64_t>(exact);
}

[[nodiscard]] constexpr std::uint64_t copy_ns(const host_device_options& options, direction way,
                                              std::uint64_t size_bytes) noexcept {
  return options.latency_ns + transfer_ns(size_bytes, options.bytes_per_second[static_cast<std::size_t>(way)]);
}

}  // namespace pinrail::devices
