// The arena by address: a snapshot of who has which pages, to find a stretch that can be freed in one piece.
//
// A snapshot is a hint: everything found with it is claimed block by block afterwards, and given up if the world
// has changed.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/page_map.hpp"

namespace pinrail::residency {

using core::page_run;

struct span_of_pages {
  enum class kind : std::uint8_t {
    free,
    evictable,  ///< a block that the request may evict
    movable,    ///< a block that no one uses just now: it may be moved, not evicted
    fixed,      ///< in use, loading, or held by someone
  };
  page_run run;
  kind what = kind::fixed;
  double cost = 0;    ///< of evicting: bytes to load again, per time until they are needed
  bool idle = false;  ///< evictable, and of a runtime without a live pass
  std::uint32_t runtime = 0;
  std::uint32_t position = 0;
};

/// Consecutive spans [first, last] of a snapshot, and the pages among them that were asked for.
struct window {
  std::size_t first = 0;
  std::size_t last = 0;
  page_run run;
  double cost = 0;  ///< of what is evicted; of a slide, the pages that move
};

/// The cheapest window of `pages` contiguous pages made of free and evictable spans; none if there is none.
/// Among equals the one with the most free pages in one piece afterwards. Linear in the number of spans.
[[nodiscard]] std::optional<window> cheapest_window(const std::vector<span_of_pages>& spans, std::uint32_t pages);

/// A stretch without fixed spans whose free and evictable pages are at least `pages`, and that moves the fewest
/// pages: its movable blocks can slide together so that the rest is one piece. Linear.
[[nodiscard]] std::optional<window> cheapest_slide(const std::vector<span_of_pages>& spans, std::uint32_t pages);

}  // namespace pinrail::residency
