// Room: contiguous pages for a load, from free memory, from victims, or by making a stretch free.
//
// In this order:
//   1  the runtime's own share: one that is reserved or a guest evicts its own blocks once the share is full
//   2  free pages
//   3  the best victim (rule 9), if it is large enough: its pages are handed over, what is left over is freed
//   4  the cheapest window of free pages and evictable blocks that is large enough
// and for demand loads that found nothing, again with
//   5  every block looked at, and near windows of passes that themselves wait
//   6  secondary reservations (rule 5)
//   7  blocks moved together by the transfer thread (compaction.hpp)
// and then waiting until something changes.
//
// Who evicts keeps what it freed: held pages are never visible to others between eviction and use.
#pragma once

#include <cstdint>

#include "residency/victims.hpp"

namespace pinrail::residency {

/// One attempt, without waiting. On success the pages are held, charged to the budget and to the runtime, and
/// `out.fences` says what to wait for before writing to them.
[[nodiscard]] bool try_room(scheduler_state& s, const room_request& request, extent& out) noexcept;

/// Attempts until `until_ns` (device clock). Fails with too_large at once if it can never fit, with no_victim at
/// the deadline, or with why the scheduler halted.
[[nodiscard]] result<void> await_room(scheduler_state& s, room_request request, std::uint64_t until_ns,
                                      extent& out) noexcept;

/// Frees held pages that were obtained by try_room or await_room and are not needed.
void return_room(scheduler_state& s, const room_request& request, const extent& unused) noexcept;

/// The failure of a wait that ended without room.
[[nodiscard]] failure no_victim(const scheduler_state& s, std::uint64_t pages) noexcept;

}  // namespace pinrail::residency
