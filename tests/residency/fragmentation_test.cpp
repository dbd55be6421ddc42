// A load that fits by bytes after evicting or moving what is not in use does not fail for fragmentation.
#include <random>

#include "pinrail/simulated.hpp"
#include "support/rig.hpp"

namespace pinrail::test {
namespace {

constexpr std::uint64_t unit = 64_KiB;

/// Fills memory with small blocks and protects every other one: half of the memory is free or evictable, and no two
/// pages of it adjoin beyond one block.
struct fragmentation : testing::Test {
  rig r{{.vram_budget = 16 * unit, .high_watermark = 1, .load_deadline = std::chrono::seconds(10)}};
  named_runtime small = r.add("small", 16, unit);
  named_runtime large = r.add("large", 2, 6 * unit);
  stream s = r.device().create_stream();
  void TearDown() override { s.synchronize(); }
};

TEST_F(fragmentation, a_window_of_neighbours_is_evicted_when_it_is_possible) {
  r.run(small);
  r.run(large, {0}, {.prefetch_blocks = 0});
  EXPECT_TRUE(large.handle.is_resident(0));
  EXPECT_EQ(small.handle.statistics().victims_total(), 6u) << "as few as will do";
  EXPECT_EQ(small.handle.statistics().moves, 0u);
}

TEST_F(fragmentation, protected_blocks_move_together) {
  r.run(small);
  auto guard = small.handle.protect_blocks({0, 2, 4, 6, 8, 10, 12, 14});
  r.run(large, {0}, {.prefetch_blocks = 0});
  EXPECT_TRUE(large.handle.is_resident(0));
  EXPECT_GT(small.handle.statistics().moves, 0u);
  for (block_index b = 0; b < 16; b += 2) EXPECT_TRUE(small.handle.is_resident(b)) << b;
  r.run(small, {0, 2, 4, 6, 8, 10, 12, 14}, {.prefetch_blocks = 0});  // their bytes are right where they are now
  EXPECT_EQ(small.handle.statistics().loads, 16u) << "nothing was loaded again";
}

TEST_F(fragmentation, reserved_and_kept_blocks_move_too) {
  auto kept = r.add("kept", 4, unit);
  auto filler = r.add("filler", 8, unit);
  for (block_index b = 0; b < 4; ++b) {
    r.run(kept, {b}, {.prefetch_blocks = 0});
    r.run(filler, {2 * b, 2 * b + 1}, {.prefetch_blocks = 0});
  }
  auto rest = r.sched().budget().reserve_bytes(4 * unit, "workspace", {.with_memory = true});
  auto guard = kept.handle.keep_resident();
  r.run(large, {1}, {.prefetch_blocks = 0});
  EXPECT_TRUE(large.handle.is_resident(1));
  EXPECT_EQ(r.resident(kept).size(), 4u);
  r.run(kept);
  EXPECT_EQ(kept.handle.statistics().loads, 4u);
}

TEST_F(fragmentation, blocks_move_while_their_kernels_still_run) {
  r.run(small);
  gate held;
  {
    auto pass = small.handle.managed_forward(s, {.prefetch_blocks = 0});
    held.hold(s);
    for (block_index b = 0; b < 16; b += 2) r.check(pass.use(b), small, s);
  }
  auto guard = small.handle.protect_blocks({0, 2, 4, 6, 8, 10, 12, 14});
  const stream t = r.device().create_stream();
  {
    auto pass = large.handle.managed_forward(t, {.prefetch_blocks = 0});
    r.check(pass.use(0), large, t);  // moved and loaded, on the device behind the kernels that wait
  }
  r.run(small, {}, {});
  EXPECT_GT(small.handle.statistics().moves, 0u);
  held.open();
  t.synchronize();
}

TEST_F(fragmentation, blocks_in_use_stay_and_others_go_around_them) {
  r.run(small);
  auto pass = small.handle.managed_forward(s, {.prefetch_blocks = 0});
  auto first = pass.use(5);  // two blocks that can't move: five units before, nine between them
  auto second = pass.use(15);
  const void* where = first.device_ptr();
  auto guard = small.handle.protect_blocks({1, 3, 7, 9, 11, 13});
  r.run(large, {0}, {.prefetch_blocks = 0});
  EXPECT_EQ(first.device_ptr(), where);
  r.check(first, small, s);
  r.check(second, small, s);
  EXPECT_TRUE(large.handle.is_resident(0));
  for (const block_index b : {1, 3, 5, 7, 9, 11, 13, 15}) EXPECT_TRUE(small.handle.is_resident(b)) << b;
}

TEST_F(fragmentation, with_more_memory_than_budget_a_load_frees_budget_where_it_is_and_memory_where_it_fits) {
  r.run(small);
  auto odd = small.handle.protect_blocks({1, 3, 5, 7, 9, 11, 13, 15});
  auto bytes = r.sched().budget().reserve_bytes(8 * unit, "kv cache");  // counted only: the even blocks' memory is free
  odd.end();
  ASSERT_EQ(r.resident(small), (std::vector<block_index>{1, 3, 5, 7, 9, 11, 13, 15}));
  r.run(large, {0}, {.prefetch_blocks = 0, .load_deadline = std::chrono::milliseconds(500)});
  EXPECT_TRUE(large.handle.is_resident(0));
  EXPECT_LE(small.handle.statistics().victims_total(), 8u + 6u);
}

/// As above, with blocks that can be written back.
struct fragmentation_by_dirty_blocks : testing::Test {
  rig r{{.vram_budget = 16 * unit, .high_watermark = 1, .load_deadline = std::chrono::seconds(10)}};
  named_runtime small = r.add("small", 16, unit, {.pinned = true, .writable = true});
  named_runtime large = r.add("large", 2, 6 * unit);
  stream s = r.device().create_stream();

