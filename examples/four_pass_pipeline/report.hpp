// What a run comes to: a table for people, JSON for programs.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "pinrail/statistics.hpp"
#include "pipeline.hpp"

namespace examples {

struct run_report {
  std::string device;
  double scale = 1;
  workload work;
  std::uint64_t budget_bytes = 0;
  pinrail::statistics statistics;
  std::array<std::uint64_t, model_count> share_bytes{};  ///< the largest that was granted, by runtime
  std::vector<request_result> results;
  std::vector<std::uint64_t> reference;  ///< empty if there was no reference run
  double wall_s = 0;
  double device_bytes_per_second = 0;         ///< bare copies to the device
  std::vector<std::string> order_violations;  ///< found by an emulated device's checker

  [[nodiscard]] std::uint64_t checksum_errors() const;
  [[nodiscard]] bool matches_reference() const;
  /// Everything that a run must show.
  [[nodiscard]] bool good() const;
};

[[nodiscard]] std::string table(const run_report& r);
[[nodiscard]] nlohmann::json json(const run_report& r);

}  // namespace examples
