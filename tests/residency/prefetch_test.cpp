// What becomes of prefetched blocks that nobody comes to use.
#include "pinrail/simulated.hpp"
#include "support/rig.hpp"

namespace pinrail::test {
namespace {

constexpr std::uint64_t block_bytes = 64_MiB;
constexpr std::uint64_t copy_ns = 2'000'000;  // of a block
constexpr std::uint64_t bytes_per_second = block_bytes * 1'000'000'000 / copy_ns;

struct prefetch : testing::Test {
  std::shared_ptr<device> dev = open_device("simulated:vram=1GiB,h2d=" + std::to_string(bytes_per_second));
  scheduler sched{*dev, {.high_watermark = 1}};
  stream s = dev->create_stream();

  runtime add(const char* name, std::uint32_t count) {
    std::vector<block_info> blocks;
    for (std::uint32_t b = 0; b < count; ++b) blocks.push_back({std::to_string(b), block_bytes, {}});
    return sched.add_runtime(name, model_from_callback(blocks, [](auto...) { return true; }));
  }
  /// Kernels are four times as fast as copies: somebody always waits for a copy.
  void walk(const runtime& r, int times) {
    auto pass = r.managed_forward(s);
    for (int i = 0; i < times; ++i)
      for (const block_index b : r.blocks()) {
        auto held = pass.use(b);
        simulated::launch(s, copy_ns / 4);
      }
  }
};

// What the first model's last pass had prefetched for the next one has nobody's copy to wait for, and would be behind
// those of the second for as long as that one runs: 128 MiB that nobody uses.
TEST_F(prefetch, of_a_pass_that_is_over_gives_its_memory_to_who_waits) {
  const runtime first = add("first", 24);
  const runtime second = add("second", 24);
  walk(first, 8);
  walk(second, 8);
  EXPECT_EQ(first.statistics().resident_bytes, 0u);
  EXPECT_EQ(first.statistics().failed_loads, 0u);
  EXPECT_EQ(second.statistics().resident_bytes, 1_GiB);
  walk(first, 1);
  EXPECT_EQ(second.statistics().failed_loads, 0u);
}

// Where nobody else waits, the next pass finds it.
TEST_F(prefetch, of_a_pass_that_is_over_stays_where_nobody_waits) {
  const runtime only = add("only", 8);
  {
    auto pass = only.managed_forward(s);
    pass.prefetch(std::vector<block_index>{0, 1, 2, 3, 4, 5});
  }
  s.synchronize();
  sched.synchronize();
  EXPECT_EQ(only.statistics().resident_bytes, 6 * block_bytes);
}

TEST_F(prefetch, is_done_on_the_device_when_the_scheduler_was_waited_for) {
  const runtime only = add("only", 8);
  auto pass = only.managed_forward(s);
  pass.prefetch(std::vector<block_index>{0, 1, 2, 3, 4, 5});
  sched.synchronize();
  EXPECT_GE(dev->now_ns(), 6 * copy_ns);
}

TEST(prefetch_on_threads, is_done_on_the_device_when_the_scheduler_was_waited_for) {
  rig r{{.vram_budget = 2 * rig::page_bytes, .high_watermark = 1}};
  auto a = r.add("a", 4, rig::page_bytes);
  const stream s = r.device().create_stream();
  gate held;
  core::atomic<int> opened{0};
  auto pass = a.handle.managed_forward(s, {.prefetch_blocks = 0});
  pass.use(1).end();
  {
    auto used = pass.use(0);
    held.hold(s);
  }
  pass.prefetch(std::vector<block_index>{2});  // takes the place of block 0, once its kernel has ended
  ASSERT_FALSE(a.handle.is_resident(0));
  std::thread waits([&] {
    r.sched().synchronize();
    EXPECT_EQ(opened.load(core::order::acquire), 1);
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(30));  // time to come back too early
  opened.store(1, core::order::release);
  held.open();
  waits.join();
  pass.end();
  s.synchronize();
}

}  // namespace
}  // namespace pinrail::test
