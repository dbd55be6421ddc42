// The sweep: the workload again and again, and each time another call fails.
#pragma once

#include <cstdint>
#include <vector>

#include "fault_bed.hpp"

namespace pinrail::test {

struct sweep_plan {
  errc code = errc::none;
  std::uint64_t count = 1;  ///< calls in a row that fail
  std::vector<emulated::call> kinds = {emulated::call::any};
};

/// Of each kind, makes call number 0, 1, 2 ... fail, as many as the workload makes, each in a run of its own. Fails the
/// test for whatever must not be, and prints the counts, which are also properties of the test.
void sweep_calls(const bed_maker& make_bed, const sweep_plan& plan);

/// Makes call number 0, 1, 2 ... take long, each in a run of its own, in which nothing may fail.
void sweep_stalls(const std::function<std::unique_ptr<fault_bed>(std::uint64_t slow_call)>& make_bed);

/// One run without a fault, in which nothing may fail.
void run_without_fault(const bed_maker& make_bed);

}  // namespace pinrail::test
