// policies: bytes moved and time taken by victim policies, side by side, on simulated devices, against computed bounds.
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "policies/baselines.hpp"
#include "policies/bounds.hpp"
#include "policies/ours.hpp"
#include "policies/suite.hpp"

namespace pinrail::bench {
namespace {

/// The largest block: what has to have room beside the block in use where copies overlap kernels.
std::uint64_t largest_block(const workload& w) {
  std::uint64_t largest = 0;
  for (const model_table& m : w.models)
    largest = std::max(largest, *std::max_element(m.block_bytes.begin(), m.block_bytes.end()));
  return largest;
}

double over(std::uint64_t bytes, const bounds& b) {
  return static_cast<double>(bytes) / static_cast<double>(std::max<std::uint64_t>(1, b.min_bytes));
}

/// The baselines that moved fewer bytes or took less time, by more than one per cent.
nlohmann::json better_than(const outcome& ours, const std::vector<outcome>& baselines) {
  nlohmann::json names = nlohmann::json::array();
  for (const outcome& o : baselines) {
    const bool bytes = static_cast<double>(o.loaded_bytes) < 0.99 * static_cast<double>(ours.loaded_bytes);
    const bool time = o.time_ns < 0.99 * ours.time_ns;
    if (bytes || time)
      names.push_back(fmt::format("{} ({})", o.policy, bytes && time ? "bytes, time" : bytes ? "bytes" : "time"));
  }
  return names;
}

nlohmann::json row_of(const named_workload& w, const bounds& b, const bounds& aside, const outcome& o) {
  const double rounds = w.work.rounds;
  return {{"group", w.group},
          {"workload", w.label},
          {"policy", o.policy},
          {"loaded_bytes_per_round", static_cast<double>(o.loaded_bytes) / rounds},
          {"loads_per_round", static_cast<double>(o.loads) / rounds},
          {"cold_loads_per_round", static_cast<double>(o.cold_loads) / rounds},
          {"time_ms_per_round", o.time_ns / rounds * 1e-6},
          {"bytes_over_bound", over(o.loaded_bytes, b)},
          {"bytes_over_bound_aside", over(o.loaded_bytes, aside)},
          {"time_over_bound", o.time_ns / std::max(1.0, b.time_ns(w.work))},
          {"step_over_own_bound", o.time_ns / std::max(b.compute_ns, w.work.copy_ns(o.loaded_bytes))}};
}

void print(const nlohmann::json& r) {
  fmt::print(
      "  {:<26} {:>8.2f} GB {:>7.1f} loads {:>6.1f} cold {:>9.1f} ms   bytes/MIN {:>6.3f} ({:>6.3f})  time/bound "
      "{:>6.3f}  own "
      "{:>6.3f}\n",
      r["policy"].get<std::string>(), r["loaded_bytes_per_round"].get<double>() * 1e-9,
      r["loads_per_round"].get<double>(), r["cold_loads_per_round"].get<double>(), r["time_ms_per_round"].get<double>(),
      r["bytes_over_bound"].get<double>(), r["bytes_over_bound_aside"].get<double>(),
      r["time_over_bound"].get<double>(), r["step_over_own_bound"].get<double>());
}

void compare(const named_workload& w, nlohmann::json& out) {
  const bounds b = bounds_of(w.work);
  const bounds aside = bounds_of(w.work, largest_block(w.work));
  fmt::print("{}: MIN {:.2f} GB ({:.2f} with the largest block set aside), bound {:.1f} ms\n", w.label,
             static_cast<double>(b.min_bytes) * 1e-9 / w.work.rounds,
             static_cast<double>(aside.min_bytes) * 1e-9 / w.work.rounds, b.time_ns(w.work) * 1e-6 / w.work.rounds);
  std::vector<outcome> baselines;
  for (const baseline p :
       {baseline::least_recently_used, baseline::clock, baseline::streaming, baseline::next_use_per_runtime})
    baselines.push_back(run_baseline(w.work, p));
  const auto add = [&](const outcome& o) {
    out.push_back(row_of(w, b, aside, o));
    print(out.back());
    if (!o.note.empty()) fmt::print("    {}\n", o.note);
  };
  for (const outcome& o : baselines) add(o);
  add(run_ours(w.work, {.paced_plans = false}));
  add(run_ours(w.work, {.rarely_used_first = true}));
  const outcome ours = run_ours(w.work);
  add(ours);
  const auto better = better_than(ours, baselines);
  out.back()["worse_than"] = better;
  for (const auto& name : better) fmt::print("    worse than {}\n", name.get<std::string>());
  std::fflush(stdout);
}

int run(const std::string& only, const std::string& json_file, const std::optional<std::filesystem::path>& trace) {
  nlohmann::json out = nlohmann::json::array();
  for (const named_workload& w : all_workloads(trace))
    if (w.label.find(only) != std::string::npos || w.group.find(only) != std::string::npos) compare(w, out);
  if (!json_file.empty()) std::ofstream(json_file) << out.dump(2) << "\n";
  return out.empty() ? 1 : 0;
}

}  // namespace
}  // namespace pinrail::bench

int main(int argc, char** argv) {
  CLI::App app{
      "Bytes moved and time taken by victim policies, side by side, on simulated devices, against computed bounds",
      "policies"};
  std::string only;
  std::string json_file;
  app.add_option("--only", only, "Workloads whose name contains this");
  app.add_option("--json", json_file, "Write the figures here");
  std::optional<std::filesystem::path> trace;
  app.add_option("--trace", trace, "Requests to serve, as in shared/traces/genai_requests.csv")
      ->check(CLI::ExistingFile);
  CLI11_PARSE(app, argc, argv);
  try {
    return pinrail::bench::run(only, json_file, trace);
  } catch (const std::exception& e) {
    fmt::print(stderr, "policies: {}\n", e.what());
    return 2;
  }
}
