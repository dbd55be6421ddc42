// What people do without Pinrail, on the same simulated device: one compute stream, one copy stream, events between
// them.
#pragma once

#include <cstdint>
#include <vector>

#include "policies/outcome.hpp"
#include "policies/workload.hpp"

namespace pinrail::bench {

enum class baseline : std::uint8_t {
  least_recently_used,   ///< loads the next block of the pass ahead
  clock,                 ///< second chance (Corbato 1968); the same
  streaming,             ///< keeps nothing: every block is loaded two ahead and dropped after use
  next_use_per_runtime,  ///< evicts the largest (blocks until the next use in its own runtime's order) x size, loads
                         ///< two ahead
};

[[nodiscard]] const char* name_of(baseline b);

[[nodiscard]] outcome run_baseline(const workload& w, baseline policy);

}  // namespace pinrail::bench
