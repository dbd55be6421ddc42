// What the sweeps have found, one by one.
#include "support/rig.hpp"
#include "support/tensor_file.hpp"

namespace pinrail::test {
namespace {

using emulated::call;

constexpr std::uint64_t block_bytes = 64_KiB;

struct device_faults : testing::Test {
  tensor_file file{1, block_bytes - 500};  // 65,536 bytes with its padding: a block of the same size
  rig r{{.vram_budget = 4 * block_bytes,
         .high_watermark = 1,
         .load_deadline = std::chrono::seconds(5),
         .staging_slabs = 1}};
  named_runtime some = r.add("some", 4, block_bytes);
  named_runtime others = r.add("others", 4, block_bytes);
  stream a = r.device().create_stream();
  stream b = r.device().create_stream();

  void fail(call where, errc code, std::uint64_t times = 1) {
    for (std::uint64_t i = 0; i < times; ++i) emulated::inject(r.device(), {.where = where, .after = i, .code = code});
  }
  void use_one(stream_ref on, block_index which) {
    auto pass = some.handle.managed_forward(on, {.prefetch_blocks = 0});
    r.check(pass.use(which), some, on);
  }
};

TEST_F(device_faults, a_loss_that_only_polling_meets_ends_who_waits) {
  auto staged = r.add("staged", 4, block_bytes, {.pinned = false});
  gate held;  // the copies wait for this kernel, so that the slab is asked for again and again
  held.hold(a);
  for (const block_index i : some.handle.blocks()) use_one(a, i);
  fail(call::query_event, errc::device_lost);
  std::thread opener([&] {  // a GPU would end the kernel by itself
    EXPECT_TRUE(eventually([&] { return !emulated::has_faults(r.device()); }));
    held.open();
  });
  EXPECT_EQ(caught([&] { r.run(staged); }).code(), errc::device_lost);
  opener.join();
}

TEST_F(device_faults, a_loss_that_only_the_end_of_the_scheduler_meets_keeps_no_memory) {
  use_one(a, 0);
  fail(call::query_event, errc::device_lost);
  r.finish();
}

TEST_F(device_faults, why_there_is_no_page_locked_memory) {
  for (const errc code : {errc::out_of_memory, errc::device_error, errc::device_lost}) {
    fail(call::allocate_pinned, code);
    EXPECT_EQ(caught([&] { (void)r.add("staged", 1, block_bytes, {.pinned = false}); }).code(), code);
  }
}

TEST_F(device_faults, less_page_locked_memory_than_wanted_will_do) {
  rig few{{.vram_budget = 4 * block_bytes, .chunk_bytes = block_bytes, .staging_slabs = 4}};
  emulated::inject(few.device(), {.where = call::allocate_pinned, .after = 1, .code = errc::out_of_memory});
  const auto staged = few.add("staged", 8, block_bytes, {.pinned = false});
  EXPECT_LT(emulated::live_resources(few.device()).pinned_bytes, 2 * block_bytes + 128_KiB) << "one slab and no more";
  few.run(staged);
}

TEST_F(device_faults, device_memory_that_comes_free_in_time_is_taken) {
  const auto open = [](std::uint64_t refusals) {
    const auto on = open_test_device("emulated:vram=64MiB");
    for (std::uint64_t i = 0; i < refusals; ++i)
      emulated::inject(*on, {.where = call::allocate_arena, .after = i, .code = errc::out_of_memory});
    const error e = caught([&] { const scheduler sched(*on, {.vram_budget = 4 * block_bytes}); });
    emulated::clear_faults(*on);
    return e.code();
  };
  EXPECT_EQ(open(3), errc::none);
  EXPECT_EQ(open(4), errc::out_of_memory) << "not for ever";
}

TEST_F(device_faults, a_loss_wakes_everyone_who_waits) {
  // Copies into the only pages wait for a kernel that does not end, and so do those who want the one slab after them.
  rig full{{.vram_budget = 4 * block_bytes,
            .high_watermark = 1,
            .load_deadline = std::chrono::minutes(5),
            .chunk_bytes = block_bytes,
            .staging_slabs = 1}};
  const auto first = full.add("first", 4, block_bytes);
  const auto staged = full.add("staged", 8, block_bytes, {.pinned = false});
  const stream busy = full.device().create_stream();
  gate held;
  held.hold(busy);
  {
    auto pass = first.handle.managed_forward(busy, {.prefetch_blocks = 0});
    for (const block_index i : first.handle.blocks()) full.check(pass.use(i), first, busy);
  }
  core::atomic<int> asking{0};
  core::atomic<int> woken{0};
  std::vector<stream> streams;
  std::vector<std::thread> waiting;
  for (int i = 0; i < 6; ++i) streams.push_back(full.device().create_stream());
  for (block_index i = 0; i < 6; ++i)
    waiting.emplace_back([&, i] {
      auto pass = staged.handle.managed_forward(streams[i], {.prefetch_blocks = 0});
      asking.fetch_add(1, core::order::acq_rel);
      // One copy may have been enqueued, and its use begin; the next needs the slab.
      errc code = errc::none;
      for (block_index k = 0; k < 8 && code == errc::none; ++k) code = pass.try_use((i + k) % 8).code();
      EXPECT_EQ(code, errc::device_lost);
      woken.fetch_add(1, core::order::acq_rel);
    });
  EXPECT_TRUE(eventually([&] {
    const auto all = full.sched().blockers();
    return asking.load(core::order::acquire) == 6 && !all.empty();
  }));
  EXPECT_EQ(woken.load(core::order::acquire), 0);
  emulated::inject(full.device(), {.where = call::query_event, .code = errc::device_lost});
  EXPECT_TRUE(eventually([&] { return !emulated::has_faults(full.device()); }));
  held.open();
  for (std::thread& t : waiting) t.join();  // or this waits for minutes
  EXPECT_EQ(woken.load(core::order::acquire), 6);
}

TEST_F(device_faults, pages_whose_last_uses_cant_be_joined_come_back) {
  for (const call where : {call::wait_event, call::record_event, call::create_event}) {
    gate held_a, held_b;
    {
      auto guest = some.handle.as_guest();
      held_a.hold(a);
      held_b.hold(b);
      use_one(a, 0);
      use_one(b, 0);
      fail(where, errc::device_error);
    }
    EXPECT_FALSE(some.handle.is_resident(0));
    held_a.open();
    held_b.open();
    emulated::clear_faults(r.device());
    EXPECT_TRUE(r.sched().budget().reserve_bytes(4 * block_bytes, "all of it").active());
  }
}

TEST_F(device_faults, a_use_is_over_though_recording_and_waiting_fail_for_a_while) {
  {
    auto pass = some.handle.managed_forward(a, {.prefetch_blocks = 0});
    auto held = pass.use(0);
    fail(call::record_event, errc::device_error);
    fail(call::synchronize_stream, errc::device_error, 5);
  }
  r.run(others);
  EXPECT_FALSE(some.handle.is_resident(0));
}

TEST_F(device_faults, a_device_that_refuses_on_and_on_counts_as_lost) {
  {
    auto pass = some.handle.managed_forward(a, {.prefetch_blocks = 0});
    auto held = pass.use(0);
    fail(call::record_event, errc::device_error);
    fail(call::synchronize_stream, errc::device_error, 100);
  }
  EXPECT_EQ(caught([&] { r.run(others); }).code(), errc::device_lost);
  emulated::clear_faults(r.device());
}

TEST_F(device_faults, a_lost_device_has_no_runtimes_to_remove) {
  use_one(a, 0);
  fail(call::copy_host_to_device, errc::device_lost);
  EXPECT_EQ(caught([&] { use_one(a, 1); }).code(), errc::device_lost);
  EXPECT_EQ(caught([&] { r.sched().remove_runtime(some.handle); }).code(), errc::device_lost);
}

TEST_F(device_faults, padding_may_lie_where_a_load_failed) {
  const runtime padded = r.sched().add_runtime("padded", file.open());
  auto rest = r.sched().budget().reserve_bytes(3 * block_bytes, "all but one block");
  fail(call::copy_host_to_device, errc::device_error);
  EXPECT_EQ(caught([&] { use_one(a, 0); }).code(), errc::device_error);
  auto pass = padded.managed_forward(a, {.prefetch_blocks = 0});
  EXPECT_GT(pass.use(0).size_bytes(), 3 * block_bytes / 4) << "the device's checker sees the use read over the padding";
}

}  // namespace
}  // namespace pinrail::test
