// Following a plan: the block that has left its slot makes room for the next one of that slot, at once.
#pragma once

#include <cstdint>

#include "residency/scheduler_state.hpp"

namespace pinrail::residency {

/// The plan that this pass follows, or null: one that is walked forward, alone. Inside a `reading`.
[[nodiscard]] const core::plan* followed_plan(const runtime_state& r, const pass_state& p) noexcept;

/// Loads the streamed blocks that come next in the order, as far as the blocks before them in their slots have been
/// used. Inside a `reading`.
void load_along_plan(scheduler_state& s, runtime_state& r, const pass_state& p, const core::plan& plan) noexcept;

}  // namespace pinrail::residency
