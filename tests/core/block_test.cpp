// Blocks: their layout, and threads that pin, protect, evict and load them, with real bytes (W1-W3, R1).
#include "core/block.hpp"

#include <gtest/gtest.h>

#include <array>
#include <numeric>
#include <random>
#include <thread>

#include "core/claim.hpp"
#include "support/seed.hpp"
#include "support/threads.hpp"

namespace pinrail::test {
namespace {

using block = core::block<core::native_atomics>;

TEST(block, is_absent_with_no_extent_and_no_uses_at_first) {
  const block b;
  EXPECT_TRUE(b.word.load().absent());
  EXPECT_EQ(b.run(), (core::page_run{0, 0}));
  EXPECT_FALSE(core::ticket(b.ready.load(core::order::relaxed)));
  for (std::size_t i = 0; i < b.uses.capacity; ++i) EXPECT_FALSE(b.uses.read(i));
}

TEST(block, keeps_the_extent_that_was_set_to_its_limits) {
  block b;
  for (const std::uint32_t first : {0u, 1u, UINT32_MAX}) {
    for (const std::uint32_t count : {0u, 1u, 0x80000000u, UINT32_MAX}) {
      b.set_run({first, count});
      EXPECT_EQ(b.run(), (core::page_run{first, count}));
    }
  }
}

TEST(block, shares_no_cache_line_with_its_neighbour) {
  const std::array<block, 3> blocks;
  for (const block& b : blocks) EXPECT_EQ(reinterpret_cast<std::uintptr_t>(&b) % core::cache_line_bytes, 0u);
  EXPECT_EQ(sizeof(blocks), blocks.size() * core::cache_line_bytes);
}

// ---- threads ----------------------------------------------------------------------------------------------------

/// Blocks of one page in an arena with room for some of them. What a page holds tells its block; poison tells none.
struct small_arena {
  static constexpr std::uint32_t blocks = 6, pages = 3;
  static constexpr std::uint64_t poison = ~std::uint64_t{0};

  std::array<core::block<core::native_atomics>, blocks> block;
  core::runtime_word<core::native_atomics> rules;
  core::page_map<core::native_atomics> map{pages};
  std::array<std::uint64_t, pages> memory{};

  [[nodiscard]] bool load(std::uint32_t b) {
    if (!block[b].word.begin_load()) return false;
    const core::page_run run = map.take_best(1);
    if (run.count == 0) {
      block[b].word.abandon_load();
      return false;
    }
    memory[run.first] = b;
    block[b].set_run(run);
    block[b].word.publish();
    return true;
  }
  [[nodiscard]] bool evict(std::uint32_t b, core::requester who) {
    core::page_run run;
    const auto outcome = core::evict(block[b].word, rules, who, [&] { run = block[b].run(); });
    if (outcome != core::eviction::done) return false;
    memory[run.first] = poison;
    map.give(run);
    return true;
  }
  [[nodiscard]] bool holds_its_bytes(std::uint32_t b) const { return memory[block[b].run().first] == b; }
};

/// What one thread does with one block, stopping in between now and then. True if it evicted it.
bool step_of_thread(small_arena& a, std::uint32_t b, std::uint64_t choice) {
  auto& w = a.block[b].word;
  core::block_bits seen;
  const auto expect_bytes = [&](bool stays, const char* why) {
    EXPECT_TRUE(!stays || a.holds_its_bytes(b)) << why;
    if (choice / 8 % 64 == 0) std::this_thread::yield();
    EXPECT_TRUE(!stays || a.holds_its_bytes(b)) << why;
  };
  switch (choice % 8) {
    case 0:
      EXPECT_TRUE(w.protect(seen));
      expect_bytes(w.load().resident(), "protected");
      w.unprotect();
      return false;
    case 1:
      EXPECT_TRUE(a.rules.guard());
      expect_bytes(w.seen_resident(), "seen under a guard");
      a.rules.unguard();
      return false;
    case 2:
      return a.evict(b, core::requester::owner);
    case 3:
      return a.evict(b, core::requester::other);
    default:
      if (w.pin() == core::pin_outcome::waiting) (void)a.load(b);
      expect_bytes(w.load().resident(), "pinned");
      w.unpin();
      return false;
  }
}

TEST(block, threads_that_pin_load_and_evict_always_find_the_bytes_of_their_block) {
  const std::uint64_t seed = run_seed();
  small_arena a;
  std::array<int, 4> evictions{};
  on_threads(4, [&](int t) {
    std::mt19937_64 random(seed + static_cast<std::uint64_t>(t));
    for (int i = 0; i < 15'000; ++i) {
      const auto b = static_cast<std::uint32_t>(random() % small_arena::blocks);
      evictions[static_cast<std::size_t>(t)] += step_of_thread(a, b, random());
    }
  });
  EXPECT_GT(std::accumulate(evictions.begin(), evictions.end(), 0), 0);
  std::uint32_t resident = 0;
  for (std::uint32_t b = 0; b < small_arena::blocks; ++b) {
    EXPECT_EQ(a.block[b].word.load().pins(), 0u);
    EXPECT_EQ(a.block[b].word.load().protections(), 0u);
    EXPECT_FALSE(a.block[b].word.load().claimed());
    resident += a.block[b].word.load().resident();
    while (a.evict(b, core::requester::owner)) {
    }
  }
  EXPECT_LE(resident, small_arena::pages);
  for (std::uint32_t p = 0; p < small_arena::pages; ++p) EXPECT_FALSE(a.map.taken(p)) << "every page came back";
}

}  // namespace
}  // namespace pinrail::test
