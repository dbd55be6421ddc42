// What only a simulated device has: kernels that are durations, and a clock that can be read and moved.
#pragma once

#include <cstdint>

#include "pinrail/device.hpp"

namespace pinrail::simulated {

/// Enqueues a kernel that takes `duration_ns` of virtual time. Throws `errc::not_supported` for a device of
/// another kind.
void launch(stream_ref stream, std::uint64_t duration_ns);

}  // namespace pinrail::simulated
