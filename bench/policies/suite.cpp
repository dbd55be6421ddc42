#include "policies/suite.hpp"

#include <fmt/format.h>

#include "policies/requests.hpp"

namespace pinrail::bench {
namespace {

constexpr std::uint64_t seed = 1;

void add_single_models(std::vector<named_workload>& all) {
  for (const double share : {0.25, 0.5, 0.75, 0.9})
    for (const double ratio : {0.25, 0.5, 1.0, 2.0, 4.0})
      all.push_back({"uniform", fmt::format("48 blocks, share {:.0f} %, copy/compute {}", 100 * share, ratio),
                     cyclic(uniform_model("uniform", 48, 372 << 21), share, ratio)});
  for (const double share : {0.25, 0.5, 0.75, 0.9})
    for (const double ratio : {0.5, 1.0, 2.0})
      all.push_back({"flux", fmt::format("FLUX.1-dev, share {:.0f} %, copy/compute {}", 100 * share, ratio),
                     cyclic(flux(), share, ratio)});
  workload named = cyclic(uniform_model("named", 48, 780'000'000), 0.5, 2);
  named.budget_bytes = 24'000'000'000;
  all.push_back({"named", "48 x 780 MB, 24 GB, cyclic", named});
  all.push_back({"named", "48 x 780 MB, 24 GB, forward+backward",
                 forward_backward(uniform_model("named", 48, 780'000'000), 24'000'000'000, 2)});
  for (const auto& m : {ltx2(), gemma3_12b(), t5_xxl(), llama3_8b()})
    all.push_back({"models", fmt::format("{}, share 50 %, copy/compute 1", m.name), cyclic(m, 0.5, 1)});
}

void add_experts(std::vector<named_workload>& all) {
  for (const bool predicted : {false, true})
    for (const double skew : {0.0, 1.0})
      all.push_back({"experts",
                     fmt::format("Mixtral-8x7B, share 50 %, Zipf {}{}", skew, predicted ? ", predicted" : ""),
                     mixture_of_experts(0.5, skew, predicted, seed)});
}

/// Text-to-image services on one card of 80 GB and one of 24 GiB. A step of FLUX.1-dev computes for 0.24 s.
void add_requests(std::vector<named_workload>& all, const std::optional<std::filesystem::path>& trace) {
  constexpr std::uint64_t large = 80'000'000'000;
  constexpr std::uint64_t small = std::uint64_t{24} << 30;
  constexpr double copy_per_compute = 4;
  constexpr double trace_speed = 2;
  const auto add = [&](const std::string& label, const std::vector<request>& requests, std::uint64_t budget) {
    all.push_back({"requests", label, serve(label, requests, budget, copy_per_compute, seed)});
  };
  if (trace) {
    for (const std::size_t first : {0u, 3000u, 9000u})
      add(fmt::format("trace, requests {} to {}, {} x speed, 80 GB", first, first + 300, trace_speed),
          read_trace(*trace, first, 300, trace_speed), large);
    add(fmt::format("trace, requests 3000 to 3060, {} x speed, 24 GiB", trace_speed),
        read_trace(*trace, 3000, 60, trace_speed), small);
  }
  add("Poisson, 24 models, Zipf 1, 80 GB", poisson_requests(400, 24, 0.3, seed), large);
  add("bursty, 24 models, Zipf 1, 80 GB", bursty_requests(400, 24, 0.3, seed), large);
}

}  // namespace

std::vector<named_workload> all_workloads(const std::optional<std::filesystem::path>& trace) {
  std::vector<named_workload> all;
  add_single_models(all);
  all.push_back({"interleaved", "LTX-2, Gemma-3-12B and T5-XXL in turn, 24 GiB",
                 interleaved({ltx2(), gemma3_12b(), t5_xxl()}, std::uint64_t{24} << 30, 1)});
  all.push_back({"pipeline", "four passes, 24 GiB", four_pass(1)});
  add_experts(all);
  add_requests(all, trace);
  return all;
}

}  // namespace pinrail::bench
