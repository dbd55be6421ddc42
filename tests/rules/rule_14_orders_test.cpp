// Rule 14: a pass in reverse or in a given order is prefetched and scored by that order; wrap-around too.
#include "support/rig.hpp"

namespace pinrail::test {
namespace {

constexpr std::uint64_t block_bytes = 256_KiB;

struct rule_14 : testing::Test {
  rig r{{.vram_budget = 6 * block_bytes, .high_watermark = 1}};
  named_runtime a = r.add("a", 10, block_bytes);
  stream s = r.device().create_stream();
  void use(forward_pass& pass, block_index b) { r.check(pass.use(b), a, s); }
  void TearDown() override { s.synchronize(); }
  [[nodiscard]] bool comes(block_index b) {
    return eventually([&] { return a.handle.is_resident(b); });
  }
};

TEST_F(rule_14, forward_prefetches_forward_and_wraps) {
  auto pass = a.handle.managed_forward(s, {.prefetch_blocks = 2});
  use(pass, 3);
  EXPECT_TRUE(comes(4));
  EXPECT_TRUE(comes(5));
  use(pass, 9);
  EXPECT_TRUE(comes(0));
  EXPECT_TRUE(comes(1));
}

TEST_F(rule_14, a_pass_that_does_not_wrap_stops_at_its_end) {
  auto pass = a.handle.managed_forward(s, {.prefetch_blocks = 2, .wraps = false});
  use(pass, 8);
  use(pass, 9);
  r.sched().synchronize();
  EXPECT_EQ(r.resident(a), (std::vector<block_index>{0, 1, 8, 9})) << "0 and 1 from its beginning";
}

TEST_F(rule_14, reverse_prefetches_backwards) {
  auto pass = a.handle.managed_forward(s, {.order = order::reverse, .prefetch_blocks = 2});
  EXPECT_TRUE(comes(9));
  use(pass, 6);
  EXPECT_TRUE(comes(5));
  EXPECT_TRUE(comes(4));
  EXPECT_FALSE(a.handle.is_resident(7));
}

TEST_F(rule_14, reverse_is_scored_backwards) {
  auto pass = a.handle.managed_forward(s, {.order = order::reverse, .prefetch_blocks = 0});
  for (const block_index b : {9, 8, 7, 6, 5, 4}) use(pass, b);
  use(pass, 3);
  // After a reverse walk a forward one is expected: block 9 is then the farthest of all.
  EXPECT_EQ(r.resident(a), (std::vector<block_index>{3, 4, 5, 6, 7, 8}));
}

TEST_F(rule_14, reverse_after_reverse_is_learned) {
  for (int i = 0; i < 3; ++i) r.run(a, {9, 8, 7, 6, 5, 4, 3, 2, 1, 0}, {.order = order::reverse, .prefetch_blocks = 0});
  r.sched().set_vram_budget(rig::page_bytes);  // everything leaves
  r.sched().set_vram_budget(6 * block_bytes);
  auto pass = a.handle.managed_forward(s, {.order = order::reverse, .prefetch_blocks = 0});
  for (const block_index b : {9, 8, 7, 6, 5, 4, 3}) use(pass, b);
  EXPECT_FALSE(a.handle.is_resident(4)) << "the one just used is the farthest if the next walk begins at 9 again";
  EXPECT_TRUE(a.handle.is_resident(9));
}

TEST_F(rule_14, forward_and_back_reuses_the_end) {
  for (int i = 0; i < 3; ++i) {
    r.run(a, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {.prefetch_blocks = 0});
    r.run(a, {9, 8, 7, 6, 5, 4, 3, 2, 1, 0}, {.order = order::reverse, .prefetch_blocks = 0});
  }
  const auto before = a.handle.statistics().loads;
  r.run(a, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {.prefetch_blocks = 0});
  r.run(a, {9, 8, 7, 6, 5, 4, 3, 2, 1, 0}, {.order = order::reverse, .prefetch_blocks = 0});
  // Belady's bound for 10 blocks in 6 slots, there and back: 4 + 4.
  EXPECT_LE(a.handle.statistics().loads - before, 8u);
}

TEST_F(rule_14, a_list_is_prefetched_and_scored_by_the_list) {
  auto pass = a.handle.managed_forward(s, {.order = {7, 2, 7, 5, 1, 0, 3}, .prefetch_blocks = 2});
  EXPECT_TRUE(comes(7));
  EXPECT_TRUE(comes(2));
  use(pass, 7);
  use(pass, 2);
  EXPECT_TRUE(comes(5));
  use(pass, 7);
  use(pass, 5);
  EXPECT_TRUE(comes(1));
  EXPECT_TRUE(comes(0));
}

TEST_F(rule_14, blocks_that_are_in_no_list_go_first) {
  r.run(a, {8, 9}, {.prefetch_blocks = 0});
  auto pass = a.handle.managed_forward(s, {.order = {0, 1, 2, 3, 4, 5}, .prefetch_blocks = 0});
  for (const block_index b : {0, 1, 2, 3, 4}) use(pass, b);
  EXPECT_TRUE(a.handle.is_resident(8)) << "the idle order reaches 9 last, so it goes first";
  EXPECT_FALSE(a.handle.is_resident(9));
  use(pass, 5);
  EXPECT_EQ(r.resident(a), (std::vector<block_index>{0, 1, 2, 3, 4, 5}));
}

TEST_F(rule_14, a_block_that_comes_again_soon_is_kept) {
  auto pass = a.handle.managed_forward(s, {.order = {0, 1, 2, 3, 0, 4, 5, 6, 7, 8, 9}, .prefetch_blocks = 0});
  for (const block_index b : {0, 1, 2, 3, 0, 4, 5}) use(pass, b);
  use(pass, 6);
  EXPECT_TRUE(a.handle.is_resident(0)) << "0 begins the list again, and 5 was just used";
  EXPECT_FALSE(a.handle.is_resident(5));
}

TEST_F(rule_14, data_dependent_order_keeps_what_is_used_often) {
  auto pass = a.handle.managed_forward(s, {.order = order::data_dependent});
  for (int i = 0; i < 30; ++i) {
    use(pass, 0);
    use(pass, 1);
    use(pass, static_cast<block_index>(2 + i % 8));
  }
  EXPECT_TRUE(a.handle.is_resident(0));
  EXPECT_TRUE(a.handle.is_resident(1));
  const auto s0 = a.handle.statistics();
  EXPECT_LE(s0.loads, 2u + 30u);
  pass.prefetch(std::vector<block_index>{9});
  EXPECT_TRUE(comes(9));
}

TEST_F(rule_14, a_list_that_names_what_is_not_there_is_refused) {
  EXPECT_EQ(caught([&] { (void)a.handle.managed_forward(s, {.order = {0, 10}}); }).code(), errc::invalid_argument);
}

TEST_F(rule_14, eight_threads_prefetch_each_along_its_own_order) {
  rig many{{.vram_budget = 64 * block_bytes, .high_watermark = 1}};
  std::vector<named_runtime> models;
  for (int t = 0; t < 8; ++t) models.push_back(many.add("model " + std::to_string(t), 8, block_bytes));
  on_threads(8, [&](int t) {
    const named_runtime& mine = models[static_cast<std::size_t>(t)];
    const stream on = many.device().create_stream();
    const std::array orders{order::forward, order::reverse, order{std::vector<block_index>{5, 2, 7, 0}}};
    const std::array<std::vector<block_index>, 3> walks{{{3, 4, 5}, {5, 4, 3}, {5, 2, 7}}};
    const auto kind = static_cast<std::size_t>(t % 3);
    auto pass = mine.handle.managed_forward(on, {.order = orders[kind], .prefetch_blocks = 2});
    many.check(pass.use(walks[kind][0]), mine, on);
    for (const block_index next : walks[kind]) EXPECT_TRUE(eventually([&] { return mine.handle.is_resident(next); }));
    on.synchronize();
  });
}

}  // namespace
}  // namespace pinrail::test
