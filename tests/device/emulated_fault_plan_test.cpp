#include "device/emulated/fault_plan.hpp"

#include <gtest/gtest.h>

namespace pinrail::devices {
namespace {

using emulated::call;

errc enter(fault_plan& plan, call which) {
  const auto why = plan.enter(which);
  return why ? why->code : errc::none;
}

TEST(emulated_fault_plan, fails_one_call_of_the_kind) {
  fault_plan plan;
  plan.inject({call::record_event, 0, errc::device_error});
  EXPECT_EQ(enter(plan, call::wait_event), errc::none);
  EXPECT_EQ(enter(plan, call::record_event), errc::device_error);
  EXPECT_EQ(enter(plan, call::record_event), errc::none);
}

TEST(emulated_fault_plan, counts_matching_calls_only) {
  fault_plan plan;
  plan.inject({call::copy_host_to_device, 2, errc::out_of_memory});
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(enter(plan, call::copy_host_to_device), errc::none);
    EXPECT_EQ(enter(plan, call::copy_device_to_host), errc::none);
  }
  EXPECT_EQ(enter(plan, call::copy_host_to_device), errc::out_of_memory);
  EXPECT_EQ(enter(plan, call::copy_host_to_device), errc::none);
}

TEST(emulated_fault_plan, any_counts_every_call) {
  fault_plan plan;
  plan.inject({call::any, 3, errc::device_error});
  EXPECT_EQ(enter(plan, call::create_event), errc::none);
  EXPECT_EQ(enter(plan, call::record_event), errc::none);
  EXPECT_EQ(enter(plan, call::query_event), errc::none);
  EXPECT_EQ(enter(plan, call::create_stream), errc::device_error);
  EXPECT_EQ(enter(plan, call::create_stream), errc::none);
}

TEST(emulated_fault_plan, faults_count_independently) {
  fault_plan plan;
  plan.inject({call::any, 1, errc::out_of_memory});
  plan.inject({call::query_event, 1, errc::device_error});
  EXPECT_EQ(enter(plan, call::query_event), errc::none);
  EXPECT_EQ(enter(plan, call::query_event), errc::out_of_memory);  // both were due; the first planned wins
  EXPECT_EQ(enter(plan, call::query_event), errc::none);
}

TEST(emulated_fault_plan, a_loss_is_for_good) {
  fault_plan plan;
  plan.inject({call::wait_event, 0, errc::device_error});
  plan.inject({call::wait_event, 0, errc::device_lost});
  EXPECT_FALSE(plan.lost());
  EXPECT_EQ(enter(plan, call::wait_event), errc::device_lost);
  EXPECT_TRUE(plan.lost());
  EXPECT_EQ(enter(plan, call::create_event), errc::device_lost);
  plan.clear();
  EXPECT_EQ(enter(plan, call::create_event), errc::device_lost);
}

TEST(emulated_fault_plan, clear_forgets_what_is_planned) {
  fault_plan plan;
  plan.inject({call::any, 0, errc::device_lost});
  plan.clear();
  EXPECT_EQ(enter(plan, call::query_event), errc::none);
  EXPECT_FALSE(plan.lost());
}

TEST(emulated_fault_plan, counts_all_calls_failed_ones_too) {
  fault_plan plan;
  EXPECT_EQ(plan.calls_made(), 0u);
  plan.inject({call::any, 0, errc::device_error});
  static_cast<void>(plan.enter(call::create_event));
  static_cast<void>(plan.enter(call::create_event));
  EXPECT_EQ(plan.calls_made(), 2u);
}

TEST(emulated_fault_plan, refuses_codes_that_devices_do_not_give) {
  fault_plan plan;
  for (const errc code : {errc::none, errc::no_victim, errc::invalid_argument, errc::not_supported}) {
    EXPECT_THROW(plan.inject({call::any, 0, code}), error) << to_string(code);
  }
}

}  // namespace
}  // namespace pinrail::devices
