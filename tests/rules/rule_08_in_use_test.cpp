// Rule 8: a pinned block, or one in the near window of a live pass, is no victim. A block whose use ended but whose
// kernels still run is one: the copy that overwrites it waits on the device for every stream that used it.
#include "support/rig.hpp"

namespace pinrail::test {
namespace {

constexpr std::uint64_t block_bytes = 256_KiB;

struct rule_08 : testing::Test {
  rig r{{.vram_budget = 4 * block_bytes, .high_watermark = 1, .load_deadline = std::chrono::milliseconds(300)}};
  named_runtime a = r.add("a", 4, block_bytes);
  named_runtime b = r.add("b", 8, block_bytes);
};

TEST_F(rule_08, a_pinned_block_is_no_victim) {
  r.run(a);
  const stream s = r.device().create_stream();
  auto pass = a.handle.managed_forward(s, {.prefetch_blocks = 0});
  auto held = pass.use(2);
  r.check(held, a, s);
  const void* where = held.device_ptr();
  r.run(b);
  r.run(b);
  EXPECT_TRUE(a.handle.is_resident(2));
  EXPECT_EQ(held.device_ptr(), where);
  r.check(held, a, s);
  held.end();
  pass.end();
  r.run(b);
  EXPECT_FALSE(a.handle.is_resident(2));
  s.synchronize();
}

TEST_F(rule_08, nor_is_one_in_the_near_window_of_a_live_pass) {
  r.run(a);
  auto guard = b.handle.keep_resident();  // so that only a's blocks can be victims
  const stream s = r.device().create_stream();
  auto pass = a.handle.managed_forward(s, {.prefetch_blocks = 2});  // about to use 0 and 1
  r.run(b, {0, 1}, {.prefetch_blocks = 0});
  EXPECT_EQ(r.resident(a), (std::vector<block_index>{0, 1}));
  const error e = caught([&] { r.run(b, {2}, {.prefetch_blocks = 0}); });
  EXPECT_EQ(e.code(), errc::no_victim);
  ASSERT_EQ(e.blockers().size(), 2u) << e.what();
  EXPECT_EQ(e.blockers()[1].why == blocker::reason::near_window || e.blockers()[0].why == blocker::reason::near_window,
            true);
  r.check(pass.use(0), a, s);
  r.check(pass.use(1), a, s);  // now 2 and 3: 2 can have the place of 0
  EXPECT_TRUE(eventually([&] { return r.resident(a) == std::vector<block_index>{1, 2}; }));
  s.synchronize();
}

TEST_F(rule_08, a_block_whose_kernels_still_run_is_one_and_the_copy_waits_for_them) {
  std::vector<stream> streams;
  for (int i = 0; i < 3; ++i) streams.push_back(r.device().create_stream());
  std::vector<gate> gates(3);
  // Block 0 is used on three streams, none of which gets on. The last one to record is let go first.
  for (std::size_t i = 0; i < 3; ++i) {
    auto pass = a.handle.managed_forward(streams[i], {.prefetch_blocks = 0});
    gates[i].hold(streams[i]);
    r.check(pass.use(0), a, streams[i]);
  }
  const stream t = r.device().create_stream();
  {
    auto pass = b.handle.managed_forward(t, {.prefetch_blocks = 0});
    for (block_index i = 0; i < 4; ++i) r.check(pass.use(i), b, t);
  }
  EXPECT_FALSE(a.handle.is_resident(0)) << "its use has ended: it is a victim";
  gates[2].open();
  streams[2].synchronize();
  gates[1].open();
  gates[0].open();
  t.synchronize();
  for (const stream& s : streams) s.synchronize();
}

TEST_F(rule_08, a_block_used_on_more_streams_than_it_has_slots_for) {
  constexpr std::size_t count = 12;
  std::vector<stream> streams;
  std::vector<gate> gates(count);
  for (std::size_t i = 0; i < count; ++i) {
    streams.push_back(r.device().create_stream());
    auto pass = a.handle.managed_forward(streams[i], {.prefetch_blocks = 0});
    gates[i].hold(streams[i]);
    r.check(pass.use(1), a, streams[i]);
  }
  const stream t = r.device().create_stream();
  {
    auto pass = b.handle.managed_forward(t, {.prefetch_blocks = 0});
    for (block_index i = 0; i < 4; ++i) r.check(pass.use(i), b, t);
  }
  EXPECT_FALSE(a.handle.is_resident(1));
  for (std::size_t i = count; i-- > 0;) gates[i].open();
  t.synchronize();
  for (const stream& s : streams) s.synchronize();
}

TEST_F(rule_08, pinned_blocks_of_eight_threads_stay_where_they_are) {
  rig big{{.vram_budget = 20 * block_bytes}};
  auto mine = big.add("mine", 16, block_bytes);
  auto others = big.add("others", 24, block_bytes);
  on_threads(8, [&](int t) {
    const stream on = big.device().create_stream();
    auto pass = mine.handle.managed_forward(on, {.prefetch_blocks = 0});
    for (int i = 0; i < 20; ++i) {
      const auto index = static_cast<block_index>((t + i * 5) % 16);
      auto held = pass.use(index);
      big.check(held, mine, on);
      big.run(others, {static_cast<block_index>((t + i) % 24)}, {.prefetch_blocks = 0, .wraps = false});
      EXPECT_TRUE(mine.handle.is_resident(index));
      big.check(held, mine, on);  // the same bytes at the same address, whatever was evicted meanwhile
    }
    on.synchronize();
  });
}

}  // namespace
}  // namespace pinrail::test
