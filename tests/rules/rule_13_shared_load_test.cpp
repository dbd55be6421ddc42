// Rule 13: two threads that need one absent block share one copy; and one failure.
#include "support/rig.hpp"

namespace pinrail::test {
namespace {

constexpr std::uint64_t block_bytes = 256_KiB;

TEST(rule_13, eight_threads_that_need_one_absent_block_share_one_copy) {
  rig r{{.vram_budget = 8 * block_bytes}};
  auto a = r.add("a", 6, block_bytes);
  std::vector<stream> streams;
  for (int i = 0; i < 8; ++i) streams.push_back(r.device().create_stream());
  on_threads(8, [&](int t) {
    const stream& mine = streams[static_cast<std::size_t>(t)];
    auto pass = a.handle.managed_forward(mine);
    for (const block_index b : a.handle.blocks()) r.check(pass.use(b), a, mine);
    mine.synchronize();
  });
  EXPECT_EQ(a.handle.statistics().loads, 6u);
  EXPECT_EQ(a.handle.statistics().loaded_bytes, 6 * block_bytes);
}

TEST(rule_13, and_one_failure) {
  rig r{{.vram_budget = 8 * block_bytes}};
  core::atomic<int> reads{0};
  core::atomic<bool> go{false};
  const runtime flaky = r.sched().add_runtime(
      "flaky", model_from_callback({{"only", block_bytes, {}}}, [&](block_index, std::uint64_t, std::span<std::byte>) {
        reads.fetch_add(1, core::order::relaxed);
        while (!go.load(core::order::acquire)) std::this_thread::yield();
        return false;
      }));
  core::atomic<int> failed{0};
  core::atomic<int> waiting{0};
  std::thread opener([&] {
    EXPECT_TRUE(eventually([&] { return waiting.load(core::order::acquire) == 8; }));
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    go.store(true, core::order::release);
  });
  on_threads(8, [&](int) {
    const stream s = r.device().create_stream();
    auto pass = flaky.managed_forward(s, {.prefetch_blocks = 0});
    waiting.fetch_add(1, core::order::acq_rel);
    failed.fetch_add(pass.try_use(0).code() == errc::io_error, core::order::relaxed);
  });
  opener.join();
  EXPECT_EQ(failed.load(core::order::relaxed), 8);
  EXPECT_EQ(reads.load(core::order::relaxed), 1) << "those that waited for the one attempt share its outcome";
  EXPECT_EQ(r.sched().statistics().used_bytes, 0u);
}

}  // namespace
}  // namespace pinrail::test
