// The workloads that policies are compared on.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "policies/workload.hpp"

namespace pinrail::bench {

struct named_workload {
  std::string group;
  std::string label;
  workload work;
};

/// `trace`: requests as in shared/traces; without it those workloads are left out.
[[nodiscard]] std::vector<named_workload> all_workloads(const std::optional<std::filesystem::path>& trace);

}  // namespace pinrail::bench
