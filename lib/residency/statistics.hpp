// Statistics: counters and grants as users see them.
#pragma once

#include "pinrail/statistics.hpp"
#include "residency/scheduler_state.hpp"

namespace pinrail::residency {

[[nodiscard]] runtime_statistics statistics_of(const scheduler_state& s, const runtime_state& r);
[[nodiscard]] statistics statistics_of(scheduler_state& s);

}  // namespace pinrail::residency
