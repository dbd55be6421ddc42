#include "device/copy_cost.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace pinrail::devices {
namespace {

TEST(copy_cost, is_bytes_over_rate_rounded_up) {
  EXPECT_EQ(transfer_ns(25'000'000'000, 25'000'000'000), 1'000'000'000u);
  EXPECT_EQ(transfer_ns(1_MiB, 25'000'000'000), 41'944u);  // 41943.04
  EXPECT_EQ(transfer_ns(1, 25'000'000'000), 1u);
  EXPECT_EQ(transfer_ns(0, 25'000'000'000), 0u);
}

TEST(copy_cost, is_nothing_where_the_rate_is_unlimited) { EXPECT_EQ(transfer_ns(1_GiB, 0), 0u); }

TEST(copy_cost, does_not_overflow) {
  constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  EXPECT_EQ(transfer_ns(1u << 31, std::uint64_t{1} << 62), 1u);
  EXPECT_EQ(transfer_ns(std::uint64_t{1} << 62, std::uint64_t{1} << 62), 1'000'000'000u);
  // Sums of two still fit, and are positive as signed durations.
  EXPECT_EQ(transfer_ns(most, 1), static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max() / 2));
}

TEST(copy_cost, adds_latency_and_looks_up_the_direction) {
  host_device_options options;
  options.latency_ns = 7;
  options.bytes_per_second = {1'000'000'000, 500'000'000, 0};
  EXPECT_EQ(copy_ns(options, direction::host_to_device, 1000), 1007u);
  EXPECT_EQ(copy_ns(options, direction::device_to_host, 1000), 2007u);
  EXPECT_EQ(copy_ns(options, direction::device_to_device, 1000), 7u);
}

}  // namespace
}  // namespace pinrail::devices
