// Which idle runtime gives its blocks first, with either option; on a virtual clock.
#include <gtest/gtest.h>

#include "pinrail/pinrail.hpp"
#include "pinrail/simulated.hpp"

namespace pinrail::test {
namespace {

struct idle_order_of : testing::TestWithParam<idle_order> {
  std::shared_ptr<device> dev = open_device("simulated:vram=1GiB,h2d=25GB/s,d2h=25GB/s");
  scheduler sched{*dev, {.vram_budget = 200_MiB, .high_watermark = 1, .idle_order = GetParam()}};
  stream s = dev->create_stream();
  runtime seldom = add("seldom");
  runtime often = add("often");

  runtime add(const char* name) {
    return sched.add_runtime(
        name, model_from_callback({{"block", 100_MiB, {}}},
                                  [](block_index, std::uint64_t, std::span<std::byte>) { return true; }));
  }
  void use(const runtime& r) {
    auto pass = r.managed_forward(s);
    auto held = pass.use(0);
    simulated::launch(s, 1'000'000);
  }
  void wait_ms(std::uint64_t ms) {
    simulated::launch(s, ms * 1'000'000);
    s.synchronize();
  }
};

INSTANTIATE_TEST_SUITE_P(options, idle_order_of,
                         testing::Values(idle_order::least_recently_used, idle_order::rarely_used_first));

TEST_P(idle_order_of, decides_between_what_is_used_seldom_and_what_is_used_often) {
  use(seldom);
  for (int i = 0; i < 10; ++i) {
    wait_ms(100);
    use(often);
  }
  wait_ms(20);
  use(seldom);  // a second after its use before
  wait_ms(20);
  use(add("third"));
  const bool recency = GetParam() == idle_order::least_recently_used;
  EXPECT_EQ(seldom.is_resident(0), recency);
  EXPECT_EQ(often.is_resident(0), !recency);
}

TEST_P(idle_order_of, spares_what_was_used_just_now) {
  use(seldom);
  for (int i = 0; i < 10; ++i) {
    wait_ms(100);
    use(often);
  }
  wait_ms(20);
  use(seldom);
  use(add("third"));  // its copy would have to wait for the kernels of what it replaces
  EXPECT_TRUE(seldom.is_resident(0));
  EXPECT_FALSE(often.is_resident(0));
}

}  // namespace
}  // namespace pinrail::test
