// The workload through Pinrail's public API, on a simulated device.
#pragma once

#include "policies/outcome.hpp"
#include "policies/workload.hpp"

namespace pinrail::bench {

struct our_options {
  bool paced_plans = true;
  bool rarely_used_first = false;  ///< among idle runtimes; else least recently used
  bool guards = true;              ///< keep, reserve and guest steps are carried out
};

[[nodiscard]] outcome run_ours(const workload& w, const our_options& options = {});

}  // namespace pinrail::bench
