// Loads: bringing an absent block in, because someone waits for it or will need it soon.
//
// One thread wins the block (`begin_load`), finds room, and hands a job to the transfer thread; everyone else who
// needs the block waits for that one copy (rule 13). Who waits holds a pin from the start, so the block can't be
// evicted between its publication and the waiter's return. A failed load gives its error to all who waited.
#pragma once

#include <cstdint>

#include "residency/scheduler_state.hpp"

namespace pinrail::residency {

/// The caller has a pin on a block that was not resident. Returns when it is; on failure the pin is still there.
[[nodiscard]] result<void> await_resident(scheduler_state& s, runtime_state& r, std::uint32_t position,
                                          std::uint64_t until_ns) noexcept;

/// Begins to load a block in the place of another one of its runtime, if it is absent and the other can leave now.
/// `limit_pages`: what the runtime may hold (`plannable_pages`). Never waits. Inside a `reading`.
void load_in_place_of(scheduler_state& s, runtime_state& r, std::uint32_t position, std::uint32_t leaving,
                      std::uint64_t limit_pages) noexcept;

/// Begins to load a block if it is absent and there is room for it now, at the expense of blocks that are needed
/// later than `later_than_ns` from now. Never waits.
void prefetch_block(scheduler_state& s, runtime_state& r, std::uint32_t position, double later_than_ns) noexcept;

}  // namespace pinrail::residency
