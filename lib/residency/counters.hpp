// Counters of one runtime, as they are kept; statistics.cpp turns them into what users see.
#pragma once

#include <array>
#include <cstdint>

#include "core/atomic.hpp"
#include "pinrail/statistics.hpp"

namespace pinrail::residency {

using counter = core::atomic<std::uint64_t>;

inline void count(counter& c, std::uint64_t n = 1) noexcept { c.fetch_add(n, core::order::relaxed); }

inline void raise(counter& c, std::uint64_t value) noexcept {
  std::uint64_t seen = c.load(core::order::relaxed);
  while (seen < value && !c.compare_exchange_weak(seen, value, core::order::relaxed, core::order::relaxed)) {
  }
}

/// Uses are counted per pass (pass_state.hpp).
struct alignas(core::cache_line_bytes) counters {
  counter misses{0};  ///< uses that found their block absent or loading
  counter loads{0};
  counter prefetches{0};
  counter failed_loads{0};
  counter loaded_bytes{0};
  counter written_back{0};
  counter written_back_bytes{0};
  counter stall_ns{0};
  counter moves{0};
  counter resident_blocks{0};
  counter held_pages{0};  ///< of blocks that are resident or loading
  counter peak_held_pages{0};
  counter secondary_evictions{0};
  std::array<counter, eviction_causes> victims{};

  void hold(std::uint64_t pages) noexcept {
    raise(peak_held_pages, held_pages.fetch_add(pages, core::order::relaxed) + pages);
  }
  void drop(std::uint64_t pages) noexcept { held_pages.fetch_sub(pages, core::order::relaxed); }
};

}  // namespace pinrail::residency
