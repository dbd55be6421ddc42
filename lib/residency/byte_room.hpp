// Room for bytes that are no blocks: budget().reserve_bytes, and what set_vram_budget withholds.
#pragma once

#include <cstdint>

#include "residency/scheduler_state.hpp"

namespace pinrail::residency {

enum class budget_field : std::uint8_t { set_aside, withheld };

/// Moves pages of the budget to a field, evicting until they are there; what was moved is moved back on failure.
[[nodiscard]] result<void> await_budget(scheduler_state& s, std::uint64_t pages, budget_field field,
                                        std::uint64_t until_ns) noexcept;

/// Pages for a byte reservation: only counted (nullptr), or contiguous device memory that nothing uses any more.
[[nodiscard]] result<std::byte*> take_bytes(scheduler_state& s, std::uint32_t pages, bool with_memory,
                                            std::uint64_t until_ns) noexcept;
void return_bytes(scheduler_state& s, std::uint32_t pages, std::byte* memory) noexcept;

}  // namespace pinrail::residency
