// The library's thread is suspended while it moves kept blocks together to make room.
#include "stalled/experiment.hpp"
#include "support/rig.hpp"

namespace pinrail::test {
namespace {

/// Kept and other blocks in turn: two pages in a row are to be had by moves only.
struct fragmented {
  rig r{{.vram_budget = 6 * rig::page_bytes, .high_watermark = 1}};
  named_runtime kept = r.add("kept", 3, rig::page_bytes);
  named_runtime others = r.add("others", 3, rig::page_bytes);
  named_runtime large = r.add("large", 1, 2 * rig::page_bytes);
  residency_guard guard = kept.handle.keep_resident();

  fragmented() {
    for (const block_index b : kept.handle.blocks()) {
      r.run(kept, {b}, {.prefetch_blocks = 0});
      r.run(others, {b}, {.prefetch_blocks = 0});
    }
  }
};

TEST(stalled_move, a_kept_block_reads_as_resident_all_the_time) {
  std::set<std::string> places;
  std::uint64_t moves = 0;
  for (std::uint64_t point = 1; !HasFailure(); ++point) {
    fragmented memory;
    stall here(point, 1);
    std::thread loader([&] {
      const hooked_copies armed(here);
      memory.r.run(memory.large);
      here.end();
    });
    const bool reached = here.await();
    if (reached) places.insert(fmt::format("{}:{}", here.where().file_name(), here.where().line()));
    for (const block_index b : memory.kept.handle.blocks())
      EXPECT_TRUE(memory.kept.handle.is_resident(b)) << "suspended at access " << point << ", " << *places.rbegin();
    here.resume();
    loader.join();
    moves += memory.kept.handle.statistics().moves;
    memory.r.run(memory.kept);
    if (!reached) break;
  }
  fmt::print("{} places, {} moves\n", places.size(), moves);
  EXPECT_GT(places.size(), 30u) << "the move was not among them";
  EXPECT_GE(moves, places.size()) << "nothing was moved";
}

}  // namespace
}  // namespace pinrail::test
