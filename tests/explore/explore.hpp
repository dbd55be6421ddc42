// Exhaustive exploration of the shipped core templates under Relacy.
//
// A scenario states its invariant, has two or three threads of a few calls each, and is searched completely: every
// interleaving, and every older value that the memory orders allow a load to return. Where that is too many, every
// interleaving with up to a number of preemptions. `rl::var` stands for memory that must not be touched by two threads
// without order; Relacy reports any such race.
#pragma once

#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "support/relacy_atomics.hpp"

namespace pinrail::explore {

using A = test::relacy_atomics;

struct scenario {
  const char* name;
  const char* invariant;
  unsigned preemptions;  ///< 0: no bound
  std::function<bool(unsigned long& schedules)> run;
};

inline std::vector<scenario>& scenarios() {
  static std::vector<scenario> all;
  return all;
}

template <class Suite>
struct registration {
  registration(const char* name, const char* invariant, unsigned preemptions) {
    scenarios().push_back({name, invariant, preemptions, [preemptions](unsigned long& schedules) {
                             rl::test_params parameters;
                             parameters.search_type = preemptions == 0 ? rl::sched_full : rl::sched_bound;
                             parameters.context_bound = preemptions;
                             parameters.execution_depth_limit = 4000;
                             const bool holds = rl::simulate<Suite>(parameters);
                             schedules = static_cast<unsigned long>(parameters.stop_iteration);
                             return holds;
                           }});
  }
};

}  // namespace pinrail::explore

#define PINRAIL_EXPLORE(suite, invariant) \
  static const ::pinrail::explore::registration<suite> suite##_registration(#suite, invariant, 0)
#define PINRAIL_EXPLORE_BOUNDED(suite, preemptions, invariant) \
  static const ::pinrail::explore::registration<suite> suite##_registration(#suite, invariant, preemptions)
