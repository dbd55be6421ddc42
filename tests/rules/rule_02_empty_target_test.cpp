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

}  // namespace
}  // namespace pinrail::test
