// Taking a snapshot of the arena for one request (address_map.hpp says what it is for).
#pragma once

#include <vector>

#include "residency/address_map.hpp"
#include "residency/victims.hpp"

namespace pinrail::residency {

/// Who has which pages, and what this request may do about it. The result lives until the calling thread takes
/// its next snapshot; it is empty if memory for it was refused. Inside a `reading`. Linear in pages and blocks.
/// Of `pages` only: what begins before them counts as fixed, what begins in them is there whole.
[[nodiscard]] const std::vector<span_of_pages>& snapshot(scheduler_state& s, const room_request& request,
                                                         page_run pages) noexcept;
[[nodiscard]] const std::vector<span_of_pages>& snapshot(scheduler_state& s, const room_request& request) noexcept;

}  // namespace pinrail::residency
