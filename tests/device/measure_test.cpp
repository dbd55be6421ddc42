#include "device/measure.hpp"

#include <gtest/gtest.h>

#include "device/simulated/backend.hpp"
#include "pinrail/units.hpp"

namespace pinrail::devices {
namespace {

/// A device without noise, and what a measurement finds on it.
struct simulated_bench {
  explicit simulated_bench(const host_device_options& how)
      : device(how),
        ground{.device = device,
               .in = device.create_stream().value(),
               .out = device.create_stream().value(),
               .arena = device.allocate_arena(16_MiB).value(),
               .pinned = device.allocate_pinned(16_MiB).value(),
               .size_bytes = 8_MiB} {}

  simulated_backend device;
  copy_ground ground;
};

TEST(measure, each_direction_and_both_at_once) {
  simulated_bench b({.bytes_per_second = {50'000'000'000, 20'000'000'000, 0}});
  const auto rates = measure_copy_rates(b.ground);
  ASSERT_TRUE(rates);
  EXPECT_NEAR(rates->in, 50e9, 50e6);
  EXPECT_NEAR(rates->out, 20e9, 20e6);
  EXPECT_NEAR(rates->both, 40e9, 40e6) << "as many bytes each way, as long as the slower one takes";
  EXPECT_LT(b.device.now_ns(), 10'000'000u);
}

TEST(measure, a_slow_link_is_asked_for_few_copies) {
  simulated_bench b({.bytes_per_second = {100'000'000, 100'000'000, 0}});
  const auto rates = measure_copy_rates(b.ground);
  ASSERT_TRUE(rates);
  EXPECT_NEAR(rates->in, 1e8, 1e5);
  EXPECT_NEAR(rates->both, 2e8, 2e5);
  EXPECT_LT(b.device.now_ns(), 10'000'000u);
}

TEST(measure, what_holds_up_the_first_copy_does_not_count) {
  simulated_bench b({.bytes_per_second = {50'000'000'000, 50'000'000'000, 0}, .latency_ns = 10'000});
  for (const stream_handle s : {b.ground.in, b.ground.out}) ASSERT_TRUE(b.device.launch(s, 2'000'000));
  const auto rates = measure_copy_rates(b.ground);
  ASSERT_TRUE(rates);
  EXPECT_GT(rates->in, 0.9 * 50e9) << "of copies so small that they are all latency";
}

}  // namespace
}  // namespace pinrail::devices
