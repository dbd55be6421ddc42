// What a policy comes to on a workload, after the mark.
#pragma once

#include <cstdint>
#include <string>

namespace pinrail::bench {

struct outcome {
  std::string policy;
  std::uint64_t loaded_bytes = 0;
  std::uint64_t loads = 0;
  std::uint64_t cold_loads = 0;  ///< that a kernel had to wait for from the beginning: nothing loaded them ahead
  double time_ns = 0;
  std::string note;       ///< for people
  double stalled_ns = 0;  ///< the compute stream had nothing to do
};

}  // namespace pinrail::bench
