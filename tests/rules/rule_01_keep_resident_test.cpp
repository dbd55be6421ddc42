// Rule 1: from the return of keep_resident until the guard ends, nobody, the target included, chooses a block of the
// target as a victim. Guards nest, overlap across threads, compose; they move, end on other threads and on exceptions.
#include "support/rig.hpp"

namespace pinrail::test {
namespace {

constexpr std::uint64_t block_bytes = 256_KiB;

// A budget of 8 blocks; the target has 4, another runtime 16.
struct rule_01 : testing::Test {
  rig r{{.vram_budget = 8 * block_bytes, .high_watermark = 1}};
  named_runtime kept = r.add("kept", 4, block_bytes);
  named_runtime other = r.add("other", 16, block_bytes);
  std::vector<block_index> all{0, 1, 2, 3};
};

TEST_F(rule_01, nobody_evicts_a_kept_runtime) {
  r.run(kept);
  {
    auto guard = other.handle.keep_resident(kept.handle);
    r.run(other);
    r.run(other);
    EXPECT_EQ(r.resident(kept), all);
    EXPECT_EQ(kept.handle.statistics().victims_total(), 0u);
    EXPECT_EQ(kept.handle.statistics().guards, 1u);
  }
  r.run(other);
  EXPECT_LT(r.resident(kept).size(), 4u) << "after the guard its blocks are victims again";
}

TEST_F(rule_01, not_even_the_target_itself) {
  auto big = r.add("big", 12, block_bytes);
  auto guard = big.handle.keep_resident();
  const stream s = r.device().create_stream();
  auto pass = big.handle.managed_forward(s, {.prefetch_blocks = 0, .load_deadline = std::chrono::milliseconds(50)});
  for (block_index b = 0; b < 8; ++b) r.check(pass.use(b), big, s);
  const error e = caught([&] { (void)pass.use(8); });
  EXPECT_EQ(e.code(), errc::no_victim);
  EXPECT_EQ(big.handle.statistics().victims_total(), 0u);
  guard.end();
  r.check(pass.use(8), big, s);
  s.synchronize();
}

TEST_F(rule_01, it_protects_what_gets_loaded_later) {
  auto guard = kept.handle.keep_resident();
  r.run(kept);
  r.run(other);
  EXPECT_EQ(r.resident(kept), all);
}

TEST_F(rule_01, load_also_loads) {
  auto guard = kept.handle.keep_resident({.load = true});
  EXPECT_EQ(r.resident(kept), all);
  r.run(other);
  EXPECT_EQ(r.resident(kept), all);
  EXPECT_EQ(kept.handle.statistics().loads, 4u);
}

TEST_F(rule_01, load_has_its_deadline_for_each_block_and_not_for_all) {
  // In virtual time: 48 copies of 2.7 ms, and a deadline of 20.
  auto dev = open_device("simulated:vram=4GiB,h2d=25GB/s");
  scheduler sched(*dev, {.load_deadline = std::chrono::milliseconds(20)});
  std::vector<block_info> blocks;
  for (int b = 0; b < 48; ++b) blocks.push_back({"block." + std::to_string(b), 64_MiB, {}});
  const runtime slow = sched.add_runtime(
      "slow", model_from_callback(blocks, [](block_index, std::uint64_t, std::span<std::byte>) { return false; }));
  auto guard = slow.keep_resident({.load = true});
  EXPECT_EQ(slow.statistics().resident_blocks, 48u);
  EXPECT_GT(dev->now_ns(), 100'000'000u);
}

TEST_F(rule_01, load_that_cant_succeed_protects_nothing) {
  rig tight{{.vram_budget = 4 * block_bytes, .load_deadline = std::chrono::milliseconds(50)}};
  auto large = tight.add("large", 6, block_bytes);
  EXPECT_EQ(caught([&] { (void)large.handle.keep_resident({.load = true}); }).code(), errc::no_victim);
  EXPECT_EQ(large.handle.statistics().guards, 0u);
}

TEST_F(rule_01, guards_nest) {
  r.run(kept);
  auto outer = kept.handle.keep_resident();
  { auto inner = other.handle.keep_resident(kept.handle); }
  r.run(other);
  EXPECT_EQ(r.resident(kept), all) << "the inner guard's end must not end the outer one";
}

TEST_F(rule_01, the_first_of_eight_overlapping_guards_to_end_unprotects_nothing) {
  r.run(kept);
  std::vector<residency_guard> guards(8);
  on_threads(8, [&](int i) { guards[static_cast<std::size_t>(i)] = other.handle.keep_resident(kept.handle); });
  for (std::size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(kept.handle.statistics().guards, 8 - i);
    r.run(other);
    ASSERT_EQ(r.resident(kept), all) << i << " guards ended";
    std::thread([guard = std::move(guards[i])] {}).join();  // ends on another thread
  }
  EXPECT_EQ(kept.handle.statistics().guards, 0u);
}

TEST_F(rule_01, guards_end_on_exceptions_and_move) {
  try {
    residency_guard a = kept.handle.keep_resident();
    residency_guard b = std::move(a);
    EXPECT_FALSE(a.active());  // NOLINT: what is left of a moved guard
    EXPECT_TRUE(b.active());
    throw std::runtime_error("unwind");
  } catch (const std::runtime_error&) {
  }
  EXPECT_EQ(kept.handle.statistics().guards, 0u);
  auto c = kept.handle.keep_resident();
  c.end();
  c.end();
  EXPECT_EQ(kept.handle.statistics().guards, 0u);
}

TEST_F(rule_01, a_guard_that_is_assigned_to_ends_what_it_held) {
  auto a = kept.handle.keep_resident();
  auto b = other.handle.keep_resident();
  a = std::move(b);
  EXPECT_EQ(kept.handle.statistics().guards, 0u);
  EXPECT_EQ(other.handle.statistics().guards, 1u);
  EXPECT_FALSE(b.active());  // NOLINT: what is left of a moved guard
  auto c = kept.handle.protect_blocks({0});
  auto d = kept.handle.protect_blocks({1});
  c = std::move(d);
  r.run(kept);
  r.run(other, {0, 1, 2, 3, 4, 5, 6}, {.prefetch_blocks = 0});
  EXPECT_EQ(r.resident(kept), std::vector<block_index>{1});
}

TEST_F(rule_01, so_do_guests_byte_reservations_uses_passes_and_streams) {
  auto guest = kept.handle.as_guest();
  auto bytes = r.sched().budget().reserve_bytes(block_bytes, "one");
  auto more = r.sched().budget().reserve_bytes(2 * block_bytes, "two");
  guest = other.handle.try_as_guest(other.handle) ? guest_guard() : guest_guard();
  bytes = std::move(more);
  EXPECT_EQ(r.sched().budget().reserved_bytes(), 2 * block_bytes);
  stream s = r.device().create_stream();
  stream t = r.device().create_stream();
  auto pass = kept.handle.managed_forward(s);
  auto next = kept.handle.managed_forward(s);
  auto held = next.use(0);
  auto second = next.use(1);
  held = std::move(second);
  pass = std::move(next);  // and not the other one: that is where the use is
  EXPECT_EQ(held.block(), 1u);
  held.end();
  pass.end();
  const auto streams = emulated::live_resources(r.device()).streams;
  s = std::move(t);
  EXPECT_EQ(emulated::live_resources(r.device()).streams, streams - 1);
  r.sched().remove_runtime(kept.handle);  // nothing is left that uses it
}

TEST_F(rule_01, protect_blocks_protects_the_chosen_ones_only) {
  r.run(kept);
  auto guard = kept.handle.protect_blocks({1, 3});
  r.run(other);
  EXPECT_EQ(r.resident(kept), (std::vector<block_index>{1, 3}));
  guard.end();
  r.run(other);
  EXPECT_EQ(r.resident(kept), std::vector<block_index>{});
}

TEST_F(rule_01, block_guards_compose_with_each_other_and_with_whole_ones) {
  r.run(kept);
  auto whole = kept.handle.keep_resident();
  auto first = kept.handle.protect_blocks({2});
  auto second = kept.handle.protect_blocks({2, 0});
  first.end();
  whole.end();
  r.run(other);
  EXPECT_EQ(r.resident(kept), (std::vector<block_index>{0, 2}));
}

TEST_F(rule_01, protect_blocks_refuses_what_is_not_there) {
  const error e = caught([&] { (void)kept.handle.protect_blocks({0, 4}); });
  EXPECT_EQ(e.code(), errc::invalid_argument);
  EXPECT_NE(std::string(e.what()).find("block 4 of 4"), std::string::npos) << e.what();
  EXPECT_EQ(kept.handle.try_protect_blocks({7}).code(), errc::invalid_argument);
  r.run(kept);
  r.run(other);
  EXPECT_LT(r.resident(kept).size(), 4u) << "a refused guard protects nothing";
}

}  // namespace
}  // namespace pinrail::test
