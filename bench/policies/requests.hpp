// Workloads of requests for many models: from a trace, and synthetic. Each request walks its model forward `passes`
// times.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "policies/workload.hpp"

namespace pinrail::bench {

struct request {
  double arrival_s = 0;
  std::uint32_t model = 0;  ///< 0, 1, 2 ... by first appearance
  std::uint32_t passes = 1;
};

/// Requests `first` to `first + count` of a trace (shared/traces/README.md: CSV with the columns arrival_s, model,
/// steps), arriving `speed` times as fast. Throws std::runtime_error for a file that has no such columns.
[[nodiscard]] std::vector<request> read_trace(const std::filesystem::path& csv, std::size_t first, std::size_t count,
                                              double speed);

/// Arrivals at random, `per_s` a second; models by Zipf's law with exponent 1.
[[nodiscard]] std::vector<request> poisson_requests(std::size_t count, std::uint32_t models, double per_s,
                                                    std::uint64_t seed);
/// The same mean rate in bursts of 8 on average, each about at most three models that Zipf's law draws.
[[nodiscard]] std::vector<request> bursty_requests(std::size_t count, std::uint32_t models, double per_s,
                                                   std::uint64_t seed);

/// Which block table a model number has: FLUX.1-dev, LTX-2, T5-XXL, Gemma-3-12B and Llama-3.1-8B, by a hash of seed and
/// number.
[[nodiscard]] model_table table_of_model(std::uint32_t number, std::uint64_t seed);

/// One at a time, in order of arrival.
[[nodiscard]] workload serve(std::string name, const std::vector<request>& requests, std::uint64_t budget_bytes,
                             double copy_per_compute, std::uint64_t seed);

}  // namespace pinrail::bench
