// Stream capture: what is resident can be used in it, what is absent is refused before it breaks the capture, and
// Pinrail's own calls, on whatever thread, break no capture.
#include "user_streams.hpp"

namespace pinrail::test {
namespace {

constexpr std::uint64_t block_bytes = 256_KiB;

struct capture : ::testing::Test {
  rig r{{.vram_budget = 8 * block_bytes, .high_watermark = 1}};
  named_runtime a = r.add("a", 4, block_bytes);
  named_runtime other = r.add("other", 12, block_bytes);
  named_runtime staged = r.add("staged", 6, block_bytes, {.pinned = false});
  user_stream s{r};
};

TEST_F(capture, a_resident_block_is_used_in_it_and_read_at_every_launch) {
  auto kept = a.handle.keep_resident({.load = true});
  s.begin_capture();
  {
    auto pass = a.handle.managed_forward(s);
    for (const block_index b : a.handle.blocks()) r.check(pass.use(b), a, s);
  }
  const auto graph = s.end_capture();
  ASSERT_NE(graph, nullptr);
  EXPECT_EQ(graph->nodes.size(), 4u);
  for (int i = 0; i < 3; ++i) {
    s.launch(graph);
    r.run(other);  // streams through the rest
  }
  stream_ref(s).synchronize();
}

TEST_F(capture, an_absent_block_is_refused_and_the_capture_goes_on) {
  auto kept = a.handle.protect_blocks({0});
  r.run(a, {0}, {.prefetch_blocks = 0});
  s.begin_capture();
  {
    auto pass = a.handle.managed_forward(s, {.prefetch_blocks = 0});
    const error e = caught([&] { (void)pass.use(1); });
    EXPECT_EQ(e.code(), errc::not_supported);
    EXPECT_NE(std::string(e.what()).find("use(1) of 'a': the stream is being captured and the block is not resident"),
              std::string::npos)
        << e.what();
    EXPECT_EQ(pass.try_use(2).code(), errc::not_supported);
    r.check(pass.use(0), a, s);
  }
  const auto graph = s.end_capture();
  ASSERT_NE(graph, nullptr);
  s.launch(graph);
  stream_ref(s).synchronize();
  r.run(a);  // and outside all is as ever
}

TEST_F(capture, bytes_on_their_way_are_awaited_by_the_cpu) {
  rig slow{{.vram_budget = 8 * block_bytes}, "emulated:vram=64MiB,h2d=20MB/s"};
  const auto late = slow.add("late", 2, block_bytes);
  user_stream on{slow};
  const stream outside = slow.device().create_stream();
  auto kept = late.handle.keep_resident();
  auto first = late.handle.managed_forward(outside, {.prefetch_blocks = 0});
  auto held = first.use(0);  // the copy has been enqueued, and takes 13 ms
  on.begin_capture();
  {
    auto pass = late.handle.managed_forward(on, {.prefetch_blocks = 0});
    slow.check(pass.use(0), late, on);
  }
  const auto graph = on.end_capture();
  ASSERT_NE(graph, nullptr);
  on.launch(graph);
  stream_ref(on).synchronize();
  held.end();
  first.end();
}

TEST_F(capture, nothing_is_loaded_on_account_of_it) {
  auto kept = a.handle.protect_blocks({0});
  r.run(a, {0}, {.prefetch_blocks = 0});
  auto pass = a.handle.managed_forward(s, {.prefetch_blocks = 0});
  auto ahead = a.handle.managed_forward(s, {.prefetch_blocks = 1});  // of block 0, which is there
  s.begin_capture();
  r.check(ahead.use(0), a, s);
  ASSERT_NE(s.end_capture(), nullptr);
  r.sched().synchronize();
  EXPECT_FALSE(a.handle.is_resident(1));
}

TEST_F(capture, what_pinrail_does_meanwhile_breaks_none_on_any_thread) {
  auto kept = a.handle.keep_resident({.load = true});
  s.begin_capture();
  auto pass = a.handle.managed_forward(s);
  on_threads(2, [&](int t) {
    for (int i = 0; i < 3; ++i) r.run(t == 0 ? staged : other);
  });
  const stream mine = r.device().create_stream();  // also on the thread that captures
  r.run(staged);
  mine.synchronize();
  r.check(pass.use(0), a, s);
  EXPECT_NE(s.end_capture(), nullptr);
}

TEST_F(capture, a_captured_use_cant_be_marked_dirty) {
  std::vector<std::byte> bytes(block_bytes);
  const page_lock locked(bytes);
  const memory_block block{"only", bytes};
  const runtime writable =
      r.sched().add_runtime("writable", model_from_memory({&block, 1}, {.pinned = true, .writable = true}));
  auto kept = writable.keep_resident({.load = true});
  s.begin_capture();
  {
    auto pass = writable.managed_forward(s);
    auto held = pass.use(0);
    EXPECT_EQ(caught([&] { held.mark_dirty(); }).code(), errc::not_supported);
  }
  EXPECT_NE(s.end_capture(), nullptr);
  kept.end();
  r.sched().remove_runtime(writable);
}

TEST_F(capture, a_use_from_before_that_ends_in_it_keeps_its_block_and_breaks_nothing) {
  auto pass = a.handle.managed_forward(s, {.prefetch_blocks = 0});
  auto held = pass.use(0);
  r.check(held, a, s);
  s.begin_capture();
  held.end();
  EXPECT_NE(s.end_capture(), nullptr);
  EXPECT_TRUE(r.logged("ended in it")) << "an event recorded now would have become part of the graph";
  pass.end();
  stream_ref(s).synchronize();
  for (int i = 0; i < 2; ++i) r.run(other);
  EXPECT_TRUE(a.handle.is_resident(0));
}

// ---- pins, which know of no stream -------------------------------------------------------------------------------

TEST_F(capture, a_resident_block_is_pinned_and_released_in_it) {
  auto kept = a.handle.keep_resident({.load = true});
  s.begin_capture();
  {
    const block_pin pin = a.handle.pin(0);
    pin.order_after_load(s);
    r.check(pin, a, s);
    EXPECT_EQ(caught([&] { pin.record_use(s); }).code(), errc::not_supported);
  }
  const auto graph = s.end_capture();
  ASSERT_NE(graph, nullptr);
  EXPECT_EQ(graph->nodes.size(), 1u) << "the kernel, and nothing of Pinrail's";
  for (int i = 0; i < 3; ++i) {
    s.launch(graph);
    r.run(other);
  }
  stream_ref(s).synchronize();
}

TEST_F(capture, the_cpu_awaits_the_bytes_of_a_pinned_block) {
  rig slow{{.vram_budget = 8 * block_bytes}, "emulated:vram=64MiB,h2d=20MB/s"};
  const auto late = slow.add("late", 1, block_bytes);
  user_stream on{slow};
  const block_pin pin = late.handle.pin(0);  // the copy has been enqueued, and takes 13 ms
  on.begin_capture();
  pin.order_after_load(on);
  slow.check(pin, late, on);
  const auto graph = on.end_capture();
  ASSERT_NE(graph, nullptr);
  on.launch(graph);
  pin.record_use(on);
}

TEST_F(capture, a_pin_from_before_ends_in_it_and_its_block_leaves_after_what_was_recorded_before) {
  block_pin pin = a.handle.pin(0);
  pin.order_after_load(s);
  gate held;
  held.hold(s);
  r.check(pin, a, s);
  pin.record_use(s);
  s.begin_capture();
  EXPECT_EQ(pin.try_record_use(s).code(), errc::not_supported);
  pin.end();
  const auto graph = s.end_capture();
  ASSERT_NE(graph, nullptr);
  EXPECT_TRUE(graph->nodes.empty());
  // Its memory is wanted while its kernel is held: who takes it waits for that kernel, on the device.
  const stream t = r.device().create_stream();
  auto pass = other.handle.managed_forward(t, {.prefetch_blocks = 0});
  for (const block_index b : {0u, 1u, 2u, 3u, 4u, 5u, 6u, 7u}) r.check(pass.use(b), other, t);
  EXPECT_FALSE(a.handle.is_resident(0));
  held.open();
  t.synchronize();
  stream_ref(s).synchronize();
}

}  // namespace
}  // namespace pinrail::test
