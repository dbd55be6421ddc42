// Rule 2: a target with no blocks logs a warning and gives an inert guard.
#include "support/rig.hpp"

namespace pinrail::test {
namespace {

TEST(rule_02, a_target_without_blocks_gives_an_inert_guard_and_a_warning) {
  rig r{{.vram_budget = 1_MiB}};
  const runtime empty = r.sched().add_runtime("empty", model());
  auto guard = empty.keep_resident();
  EXPECT_FALSE(guard.active());
  EXPECT_TRUE(r.logged("no blocks"));
  EXPECT_EQ(empty.statistics().guards, 0u);
  guard.end();
  r.sched().remove_runtime(empty);
}

TEST(rule_02, eight_threads_get_inert_guards_each_with_a_warning) {
  rig r{{.vram_budget = 1_MiB}};
  const runtime empty = r.sched().add_runtime("empty", model());
  on_threads(8, [&](int) {
    for (int i = 0; i < 10; ++i) EXPECT_FALSE(empty.keep_resident().active());
  });
  EXPECT_EQ(r.log().size(), 80u);
  r.sched().remove_runtime(empty);
}

}  // namespace
}  // namespace pinrail::test
