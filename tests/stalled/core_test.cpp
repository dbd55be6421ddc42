// Every operation of the core, suspended before each of its atomic accesses.
#include "stalled/core_world.hpp"
#include "support/seed.hpp"

namespace pinrail::test {
namespace {

using experiment = stalled_experiment<core_world, core_actor>;

struct stalled_core : testing::TestWithParam<core_operation> {};

TEST_P(stalled_core, others_go_on) { report(GetParam(), experiment(core_operations()).run(GetParam())); }

INSTANTIATE_TEST_SUITE_P(operations, stalled_core, testing::ValuesIn(core_operations()), name_of<core_operation>);

/// The only victim there is, and an evictor that was suspended while it looked at it.
TEST(stalled_evictor, does_not_keep_the_block_from_others) {
  using A = core_world::A;
  unsigned points = 0;
  for (std::uint64_t point = 1;; ++point) {
    core::runtime_blocks<A> blocks(std::vector<std::uint64_t>{1});
    core::runtime_word<A> rules;
    ASSERT_TRUE(blocks.at(0).word.begin_load());
    (void)blocks.at(0).word.publish();
    blocks.offer(0);
    const auto evict = [&] {
      const auto outcome = core::evict(blocks.at(0).word, rules, core::requester::other, [] {});
      if (outcome == core::eviction::done) blocks.withdraw(0);
      return outcome == core::eviction::done;
    };
    stall here(point);
    bool first = false;
    std::thread suspended([&] {
      const hooked armed(here);
      first = evict();
      here.end();
    });
    const bool reached = here.await();
    bool second = false;
    if (reached && blocks.at(0).word.load().resident()) {
      core::selection<A> best;
      best.consider_all(0, blocks);  // what a demand does that found no victim at first
      second = best.best().has_value() && evict();
      EXPECT_TRUE(second) << "suspended before access " << point;
    }
    here.resume();
    suspended.join();
    EXPECT_EQ(first + second, 1) << "suspended before access " << point;
    if (!reached) break;
    ++points;
  }
  EXPECT_GE(points, 4u);
}

TEST(several_stalled_in_the_core, others_go_on) {
  std::mt19937_64 random(run_seed());
  for (int i = 0; i < 400 && !testing::Test::HasFailure(); ++i)
    experiment(core_operations()).run_several(2 + static_cast<unsigned>(i % 3), random, 24);
}

}  // namespace
}  // namespace pinrail::test
