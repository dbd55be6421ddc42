#include "step_forecast.hpp"

#include <algorithm>
#include <numeric>

#include "core/plan.hpp"

namespace pinrail::tools {

std::uint64_t named_model::footprint_bytes() const {
  return std::accumulate(block_bytes.begin(), block_bytes.end(), std::uint64_t{0});
}

std::uint64_t named_model::largest_bytes() const { return *std::max_element(block_bytes.begin(), block_bytes.end()); }

const char* to_string(forecast::kind how) {
  switch (how) {
    case forecast::kind::fits:
      return "fits";
    case forecast::kind::planned:
      return "paced plan";
    case forecast::kind::next_use:
      return "next use";
    case forecast::kind::too_small:
      return "too small";
  }
  return "unknown";
}

forecast forecast_step(const named_model& model, const machine& on, std::uint64_t share_bytes) {
  const std::uint64_t footprint = model.footprint_bytes();
  forecast f{.share_bytes = share_bytes};
  // Without a compute time, copying is all there is; the planner needs some time to spread copies along.
  const double compute_ns = std::max(on.compute_ns, 1.0);
  std::vector<double> compute;
  for (const std::uint64_t b : model.block_bytes)
    compute.push_back(compute_ns * static_cast<double>(b) / static_cast<double>(footprint));
  const core::plan_input in{.pages = model.block_bytes,
                            .compute_ns = compute,
                            .copy_ns_per_page = 1e9 / on.bytes_per_second,
                            .share_pages = share_bytes};
  if (footprint <= share_bytes) {
    f.how = forecast::kind::fits;
    f.staying_blocks = model.block_bytes.size();
    f.step_ns = f.bound_ns = on.compute_ns;
    return f;
  }
  if (share_bytes < 2 * model.largest_bytes()) return f;
  if (const auto plan = core::make_plan(in)) {
    f.how = forecast::kind::planned;
    f.streamed_blocks = plan->streamed.size();
    f.staying_blocks = model.block_bytes.size() - f.streamed_blocks;
    f.streamed_bytes = plan->streamed_pages;
    f.slots = static_cast<std::uint32_t>(plan->slot_pages.size());
    f.slot_bytes = std::accumulate(plan->slot_pages.begin(), plan->slot_pages.end(), std::uint64_t{0});
    f.step_ns = plan->step_ns;
    f.bound_ns = plan->bound_ns();
    return f;
  }
  f.how = forecast::kind::next_use;
  f.streamed_bytes = footprint - share_bytes + 2 * model.largest_bytes();
  f.step_ns = core::simulated_next_use_step_ns(in);
  f.bound_ns = std::max(on.compute_ns, static_cast<double>(f.streamed_bytes) * 1e9 / on.bytes_per_second);
  return f;
}

}  // namespace pinrail::tools
