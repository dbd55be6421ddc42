// One fixed program that makes every kind of call to the device: loads from pinned and pageable memory and from a
// file, write-backs, guests, reservations, bytes with memory, a budget that shrinks, moves, removal, the end.
//
// It checks itself. A step that fails is tried again, and must then succeed, unless the device is lost.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/atomic.hpp"
#include "fault_bed.hpp"

namespace pinrail::test {

/// What all runs share: models in host memory and in a file, none of which a run changes.
class material {
 public:
  material();
  ~material();

  struct parts;
  [[nodiscard]] parts& all() const { return *parts_; }

 private:
  std::unique_ptr<parts> parts_;
};

struct run_report {
  std::vector<std::string> errors;    ///< typed errors that calls ended with
  std::vector<std::string> problems;  ///< what must not be
};

/// Ends the bed. `at` shows the step that it is at.
[[nodiscard]] run_report run_workload(fault_bed& bed, const material& from, core::atomic<const char*>& at);

}  // namespace pinrail::test
