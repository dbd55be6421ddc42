// Where warnings go. The library never prints and never aborts.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace pinrail {

enum class log_level : std::uint8_t { info, warning, error };

/// Called from any thread, Pinrail's own included, possibly several at once; must not throw and must not call
/// Pinrail.
using log_callback = std::function<void(log_level level, std::string_view message)>;

}  // namespace pinrail
