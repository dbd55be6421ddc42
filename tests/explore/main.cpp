// explore: runs every scenario, then every mutant against the scenarios that must find it.
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>

#include "explore/scenario.hpp"

namespace {

using namespace pinrail::explore;

struct options {
  std::string only;
  std::string json;
  bool trace = false;
};

std::string described(const search& how) {
  switch (how.kind) {
    case search::how::complete:
      return "complete";
    case search::how::preemptions:
      return fmt::format("<= {} preemptions", how.limit);
    case search::how::random:
      return "random";
  }
  return {};
}

template <class Run>
outcome timed(Run&& run, double& seconds) {
  const auto begin = std::chrono::steady_clock::now();
  outcome o = run();
  seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return o;
}

int explore_all(const options& asked) {
  nlohmann::json out{{"scenarios", nlohmann::json::array()}, {"mutants", nlohmann::json::array()}};
  int wrong = 0;
  int run = 0;
  for (const scenario& s : scenarios()) {
    if (s.name.find(asked.only) == std::string::npos) continue;
    double seconds = 0;
    const outcome o = timed(s.run, seconds);
    fmt::print("{:<7} {:<36} {:>9} schedules, {}, {:.1f} s: {}\n", o.holds ? "holds" : "BROKEN", s.name, o.schedules,
               described(s.how), seconds, s.invariant);
    if (!o.holds) fmt::print("{}\n", asked.trace ? o.report : o.found + " (--trace prints the schedule)");
    std::fflush(stdout);
    out["scenarios"].push_back({{"name", s.name},
                                {"invariant", s.invariant},
                                {"search", described(s.how)},
                                {"schedules", o.schedules},
                                {"seconds", seconds},
                                {"holds", o.holds}});
    wrong += !o.holds;
    ++run;
  }
  for (const mutant_run& m : mutant_runs()) {
    if (m.scenario.find(asked.only) == std::string::npos && m.mutant.find(asked.only) == std::string::npos) continue;
    double seconds = 0;
    const outcome o = timed(m.run, seconds);
    fmt::print("{:<8} {:<30} by {} after {} schedules, {:.1f} s{}{}\n", o.holds ? "SURVIVES" : "found", m.mutant,
               m.scenario, o.schedules, seconds, o.holds ? "" : ": ", o.found);
    std::fflush(stdout);
    out["mutants"].push_back({{"name", m.mutant},
                              {"scenario", m.scenario},
                              {"schedules", o.schedules},
                              {"seconds", seconds},
                              {"found", !o.holds},
                              {"by", o.found}});
    wrong += o.holds;
    ++run;
  }
  fmt::print("{} searches, {} not as they must be\n", run, wrong);
  if (!asked.json.empty()) std::ofstream(asked.json) << out.dump(2) << "\n";
  return run == 0 || wrong != 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Explores interleavings of the core under Relacy, and shows that its mutants are found", "explore"};
  options asked;
  app.add_option("--only", asked.only, "Scenarios and mutants whose names contain this");
  app.add_option("--json", asked.json, "Write the outcome here");
  app.add_flag("--trace", asked.trace, "Print the schedule that breaks a scenario");
  CLI11_PARSE(app, argc, argv);
  return explore_all(asked);
}