  void change(block_index b) {
    auto pass = small.handle.managed_forward(s, {.prefetch_blocks = 0, .wraps = false});
    auto held = pass.use(b);
    held.mark_dirty();
  }
};

TEST_F(fragmentation_by_dirty_blocks, they_are_written_back_until_there_is_a_window) {
  r.run(small);
  for (block_index b = 0; b < 15; ++b) change(b);  // the best victim, 15, is clean, and alone too small
  r.run(large, {0}, {.prefetch_blocks = 0});
  EXPECT_TRUE(large.handle.is_resident(0));
}

TEST_F(fragmentation_by_dirty_blocks, protected_ones_are_written_back_and_move) {
  r.run(small);
  auto guard = small.handle.protect_blocks({0, 2, 4, 6, 8, 10, 12, 14});
  for (block_index b = 0; b < 16; b += 2) change(b);
  r.run(large, {0}, {.prefetch_blocks = 0});
  EXPECT_TRUE(large.handle.is_resident(0));
  EXPECT_GT(small.handle.statistics().moves, 0u);
  for (block_index b = 0; b < 16; b += 2) EXPECT_TRUE(small.handle.is_resident(b)) << b;
}

TEST_F(fragmentation, dirty_neighbours_are_written_back_for_a_larger_block) {
  auto dirty = r.add("dirty", 16, unit, {.pinned = true, .writable = true});
  {
    auto pass = dirty.handle.managed_forward(s, {.prefetch_blocks = 0});
    for (const block_index b : dirty.handle.blocks()) pass.use(b).mark_dirty();
  }
  r.run(large, {0}, {.prefetch_blocks = 0});
  EXPECT_TRUE(large.handle.is_resident(0));
  EXPECT_GE(dirty.handle.statistics().written_back, 6u);
}

// Between two that are kept: a hole of two pages, and two blocks of four. For seven pages both go, and the page that is
// left over joins the hole.
TEST(fragmentation_by_page, what_is_left_over_of_a_window_stays_in_one_piece) {
  rig r{{.vram_budget = 12 * rig::page_bytes, .high_watermark = 1}};
  auto kept = r.add("kept", 2, rig::page_bytes);
  auto gone = r.add("gone", 1, 2 * rig::page_bytes);
  auto four = r.add("four", 2, 4 * rig::page_bytes);
  auto seven = r.add("seven", 1, 7 * rig::page_bytes);
  r.run(kept, {0});
  r.run(gone, {0});
  r.run(four, {0, 1}, {.prefetch_blocks = 0});
  r.run(kept, {1});
  auto guard = kept.handle.keep_resident();
  r.sched().remove_runtime(gone.handle);
  r.run(seven, {0});
  EXPECT_TRUE(seven.handle.is_resident(0));
  EXPECT_TRUE(eventually([&] { return r.sched().statistics().used_bytes == 9 * rig::page_bytes; }));
  EXPECT_EQ(r.sched().statistics().largest_free_bytes, 3 * rig::page_bytes);
}

// The transfer thread rests between two looks at all of memory. What is asked for meanwhile is not forgotten: memory
// goes on being put together, a longer piece each time, as long as that is cheap.
TEST(fragmentation_by_page, is_mended_while_nobody_asks_again) {
  rig r{{.vram_budget = 64 * rig::page_bytes, .high_watermark = 1}};
  auto odd = r.add("odd", 32, rig::page_bytes);
  auto even = r.add("even", 32, rig::page_bytes);
  for (block_index b = 0; b < 32; ++b) {
    r.run(odd, {b}, {.prefetch_blocks = 0});
    r.run(even, {b}, {.prefetch_blocks = 0});
  }
  r.sched().remove_runtime(even.handle);
  auto two = r.add("two", 1, 2 * rig::page_bytes);
  r.run(two, {0});
  EXPECT_TRUE(eventually([&] { return r.sched().statistics().largest_free_bytes >= 16 * rig::page_bytes; }));
  EXPECT_GE(odd.handle.statistics().resident_blocks, 30u) << "none went but those in whose place the two pages are";
}

// Thirty streams' kernels still use the free pages, more than a load keeps apart, and the device refuses to join them.
TEST(fragmentation_by_page, a_load_that_could_not_wait_for_free_pages_gives_none_back_that_it_never_had) {
  constexpr std::uint32_t pages = 30;
  rig r{{.vram_budget = pages * rig::page_bytes, .high_watermark = 1}};
  auto small = r.add("small", pages, rig::page_bytes);
  auto large = r.add("large", 1, pages * rig::page_bytes);
  gate held;
  std::vector<stream> streams;
  for (block_index b = 0; b < pages; ++b) {
    streams.push_back(r.device().create_stream());
    auto pass = small.handle.managed_forward(streams.back(), {.prefetch_blocks = 0});
    const auto used = pass.use(b);
    held.hold(streams.back());
    r.check(used, small, streams.back());
  }
  r.sched().remove_runtime(small.handle);
  for (std::uint64_t i = 0; i < 2000; ++i)
    emulated::inject(r.device(), {.where = emulated::call::wait_event, .after = i});
  const stream s = r.device().create_stream();
  {
    auto pass = large.handle.managed_forward(s, {.prefetch_blocks = 0, .load_deadline = std::chrono::milliseconds(20)});
    EXPECT_EQ(pass.try_use(0).code(), errc::no_victim);
  }
  emulated::clear_faults(r.device());
  EXPECT_EQ(large.handle.statistics().resident_bytes, 0u);
  EXPECT_EQ(r.sched().statistics().used_bytes, pages * rig::page_bytes);
  held.open();
  r.run(large);
  for (const stream& used : streams) used.synchronize();
  EXPECT_NO_THROW(r.sched().remove_runtime(large.handle));
  EXPECT_TRUE(eventually([&] { return r.sched().statistics().used_bytes == 0; }));
}

TEST_F(fragmentation, eight_threads_mix_sizes_under_pressure) {
  auto odd = r.add("odd", {5000, 3 * unit, unit / 2, 2 * unit + 1, unit, 4 * unit, 7000, unit});
  auto guard = odd.handle.protect_blocks({2, 6});
  on_threads(8, [&](int t) {
    const std::vector<const named_runtime*> all{&small, &large, &odd};
    for (int i = 0; i < 8; ++i) r.run(*all[static_cast<std::size_t>(t + i) % 3]);
  });
}

/// Without bytes, and on a clock of its own.
struct simulated_fragmentation : testing::Test {
  static constexpr std::uint64_t kernel_ns = 5'000'000;
  std::shared_ptr<device> dev = open_device("simulated:vram=1GiB,h2d=25GB/s,d2h=25GB/s,d2d=1TB/s");
  stream s = dev->create_stream();

