// What no policy can do better than.
#pragma once

#include <cstdint>

#include "policies/workload.hpp"

namespace pinrail::bench {

struct bounds {
  /// Belady's MIN (1966) on bytes: on a use, the bytes of the block that are missing are loaded, and what is needed
  /// farthest in the future makes room, in part if need be. Whole blocks can't do with less; nor can anything that is
  /// bound by fragmentation or by loading ahead. Where all blocks have one size the budget counts in whole blocks,
  /// which makes it MIN itself. Counted after the mark, with the cache as MIN left it there.
  std::uint64_t min_bytes = 0;
  double compute_ns = 0;

  /// The larger of compute time and the time to copy `min_bytes`.
  [[nodiscard]] double time_ns(const workload& w) const;
};

/// `aside_bytes` of the budget are kept out of it. With the size of the largest block that is the bound of who loads a
/// block while another is in use, and so has to have room for both.
[[nodiscard]] bounds bounds_of(const workload& w, std::uint64_t aside_bytes = 0);

}  // namespace pinrail::bench
