// From a failure's numbers to an error with text: what was refused, the numbers, and who is in the way.
#pragma once

#include <string_view>

#include "pinrail/error.hpp"
#include "residency/scheduler_state.hpp"

namespace pinrail::residency {

/// A table or a counter that holds `most` is full.
[[nodiscard]] inline failure at_limit(std::uint64_t most) noexcept {
  return {.code = errc::limit, .needed_bytes = most + 1, .available_bytes = most};
}

/// `what` names the call and its target: "reserve_for_resident('transformer')". Adds the holders of grants for
/// insufficient_headroom, and the blockers, as seen by `requester`, for no_victim.
[[noreturn]] void refuse(scheduler_state& s, const failure& why, std::string_view what,
                         const runtime_state* requester = nullptr);

}  // namespace pinrail::residency
