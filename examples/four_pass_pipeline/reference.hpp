// The plain run: every model whole in host memory, one request after the other, nothing shared, moved or evicted. What
// the pipeline must agree with.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "checkpoints.hpp"
#include "pipeline.hpp"

namespace examples {

/// The final state of every request. `progress` is told how many are done; any thread.
[[nodiscard]] std::vector<std::uint64_t> reference_run(const std::array<checkpoint, model_count>& models,
                                                       const workload& work,
                                                       const std::function<void(std::uint32_t done)>& progress);

}  // namespace examples
