// Every call to the device fails once, in a run of its own: out of memory, a transient error, a lost device.
#include <gtest/gtest.h>

#include "emulated_bed.hpp"
#include "sweep.hpp"

namespace pinrail::test {
namespace {

using emulated::call;

std::unique_ptr<fault_bed> make(const planned_fault& plan) { return std::make_unique<emulated_bed>(plan); }

/// Much is still under way when it is asked for, so that there is more to wait for.
std::unique_ptr<fault_bed> make_slow(const planned_fault& plan) {
  return std::make_unique<emulated_bed>(plan, emulated_bed::options{.copy_ns = 20'000, .kernel_ns = 50'000});
}

/// All but what is polled. The numbers are then the same in every run, so none is left out.
const std::vector<call> each_kind{call::allocate_arena,       call::allocate_pinned,     call::create_stream,
                                  call::synchronize_stream,   call::create_event,        call::record_event,
                                  call::wait_event,           call::copy_host_to_device, call::copy_device_to_host,
                                  call::copy_device_to_device};

TEST(emulated_sweep, without_a_fault_nothing_fails) {
  run_without_fault(make);
  run_without_fault(make_slow);
}

TEST(emulated_sweep, out_of_memory) { sweep_calls(make, {errc::out_of_memory}); }
TEST(emulated_sweep, device_error) { sweep_calls(make, {errc::device_error}); }
TEST(emulated_sweep, device_lost) { sweep_calls(make, {errc::device_lost}); }

TEST(emulated_sweep, device_error_by_kind) { sweep_calls(make_slow, {errc::device_error, 1, each_kind}); }
TEST(emulated_sweep, device_lost_by_kind) { sweep_calls(make_slow, {errc::device_lost, 1, each_kind}); }

// What is done about a failed call may fail too.
TEST(emulated_sweep, two_errors_in_a_row) { sweep_calls(make, {errc::device_error, 2}); }

}  // namespace
}  // namespace pinrail::test
