// Pins: blocks held without a pass and without a stream.
#include <random>

#include "support/allocation_counter.hpp"
#include "support/rig.hpp"
#include "support/seed.hpp"

namespace pinrail::test {
namespace {

constexpr std::uint64_t block_bytes = 64_KiB;

struct block_pins : testing::Test {
  rig r{{.vram_budget = 4 * block_bytes, .high_watermark = 1, .load_deadline = std::chrono::milliseconds(100)}};
  named_runtime a = r.add("a", 8, block_bytes);
  stream s = r.device().create_stream();

  ~block_pins() override { s.synchronize(); }

  /// Kernels on the block, as a captured graph would run them.
  void launch(const block_pin& pin, const named_runtime& of, stream_ref on) {
    pin.order_after_load(on);
    r.check(pin, of, on);
    pin.record_use(on);
  }
};

TEST_F(block_pins, an_absent_block_is_loaded_and_a_held_one_stays_at_its_address) {
  block_pin pin = a.handle.pin(0);
  void* const before = pin.device_ptr();
  EXPECT_TRUE(pin.active());
  EXPECT_EQ(pin.block(), 0u);
  EXPECT_EQ(pin.size_bytes(), block_bytes);
  for (int round = 0; round < 3; ++round) {
    r.run(a, {1, 2, 3, 4, 5, 6, 7});
    ASSERT_TRUE(a.handle.is_resident(0));
    launch(pin, a, s);
  }
  EXPECT_EQ(pin.device_ptr(), before);
  pin.end();
  pin.end();
  EXPECT_FALSE(pin.active());
  r.run(a, {1, 2, 3, 4, 5, 6, 7}, {.wraps = false});
  EXPECT_FALSE(a.handle.is_resident(0)) << "it is a victim again";
}

TEST_F(block_pins, memory_is_not_written_again_before_what_was_recorded_is_done) {
  gate kernels;
  {
    const block_pin pin = a.handle.pin(0);
    kernels.hold(s);
    launch(pin, a, s);
  }
  const stream other = r.device().create_stream();
  auto b = r.add("b", 4, block_bytes);
  auto pass = b.handle.managed_forward(other, {.prefetch_blocks = 0});
  for (const block_index i : b.handle.blocks()) r.check(pass.use(i), b, other);
  EXPECT_FALSE(a.handle.is_resident(0)) << "its kernels still wait, and it has gone";
  kernels.open();
  s.synchronize();
  other.synchronize();  // the rig looks at bytes and order
}

TEST_F(block_pins, of_resident_blocks_allocate_nothing) {
  a.handle.pin(0).end();
  const std::size_t before = allocations_so_far();
  for (int i = 0; i < 100; ++i) {
    auto pin = a.handle.try_pin(0);
    ASSERT_TRUE(pin);
    block_pin moved = std::move(*pin);
    EXPECT_FALSE(pin->active());
    moved.end();
  }
  EXPECT_EQ(allocations_so_far(), before);
}

TEST_F(block_pins, one_that_is_assigned_to_lets_go_of_what_it_held) {
  block_pin pin = a.handle.pin(0);
  block_pin other = a.handle.pin(1);
  pin = std::move(other);
  EXPECT_EQ(pin.block(), 1u);
  const auto held = r.sched().blockers();
  ASSERT_EQ(held.size(), 1u);
  EXPECT_EQ(held[0].why, blocker::reason::pinned);
  EXPECT_EQ(held[0].bytes, block_bytes);
}

TEST_F(block_pins, that_find_no_room_name_who_holds_it) {
  std::vector<block_pin> held;
  for (const block_index b : {0u, 1u, 2u, 3u}) held.push_back(a.handle.pin(b));
  const error e = caught([&] { (void)a.handle.pin(4); });
  EXPECT_EQ(e.code(), errc::no_victim);
  ASSERT_EQ(e.blockers().size(), 1u);
  EXPECT_EQ(e.blockers()[0].why, blocker::reason::pinned);
  EXPECT_EQ(e.blockers()[0].bytes, 4 * block_bytes);
  held.pop_back();
  launch(a.handle.pin(4), a, s);
}

TEST_F(block_pins, misuse_is_refused) {
  const error index = caught([&] { (void)a.handle.pin(8); });
  EXPECT_EQ(index.code(), errc::invalid_argument);
  EXPECT_NE(std::string(index.what()).find("has 8 blocks"), std::string::npos);
  EXPECT_EQ(runtime().try_pin(0).code(), errc::invalid_argument);
  block_pin pin = a.handle.pin(0);
  const auto elsewhere = open_device("emulated:vram=1MiB");
  const stream foreign = elsewhere->create_stream();
  EXPECT_EQ(caught([&] { pin.order_after_load(foreign); }).code(), errc::invalid_argument);
  EXPECT_EQ(caught([&] { pin.record_use(foreign); }).code(), errc::invalid_argument);
  pin.end();
  EXPECT_EQ(caught([&] { pin.record_use(s); }).code(), errc::invalid_argument);
  EXPECT_EQ(pin.size_bytes(), 0u);
}

TEST_F(block_pins, a_runtime_with_one_is_not_removed) {
  block_pin pin = a.handle.pin(0);
  EXPECT_EQ(caught([&] { r.sched().remove_runtime(a.handle); }).code(), errc::in_use);
  launch(pin, a, s);
  pin.end();
  r.sched().remove_runtime(a.handle);
  EXPECT_EQ(a.handle.try_pin(0).code(), errc::closed);
}

TEST_F(block_pins, the_end_of_the_scheduler_waits_for_them) {
  block_pin pin = a.handle.pin(0);
  core::atomic<bool> ended{false};
  std::thread end([&] {
    r.finish();
    ended.store(true, core::order::seq_cst);
  });
  // Once the scheduler has begun to end, nothing more is pinned.
  EXPECT_TRUE(eventually([&] { return a.handle.try_pin(0).code() == errc::closed; }));
  EXPECT_EQ(caught([&] { (void)a.handle.pin(5); }).code(), errc::closed);
  for (int i = 0; i < 20; ++i) {  // far longer than an end without pins takes
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    ASSERT_FALSE(ended.load(core::order::seq_cst));
    ASSERT_NE(emulated::live_resources(r.device()).arena_bytes, 0u);
  }
  pin.end();
  end.join();
}

TEST_F(block_pins, eight_threads_pin_what_others_evict) {
  const std::uint64_t seed = run_seed();
  rig many{{.vram_budget = 12 * block_bytes, .load_deadline = std::chrono::seconds(60)}};
  auto b = many.add("b", 24, block_bytes);
  on_threads(8, [&](int t) {
    std::mt19937_64 random(seed + static_cast<std::uint64_t>(t));
    const stream mine = many.device().create_stream();
    for (int i = 0; i < 100; ++i) {
      if (t % 2 == 0) {
        auto pass = b.handle.managed_forward(mine, {.order = order::data_dependent});
        many.check(pass.use(static_cast<block_index>(random() % 24)), b, mine);
        continue;
      }
      const block_pin pin = b.handle.pin(static_cast<block_index>(random() % 24));
      pin.order_after_load(mine);
      many.check(pin, b, mine);
      pin.record_use(mine);
    }
    mine.synchronize();
  });
}

}  // namespace
}  // namespace pinrail::test
