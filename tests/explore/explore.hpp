// Exploration of the shipped core templates under Relacy, and of their mutants.
//
// A scenario states its invariant, has two or three threads of a few calls each, and is searched completely: every
// interleaving, and every older value that the memory orders allow a load to return. Where that is too many: every
// interleaving with up to a number of preemptions, or so many random ones (seeded, the same every time). `rl::var`
// stands for memory that must not be touched by two threads without order; Relacy reports any such race.
//
// A scenario is a template over the atomics policy, so that the same search runs on a core with a mistake in it
// (core/mutant.hpp): PINRAIL_FINDS says which mistakes a scenario must find.
#pragma once

#include "explore/scenario.hpp"
#include "support/relacy_atomics.hpp"

namespace pinrail::explore {

template <core::mutant mistake = core::mutant::none>
using relacy = test::relacy_atomics<mistake>;

/// Runs one search. `Suite` is a Relacy test suite.
template <class Suite>
outcome simulate(search how);

template <class Suite>
bool add_scenario(const char* name, search how, const char* invariant) {
  scenarios().push_back({name, invariant, how, [how] { return simulate<Suite>(how); }});
  return true;
}

template <class Suite>
bool add_mutant(const char* mutant, const char* name, search how) {
  mutant_runs().push_back({mutant, name, [how] { return simulate<Suite>(how); }});
  return true;
}

template <class Suite>
outcome simulate(search how) {
  rl::test_params parameters;
  rl::ostringstream report;
  rl::ostringstream progress;
  parameters.output_stream = &report;
  parameters.progress_stream = &progress;
  parameters.execution_depth_limit = 4000;
  switch (how.kind) {
    case search::how::complete:
      parameters.search_type = rl::sched_full;
      break;
    case search::how::preemptions:
      parameters.search_type = rl::sched_bound;
      parameters.context_bound = how.limit;
      break;
    case search::how::random:
      parameters.search_type = rl::sched_random;
      parameters.iteration_count = how.limit;
      break;
  }
  outcome o;
  o.holds = rl::simulate<Suite>(parameters);
  o.schedules = static_cast<std::uint64_t>(parameters.stop_iteration);
  if (!o.holds) {
    o.found = rl::test_result_str(parameters.test_result);
    o.report = report.str();
  }
  return o;
}

}  // namespace pinrail::explore

/// `suite` is a template over an atomics policy.
#define PINRAIL_EXPLORE(suite, how, invariant)                                       \
  [[maybe_unused]] static constexpr ::pinrail::explore::search suite##_search = how; \
  [[maybe_unused]] static const bool suite##_added =                                 \
      ::pinrail::explore::add_scenario<suite<relacy<>>>(#suite, how, invariant)
#define PINRAIL_FINDS(suite, mistake)                                                                   \
  [[maybe_unused]] static const bool suite##_finds_##mistake =                                          \
      ::pinrail::explore::add_mutant<suite<relacy<::pinrail::core::mutant::mistake>>>(#mistake, #suite, \
                                                                                      suite##_search)
