#include "sweep.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "support/watchdog.hpp"
#include "workload.hpp"

namespace pinrail::test {
namespace {

/// What is polled varies from run to run, so the sweep goes on until this many runs in a row end before their fault.
constexpr int most_unmet = 10;

/// Far longer than a run takes, and shorter than the workload's load deadline: who waits for that hangs.
constexpr std::chrono::seconds run_limit{100};

constexpr int most_shown = 10;

const material& shared_material() {
  static const material one;
  return one;
}

struct outcome {
  bool reached = false;
  run_report report;
  std::chrono::nanoseconds took{};
};

std::string describe(const planned_fault& plan) {
  return fmt::format("calls of kind {} from {} on, {} of them, fail with {}", static_cast<int>(plan.where), plan.first,
                     plan.count, to_string(plan.code));
}

std::uint64_t leaks_in(const run_report& report) {
  return static_cast<std::uint64_t>(std::count_if(report.problems.begin(), report.problems.end(),
                                                  [](const auto& p) { return p.starts_with("leak"); }));
}

outcome run_once(const bed_maker& make_bed, const planned_fault& plan) {
  core::atomic<const char*> at{"begin"};
  const watchdog limit(run_limit,
                       [&] { return fmt::format("{}, at '{}'", describe(plan), at.load(core::order::relaxed)); });
  const auto began = std::chrono::steady_clock::now();
  const auto bed = make_bed(plan);
  outcome o;
  o.report = run_workload(*bed, shared_material(), at);
  o.reached = bed->reached();
  o.took = std::chrono::steady_clock::now() - began;
  return o;
}

}  // namespace

void run_without_fault(const bed_maker& make_bed) {
  const outcome o = run_once(make_bed, {});
  EXPECT_EQ(o.report.errors, std::vector<std::string>{});
  EXPECT_EQ(o.report.problems, std::vector<std::string>{});
}

void sweep_stalls(const std::function<std::unique_ptr<fault_bed>(std::uint64_t)>& make_bed) {
  std::uint64_t tried = 0, leaks = 0;
  int unmet = 0;
  for (std::uint64_t call = 0; unmet < most_unmet && !testing::Test::HasFailure(); ++call) {
    const outcome o = run_once([&](const planned_fault&) { return make_bed(call); }, {.first = call});
    unmet = o.reached ? 0 : unmet + 1;
    tried += o.reached;
    leaks += leaks_in(o.report);
    EXPECT_EQ(o.report.errors, std::vector<std::string>{}) << "call " << call;
    EXPECT_EQ(o.report.problems, std::vector<std::string>{}) << "call " << call;
  }
  fmt::print("{} calls stalled, 0 hangs\n", tried);
  EXPECT_GT(tried, 0u);
  testing::Test::RecordProperty("stalls_tried", std::to_string(tried));
  testing::Test::RecordProperty("leaks", std::to_string(leaks));
}

void sweep_calls(const bed_maker& make_bed, const sweep_plan& plan) {
  std::uint64_t tried = 0, with_error = 0, bad = 0, leaks = 0;
  std::chrono::nanoseconds slowest{};
  for (const emulated::call where : plan.kinds) {
    int unmet = 0;
    for (std::uint64_t call = 0; unmet < most_unmet; ++call) {
      const planned_fault fault{where, call, plan.code, plan.count};
      const outcome o = run_once(make_bed, fault);
      unmet = o.reached ? 0 : unmet + 1;
      tried += o.reached;
      with_error += !o.report.errors.empty();
      slowest = std::max(slowest, o.took);
      leaks += leaks_in(o.report);
      if (o.report.problems.empty() || ++bad > most_shown) continue;
      for (const std::string& p : o.report.problems) ADD_FAILURE() << describe(fault) << ": " << p;
    }
  }
  EXPECT_EQ(bad, 0u) << "runs with problems";
  EXPECT_GT(tried, 0u);
  fmt::print("{}: {} faults tried, {} ended in an error, {} runs with problems, {} leaks, 0 hangs, slowest run {} ms\n",
             to_string(plan.code), tried, with_error, bad, leaks,
             std::chrono::duration_cast<std::chrono::milliseconds>(slowest).count());
  testing::Test::RecordProperty("faults_tried", std::to_string(tried));
  testing::Test::RecordProperty("runs_with_problems", std::to_string(bad));
  testing::Test::RecordProperty("leaks", std::to_string(leaks));
}

}  // namespace pinrail::test
