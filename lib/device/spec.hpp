// Device specs: "kind:key=value,key=value".
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "pinrail/units.hpp"

namespace pinrail::devices {

/// What an emulated or simulated device is like.
struct host_device_options {
  std::uint64_t vram_bytes = 24_GiB;
  /// Indexed by `direction`; 0 is unlimited.
  std::array<std::uint64_t, 3> bytes_per_second{};
  /// Added to every copy.
  std::uint64_t latency_ns = 0;
  bool poison = true;  ///< emulated only: overwrite discarded bytes
  bool check = true;   ///< emulated only: run the order checker
};

struct device_spec {
  enum class family : std::uint8_t { best, cuda, emulated, simulated };

  family kind = family::best;
  int ordinal = 0;              ///< cuda only
  host_device_options options;  ///< emulated and simulated only
};

/// Throws `errc::invalid_argument`, naming the spec, what is wrong in it and what is allowed.
[[nodiscard]] device_spec parse_device_spec(std::string_view text);

}  // namespace pinrail::devices
