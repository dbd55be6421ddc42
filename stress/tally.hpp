// What was done, by kind, and how it went; and which refusals are documented.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "pinrail/error.hpp"
#include "pinrail/statistics.hpp"

namespace stress {

enum class operation : std::uint8_t {
  open_pass,
  use,
  write,
  prefetch,
  keep,
  keep_load,
  protect,
  look,
  reserve,
  release,
  guest,
  bytes,
  bytes_memory,
  budget,
  add_runtime,
  remove_runtime,
  statistics,
  blockers,
  hand_over,
  unwind,
  reversed_finish,
  brief_stream,
  misuse,
};
inline constexpr std::size_t operations = 23;

[[nodiscard]] const char* to_string(operation what) noexcept;

/// May the call be refused with this code, as its documentation has it, given what the stress asks for?
[[nodiscard]] bool is_documented(operation what, pinrail::errc code) noexcept;

inline constexpr std::size_t error_codes = static_cast<std::size_t>(pinrail::errc::not_supported) + 1;

/// Of one thread, or summed up.
struct tally {
  struct outcomes {
    std::uint64_t done = 0;
    std::array<std::uint64_t, error_codes> refused{};

    [[nodiscard]] std::uint64_t refused_total() const noexcept {
      std::uint64_t sum = 0;
      for (const std::uint64_t n : refused) sum += n;
      return sum;
    }
  };

  std::array<outcomes, operations> by_operation{};
  std::uint64_t longest_overrun_ns = 0;  ///< beyond a deadline

  [[nodiscard]] outcomes& of(operation what) noexcept { return by_operation[static_cast<std::size_t>(what)]; }
  [[nodiscard]] std::uint64_t done() const noexcept;
  [[nodiscard]] std::uint64_t refused() const noexcept;
  void add(const tally& other) noexcept;
};

/// What the library counted, over all runtimes of all rounds.
struct library_counts {
  std::uint64_t loads = 0, failed_loads = 0, prefetches = 0, hits = 0, stalls = 0, written_back = 0, moves = 0;
  std::uint64_t secondary_evictions = 0;
  std::array<std::uint64_t, pinrail::eviction_causes> victims{};

  void add(const pinrail::runtime_statistics& s) noexcept;
  void add(const library_counts& other) noexcept;
};

}  // namespace stress
