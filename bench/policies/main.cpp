// policies: bytes moved and time taken by victim policies, side by side, on simulated devices, against computed bounds.
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <fstream>
#include <nlohmann/json.hpp>

#include "policies/baselines.hpp"
#include "policies/bounds.hpp"
#include "policies/ours.hpp"

namespace pinrail::bench {
namespace {

struct named_workload {
  std::string group;
  std::string label;
  workload work;
};

std::vector<named_workload> all_workloads() {
  std::vector<named_workload> all;
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
  all.push_back({"interleaved", "LTX-2, Gemma-3-12B and T5-XXL in turn, 24 GiB",
                 interleaved({ltx2(), gemma3_12b(), t5_xxl()}, std::uint64_t{24} << 30, 1)});
  all.push_back({"pipeline", "four passes, 24 GiB", four_pass(1)});
  for (const bool predicted : {false, true})
    for (const double skew : {0.0, 1.0})
      all.push_back({"experts",
                     fmt::format("Mixtral-8x7B, share 50 %, Zipf {}{}", skew, predicted ? ", predicted" : ""),
                     mixture_of_experts(0.5, skew, predicted, 1)});
  return all;
}

nlohmann::json row_of(const named_workload& w, const bounds& b, const outcome& o) {
  const double rounds = w.work.rounds;
  return {{"group", w.group},
          {"workload", w.label},
          {"policy", o.policy},
          {"loaded_bytes_per_round", static_cast<double>(o.loaded_bytes) / rounds},
          {"loads_per_round", static_cast<double>(o.loads) / rounds},
          {"cold_loads_per_round", static_cast<double>(o.cold_loads) / rounds},
          {"time_ms_per_round", o.time_ns / rounds * 1e-6},
          {"bytes_over_bound",
           static_cast<double>(o.loaded_bytes) / static_cast<double>(std::max<std::uint64_t>(1, b.min_bytes))},
          {"time_over_bound", o.time_ns / std::max(1.0, b.time_ns(w.work))},
          {"step_over_own_bound", o.time_ns / std::max(b.compute_ns, w.work.copy_ns(o.loaded_bytes))}};
}

void print(const nlohmann::json& r) {
  fmt::print(
      "  {:<18} {:>8.2f} GB {:>7.1f} loads {:>6.1f} cold {:>9.1f} ms   bytes/MIN {:>6.3f}  time/bound {:>6.3f}  own "
      "{:>6.3f}\n",
      r["policy"].get<std::string>(), r["loaded_bytes_per_round"].get<double>() * 1e-9,
      r["loads_per_round"].get<double>(), r["cold_loads_per_round"].get<double>(), r["time_ms_per_round"].get<double>(),
      r["bytes_over_bound"].get<double>(), r["time_over_bound"].get<double>(), r["step_over_own_bound"].get<double>());
}

int run(const std::string& only, const std::string& json_file) {
  nlohmann::json out = nlohmann::json::array();
  for (const named_workload& w : all_workloads()) {
    if (w.label.find(only) == std::string::npos && w.group.find(only) == std::string::npos) continue;
    const bounds b = bounds_of(w.work);
    fmt::print("{}: MIN {:.2f} GB, bound {:.1f} ms\n", w.label, static_cast<double>(b.min_bytes) * 1e-9 / w.work.rounds,
               b.time_ns(w.work) * 1e-6 / w.work.rounds);
    std::vector<outcome> outcomes;
    for (const baseline p :
         {baseline::least_recently_used, baseline::clock, baseline::streaming, baseline::next_use_per_runtime})
      outcomes.push_back(run_baseline(w.work, p));
    outcomes.push_back(run_ours(w.work, {.paced_plans = false}));
    outcomes.push_back(run_ours(w.work));
    for (const outcome& o : outcomes) {
      out.push_back(row_of(w, b, o));
      print(out.back());
      if (!o.note.empty()) fmt::print("    {}\n", o.note);
    }
    std::fflush(stdout);
  }
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
  CLI11_PARSE(app, argc, argv);
  try {
    return pinrail::bench::run(only, json_file);
  } catch (const std::exception& e) {
    fmt::print(stderr, "policies: {}\n", e.what());
    return 2;
  }
}
