// Text for messages on paths that must not throw.
#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>

namespace pinrail::residency {

/// fmt::format, or an empty string where memory for it is refused.
template <class... Args>
[[nodiscard]] std::string say(fmt::format_string<Args...> format, Args&&... args) noexcept {
  try {
    return fmt::format(format, std::forward<Args>(args)...);
  } catch (...) {
    return {};
  }
}

}  // namespace pinrail::residency
