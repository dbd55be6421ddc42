// Who holds bytes: for error messages, statistics and `scheduler::blockers`. Snapshots, made when asked for.
#pragma once

#include <string>
#include <vector>

#include "pinrail/error.hpp"
#include "residency/scheduler_state.hpp"

namespace pinrail::residency {

/// Who keeps bytes from being evicted for `requester` (null: for anyone), largest first.
[[nodiscard]] std::vector<blocker> blockers_of(scheduler_state& s, const runtime_state* requester);

/// "encoder: kept resident, 21.88 GiB; upscaler: guest's share, 1.20 GiB", or "nobody".
[[nodiscard]] std::string describe(const std::vector<blocker>& blockers);

/// Who was granted bytes, in the same form: reservations, guests, byte reservations.
[[nodiscard]] std::vector<blocker> grants_of(scheduler_state& s);

}  // namespace pinrail::residency
