// One round: devices, schedulers and runtimes are made, threads make their steps, everything is ended and checked.
#pragma once

#include <atomic>
#include <cstdint>

#include "activity.hpp"
#include "actor.hpp"
#include "options.hpp"
#include "tally.hpp"
#include "violations.hpp"

namespace stress {

/// Over all rounds. Counters that the progress line reads are atomic.
struct run_figures {
  std::atomic<std::uint64_t> rounds{0};
  std::atomic<std::uint64_t> steps{0};
  std::atomic<std::uint64_t> readings{0};
  tally actions;
  library_counts library;
};

/// Ends early once `stop` is set. After a violation what is left is abandoned: it can't be trusted to end.
void run_round(const options& o, std::uint64_t number, violations& found, watchdog& dog, std::atomic<bool>& stop,
               run_figures& figures);

}  // namespace stress
