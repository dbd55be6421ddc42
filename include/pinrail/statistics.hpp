// Counters, as `scheduler::statistics()` returns them: a snapshot, each number read on its own.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace pinrail {

/// Why a block was evicted.
enum class eviction_cause : std::uint8_t {
  demand,      ///< a load that someone waited for
  prefetch,    ///< a load ahead of use
  share,       ///< its own runtime stays within its share
  watermark,   ///< free memory was made ahead of need
  guest_exit,  ///< the last as_guest scope ended
  budget,      ///< set_vram_budget or reserve_bytes
  compaction,  ///< room was made in one piece
  removal,     ///< the runtime was removed
};
inline constexpr std::size_t eviction_causes = 8;

[[nodiscard]] const char* to_string(eviction_cause cause) noexcept;

enum class reservation_kind : std::uint8_t { none, primary, secondary, guest };

[[nodiscard]] const char* to_string(reservation_kind kind) noexcept;

/// The plan that a runtime follows while it is walked forward by one pass; slots 0: none.
struct plan_statistics {
  std::uint32_t slots = 0;            ///< that streamed blocks go through
  std::uint32_t streamed_blocks = 0;  ///< of all blocks; the others stay
  std::uint64_t streamed_bytes = 0;   ///< per step, in whole pages
  double step_ns = 0;                 ///< predicted
  double compute_ns = 0;              ///< of a step, measured
  double copy_ns = 0;                 ///< of a step, measured
};

struct runtime_statistics {
  std::string name;
  std::uint64_t blocks = 0;
  std::uint64_t footprint_bytes = 0;  ///< all blocks, in whole pages
  reservation_kind reservation = reservation_kind::none;
  std::uint64_t share_bytes = 0;  ///< granted to a reservation or a guest
  std::uint32_t guards = 0;       ///< keep_resident guards alive
  std::uint64_t resident_blocks = 0;
  std::uint64_t resident_bytes = 0;  ///< resident or loading, in whole pages
  std::uint64_t peak_resident_bytes = 0;
  std::uint64_t hits = 0;        ///< uses that found their block resident
  std::uint64_t loads = 0;       ///< copies to the device that were published
  std::uint64_t prefetches = 0;  ///< of these, begun ahead of use
  std::uint64_t failed_loads = 0;
  std::uint64_t loaded_bytes = 0;  ///< host to device
  std::uint64_t written_back = 0;  ///< dirty blocks copied back
  std::uint64_t written_back_bytes = 0;
  std::uint64_t stalls = 0;  ///< uses that waited for their block
  std::uint64_t stall_ns = 0;
  std::uint64_t moves = 0;                               ///< blocks moved within device memory
  std::array<std::uint64_t, eviction_causes> victims{};  ///< by eviction_cause
  std::uint64_t secondary_evictions = 0;                 ///< of these, under extreme pressure (rule 5)
  plan_statistics plan;

  [[nodiscard]] std::uint64_t victims_total() const noexcept {
    std::uint64_t sum = 0;
    for (const std::uint64_t v : victims) sum += v;
    return sum;
  }
};

/// Bytes per second of bare copies between page-locked memory and the device, measured when the scheduler began; 0: not
/// measured (it is on CUDA devices only).
struct copy_rates {
  double in = 0;    ///< host to device
  double out = 0;   ///< device to host
  double both = 0;  ///< the two at once, together
};

struct statistics {
  std::uint64_t page_bytes = 0;  ///< of one page; where they differ by their alignment, of a smaller one
  std::uint64_t budget_bytes = 0;
  std::uint64_t used_bytes = 0;          ///< blocks (resident, loading, freed but not reusable yet) and reserved bytes
  std::uint64_t peak_used_bytes = 0;     ///< the most at any instant
  std::uint64_t reserved_bytes = 0;      ///< all shares and byte reservations
  std::uint64_t headroom_bytes = 0;      ///< budget less reserved
  std::uint64_t largest_free_bytes = 0;  ///< contiguous
  std::uint64_t loaded_bytes = 0;
  std::uint64_t written_back_bytes = 0;
  copy_rates bare_bytes_per_second;
  double load_bytes_per_second = 0;  ///< what plans go by: the bare rate first, then what loads take; 0: not known yet
  std::vector<runtime_statistics> runtimes;
};

}  // namespace pinrail