  static runtime add(scheduler& sched, const char* name, std::uint32_t count, std::uint64_t size_bytes) {
    std::vector<block_info> blocks;
    for (std::uint32_t b = 0; b < count; ++b) blocks.push_back({std::to_string(b), size_bytes, {}});
    return sched.add_runtime(
        name, model_from_callback(blocks, [](block_index, std::uint64_t, std::span<std::byte>) { return true; }));
  }
  void walk(const runtime& r, int times, std::uint64_t duration_ns = kernel_ns) {
    auto pass = r.managed_forward(s);
    for (int i = 0; i < times; ++i)
      for (const block_index b : r.blocks()) {
        auto held = pass.use(b);
        simulated::launch(s, duration_ns);
      }
  }
};

// Blocks of a model that fits leave holes that no block of the next one fits into. Memory is moved together rather than
// the model's own blocks evicted again and again.
TEST_F(simulated_fragmentation, a_model_that_fits_stays_after_others_of_other_sizes) {
  scheduler sched(*dev, {.high_watermark = 1});
  const runtime small = add(sched, "small", 25, 40_MiB);
  const runtime large = add(sched, "large", 15, 64_MiB);
  walk(small, 1);
  for (int round = 0; round < 3; ++round) {
    walk(large, 6);
    const std::uint64_t before = large.statistics().loads;
    walk(large, 6);
    EXPECT_EQ(large.statistics().loads, before) << "960 MiB of 1 GiB, and nothing else is in use";
    walk(small, 2);
  }
  EXPECT_GT(large.statistics().moves + small.statistics().moves, 0u);
}

/// Models of five sizes of blocks that take each other's place: each leaves holes.
struct models_in_turn : simulated_fragmentation {
  scheduler sched{*dev, {.high_watermark = 1}};
  std::vector<runtime> models{add(sched, "a", 30, 13_MiB), add(sched, "b", 17, 21_MiB), add(sched, "c", 11, 37_MiB),
                              add(sched, "d", 7, 53_MiB), add(sched, "e", 25, 17_MiB)};
  std::mt19937 random{1};

