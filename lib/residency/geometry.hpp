// Pages: how an arena is cut, and checks of the options that decide it.
#pragma once

#include <cstdint>

#include "core/page_grid.hpp"
#include "pinrail/device.hpp"
#include "pinrail/options.hpp"

namespace pinrail::residency {

struct geometry {
  core::page_grid arena;
  std::uint32_t budget_pages = 0;
};

/// Fills in what the options leave open. Throws `errc::invalid_argument`, naming the value and the limit.
[[nodiscard]] scheduler_options completed(scheduler_options options, const pinrail::device& on);

/// For completed options. Budgets are rounded down to whole pages.
[[nodiscard]] geometry geometry_of(const scheduler_options& options);

}  // namespace pinrail::residency
