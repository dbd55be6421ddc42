// Rule 10: resident + loading + not-yet-reusable bytes never exceed the budget, at any instant, under any
// interleaving; reserved + guest shares never exceed it either.
#include <random>

#include "support/rig.hpp"
#include "support/seed.hpp"

namespace pinrail::test {
namespace {

constexpr std::uint64_t block_bytes = 64_KiB;

TEST(rule_10, never_exceeded_while_eight_threads_do_everything) {
  const std::uint64_t seed = run_seed();
  rig r{{.vram_budget = 24 * block_bytes,
         .max_vram_budget = 32 * block_bytes,
         .load_deadline = std::chrono::seconds(60)}};
  std::vector<named_runtime> all;
  for (int i = 0; i < 4; ++i)
    all.push_back(r.add("model " + std::to_string(i), 6 + 4 * static_cast<std::size_t>(i), block_bytes));
  core::atomic<bool> done{false};
  std::thread watcher([&] {
    while (!done.load(core::order::acquire)) {
      const statistics s = r.sched().statistics();
      EXPECT_LE(s.used_bytes, s.budget_bytes);
      EXPECT_LE(s.reserved_bytes, 32 * block_bytes);
    }
  });
  on_threads(8, [&](int t) {
    std::mt19937_64 random(seed + static_cast<std::uint64_t>(t));
    for (int i = 0; i < 30; ++i) {
      const named_runtime& mine = all[random() % all.size()];
      switch (random() % 5) {
        case 0: {
          auto scope = mine.handle.try_as_guest(mine.handle);
          r.run(mine);
          break;
        }
        case 1: {
          auto held = mine.handle.try_reserve_for_resident({.bytes = 4 * block_bytes, .allow_partial = true});
          r.run(mine);
          if (held) (*held).release();
          break;
        }
        case 2: {
          auto bytes = r.sched().budget().try_reserve_bytes(random() % 3 * block_bytes, "workspace");
          r.run(mine);
          break;
        }
        case 3: {
          const std::uint64_t budget = (20 + random() % 13) * block_bytes;
          (void)r.sched().try_set_vram_budget(budget, std::chrono::milliseconds(200));
          break;
        }
        default:
          r.run(mine);
      }
    }
  });
  done.store(true, core::order::release);
  watcher.join();
  EXPECT_LE(r.sched().statistics().peak_used_bytes, 32 * block_bytes);
}

TEST(rule_10, bytes_that_are_not_reusable_yet_count) {
  rig r{{.vram_budget = 4 * block_bytes,
         .max_vram_budget = 8 * block_bytes,
         .high_watermark = 1,
         .load_deadline = std::chrono::milliseconds(200)}};
  auto a = r.add("a", 4, block_bytes);
  auto b = r.add("b", 4, 2 * block_bytes);
  const stream s = r.device().create_stream();
  gate held;
  {
    auto scope = a.handle.as_guest(a.handle);
    auto pass = a.handle.managed_forward(s, {.wraps = false});
    held.hold(s);
    for (block_index i : a.handle.blocks()) r.check(pass.use(i), a, s);
  }
  EXPECT_EQ(r.sched().statistics().used_bytes, 4 * block_bytes) << "freed, but its kernels have not run";
  // Twice the budget is there, and half of it free. Other pages than those that drain would exceed the budget.
  const stream t = r.device().create_stream();
  auto pass = b.handle.managed_forward(t, {.prefetch_blocks = 0});
  r.check(pass.use(0), b, t);
  r.check(pass.use(1), b, t);
  EXPECT_LE(r.sched().statistics().peak_used_bytes, 4 * block_bytes);
  held.open();
  t.synchronize();
  s.synchronize();
}

TEST(rule_10, reserved_bytes_come_out_of_the_budget) {
  rig r{{.vram_budget = 8 * block_bytes, .high_watermark = 1, .load_deadline = std::chrono::milliseconds(200)}};
  auto a = r.add("a", 8, block_bytes);
  r.run(a);
  auto bytes = r.sched().budget().reserve_bytes(3 * block_bytes, "kv cache");
  EXPECT_EQ(bytes.size_bytes(), 3 * block_bytes);
  EXPECT_EQ(r.resident(a).size(), 5u) << "three blocks made room";
  EXPECT_EQ(r.sched().statistics().used_bytes, 8 * block_bytes);
  r.run(a);
  const error e = caught([&] { (void)r.sched().budget().reserve_bytes(6 * block_bytes, "more"); });
  EXPECT_EQ(e.code(), errc::insufficient_headroom);
  EXPECT_NE(std::string(e.what()).find("kv cache: bytes reserved"), std::string::npos) << e.what();
  bytes.end();
  r.run(a);
  EXPECT_EQ(r.resident(a).size(), 8u);
}

TEST(rule_10, bytes_that_end_are_there_for_the_next_pass) {
  // The plan for what was left is not replaced at once, and must not make the pass after it evict for its slots.
  rig r{{.vram_budget = 8 * block_bytes, .high_watermark = 1}};
  auto a = r.add("a", 8, block_bytes);
  for (int round = 0; round < 40; ++round) {
    auto bytes = r.sched().budget().reserve_bytes(3 * block_bytes, "kv cache");
    r.run(a);
    r.run(a);
    bytes.end();
    r.run(a);
    ASSERT_EQ(r.resident(a).size(), 8u) << round;
  }
}

TEST(rule_10, reserved_bytes_with_memory_are_contiguous_and_untouched) {
  rig r{{.vram_budget = 8 * block_bytes, .high_watermark = 1}};
  auto a = r.add("a", 12, block_bytes);
  r.run(a);
  auto bytes = r.sched().budget().reserve_bytes(3 * block_bytes, "workspace", {.with_memory = true});
  ASSERT_NE(bytes.device_ptr(), nullptr);
  std::memset(bytes.device_ptr(), 0x5a, bytes.size_bytes());
  r.run(a);
  const auto* data = static_cast<const unsigned char*>(bytes.device_ptr());
  for (std::uint64_t i = 0; i < bytes.size_bytes(); ++i) ASSERT_EQ(data[i], 0x5a) << i;
}

TEST(rule_10, the_budget_shrinks_and_grows_while_it_is_full) {
  // Without plans: one that was made for the small budget is followed for a while after it has grown.
  rig r{{.vram_budget = 8 * block_bytes,
         .max_vram_budget = 16 * block_bytes,
         .high_watermark = 1,
         .load_deadline = std::chrono::milliseconds(100),
         .paced_plans = false}};
  auto a = r.add("a", 16, block_bytes);
  r.run(a);
  r.sched().set_vram_budget(4 * block_bytes);
  EXPECT_EQ(r.resident(a).size(), 4u);
  EXPECT_EQ(r.sched().statistics().budget_bytes, 4 * block_bytes);
  r.run(a);
  r.sched().set_vram_budget(16 * block_bytes);
  r.run(a);
  EXPECT_EQ(r.resident(a).size(), 16u);
  EXPECT_EQ(caught([&] { r.sched().set_vram_budget(17 * block_bytes); }).code(), errc::too_large);
  EXPECT_EQ(caught([&] { r.sched().set_vram_budget(100); }).code(), errc::invalid_argument);
  const auto reserved = a.handle.reserve_for_resident({.bytes = 10 * block_bytes});
  const error e = caught([&] { r.sched().set_vram_budget(9 * block_bytes); });
  EXPECT_EQ(e.code(), errc::insufficient_headroom);
  EXPECT_EQ(r.sched().statistics().budget_bytes, 16 * block_bytes) << "nothing changed";
}

TEST(rule_10, a_budget_below_what_is_pinned_is_refused_and_names_who_pins) {
  rig r{{.vram_budget = 8 * block_bytes, .high_watermark = 1}};
  auto a = r.add("a", 8, block_bytes);
  const stream s = r.device().create_stream();
  auto pass = a.handle.managed_forward(s, {.prefetch_blocks = 0});
  std::vector<use> held;
  for (block_index b = 0; b < 6; ++b) held.push_back(pass.use(b));
  const error e = caught([&] { r.sched().set_vram_budget(4 * block_bytes, std::chrono::milliseconds(50)); });
  EXPECT_EQ(e.code(), errc::no_victim);
  ASSERT_FALSE(e.blockers().empty());
  EXPECT_EQ(e.blockers().front().name, "a");
  EXPECT_EQ(e.blockers().front().why, blocker::reason::pinned);
  EXPECT_EQ(e.blockers().front().bytes, 6 * block_bytes);
  EXPECT_EQ(r.sched().statistics().budget_bytes, 8 * block_bytes) << "the old budget stays";
  for (block_index b = 6; b < 8; ++b) held.push_back(pass.use(b));
  held.clear();
  r.sched().set_vram_budget(4 * block_bytes);
}

}  // namespace
}  // namespace pinrail::test