  const runtime& any() { return models[random() % models.size()]; }
};

// Blocks that may be needed again are not evicted where as much is free in pieces that can be put together for little.
TEST_F(models_in_turn, keep_what_would_be_free_in_pieces) {
  double free = 0;
  constexpr int requests = 200;
  for (int i = 0; i < requests; ++i) {
    walk(any(), 2);
    s.synchronize();
    const auto now = sched.statistics();
    free += static_cast<double>(now.budget_bytes - now.used_bytes) / static_cast<double>(now.budget_bytes) / requests;
  }
  std::uint64_t moves = 0;
  std::uint64_t loads = 0;
  for (const runtime& m : models) {
    moves += m.statistics().moves;
    loads += m.statistics().loads;
  }
  EXPECT_LT(free, 0.085);
  EXPECT_LT(moves, loads / 2) << "no more is moved than that is worth";
}

// A load into what a move leaves has to wait for the move, which would have to wait for kernels.
TEST_F(models_in_turn, never_wait_for_moves_of_blocks_in_use) {
  constexpr std::uint64_t short_kernel_ns = 200'000;
  std::uint64_t kernels = 0;
  for (int i = 0; i < 200; ++i) {
    const runtime& m = any();
    walk(m, 10, short_kernel_ns);
    kernels += 10 * m.blocks().size();
  }
  s.synchronize();
  // 1.07 with moves or without; 1.09 with moves of blocks in use.
  EXPECT_LT(static_cast<double>(dev->now_ns()), 1.08 * static_cast<double>(kernels * short_kernel_ns));
}

// Between a look at memory and a claim a runtime may go, and one with fewer blocks get its index.
TEST_F(simulated_fragmentation, a_runtime_that_is_replaced_by_a_smaller_one_is_not_asked_for_blocks_it_never_had) {
  constexpr std::uint64_t page = 4_KiB;
  constexpr std::uint32_t many = 4000;
  std::function<void()> replace;
  scheduler sched(*dev, {.vram_budget = (many + 1) * page,
                         .high_watermark = 1,
                         .page_bytes = page,
                         .log = [&](log_level, std::string_view text) {
                           if (text.find("extreme") != text.npos && replace) std::exchange(replace, nullptr)();
                         }});
  const runtime reserved = add(sched, "reserved", 1, page);
  runtime leaves = add(sched, "leaves", many, page);
  const runtime large = add(sched, "large", 1, (many + 1) * page);
  runtime comes;
  {
    auto pass = reserved.managed_forward(s, {.prefetch_blocks = 0});
    pass.use(0).end();
  }
  const auto reservation = reserved.reserve_for_resident({.priority = priority::secondary, .bytes = page});
  walk(leaves, 1);
  sched.synchronize();
  s.synchronize();
  replace = [&] {  // in the middle of a window of all blocks
    sched.remove_runtime(leaves);
    comes = add(sched, "comes", 1, page);
  };
  auto pass = large.managed_forward(s, {.prefetch_blocks = 0});
  pass.use(0).end();
  EXPECT_EQ(replace, nullptr);
  EXPECT_FALSE(comes.is_resident(0));
  EXPECT_EQ(sched.statistics().used_bytes, sched.statistics().budget_bytes);
}

// A live block makes room, and a hole and an idle block are beside it. Neither is needed, and both stay as they are.
TEST_F(simulated_fragmentation, a_window_takes_nothing_that_it_does_not_need) {
  constexpr std::uint64_t page = 4_KiB;
  scheduler sched(*dev, {.vram_budget = 108 * page, .high_watermark = 1, .paced_plans = false, .page_bytes = page});
  const auto load = [&](const runtime& r) {
    auto pass = r.managed_forward(s, {.prefetch_blocks = 0});
    pass.use(0).end();
  };
  runtime low = add(sched, "low", 1, page);
  runtime live = add(sched, "live", 1, 100 * page);
  runtime hole = add(sched, "hole", 1, 5 * page);
  runtime idle = add(sched, "idle", 1, page);
  runtime high = add(sched, "high", 1, page);
  runtime large = add(sched, "large", 1, 98 * page);
  load(low);
  {
    auto pass = live.managed_forward(s, {.prefetch_blocks = 0});
    pass.use(0).end();
    for (const runtime* r : {&hole, &idle, &high}) load(*r);
    sched.synchronize();
    const auto keep_low = low.keep_resident();
    const auto keep_high = high.keep_resident();
    sched.remove_runtime(hole);
    load(large);
    EXPECT_TRUE(idle.is_resident(0));
    EXPECT_EQ(sched.statistics().used_bytes, 101 * page);
  }
  for (runtime* r : {&low, &live, &idle, &high, &large}) sched.remove_runtime(*r);
  s.synchronize();
  EXPECT_EQ(sched.statistics().used_bytes, 0u);
  const runtime all = add(sched, "all", 1, 108 * page);
  load(all);
  EXPECT_TRUE(all.is_resident(0));
}

// Idle blocks lie between slots that are always busy: they go, and what is free around them moves to where it helps.
TEST_F(simulated_fragmentation, a_plan_gets_what_idle_models_still_have) {
  constexpr std::uint64_t part = 16_KiB;
  scheduler sched(*dev, {.vram_budget = 24'600 * part, .high_watermark = 1});
  const runtime small = add(sched, "small", 50, 427 * part);
  const runtime smaller = add(sched, "smaller", 80, 270 * part);
  const runtime large = add(sched, "large", 48, 737 * part);
  for (const auto& before : {std::vector{&small}, {&smaller}, {&small, &smaller}, {&smaller, &small, &smaller}}) {
    for (const runtime* r : before) walk(*r, 3);
    walk(large, 12);
    const std::uint64_t loads = large.statistics().loads;
    walk(large, 4);
    EXPECT_EQ(large.statistics().loads - loads, 4 * large.statistics().plan.streamed_blocks);
  }
}

/// More blocks than are searched everywhere at once (room.cpp): first around the best victim, the last block.
struct fragmentation_of_very_many : simulated_fragmentation {
  static constexpr std::uint64_t page = 4_KiB;
  static constexpr std::uint32_t blocks = 5000;
  scheduler sched{*dev, {.vram_budget = blocks * page, .high_watermark = 1, .page_bytes = page}};
  runtime small = add(sched, "small", blocks, page);
  runtime large = add(sched, "large", 1, 6 * page);

  void load_large() {
    auto pass = large.managed_forward(s, {.prefetch_blocks = 0});
    pass.use(0).end();
  }
};

TEST_F(fragmentation_of_very_many, a_window_around_it_is_found_first) {
  walk(small, 1);
  load_large();
  EXPECT_EQ(small.statistics().victims_total(), 6u);
  for (block_index b = 0; b < blocks - 64 * 6 - 1; ++b) EXPECT_TRUE(small.is_resident(b)) << b;
}

TEST_F(fragmentation_of_very_many, where_its_neighbours_stay_a_window_far_away_is_found) {
  walk(small, 1);
  std::vector<block_index> odd;
  for (block_index b = 1; b < blocks; b += 2)
    if (b < 100 || b > 106) odd.push_back(b);
  auto guard = small.protect_blocks(odd);
  load_large();
  EXPECT_EQ(small.statistics().victims_total(), 6u);
  EXPECT_EQ(small.statistics().moves, 0u);
  for (const block_index b : {102u, 103u, 104u, 105u}) EXPECT_FALSE(small.is_resident(b)) << b;
}

}  // namespace
}  // namespace pinrail::test
