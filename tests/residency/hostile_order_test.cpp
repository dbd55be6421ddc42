// Things done in a hostile order: handles that outlive what they belong to, ends in the middle of work, misuse.
#include <tbb/info.h>
#include <tbb/task_arena.h>

#include <algorithm>

#include "residency/run_in_arena.hpp"
#include "support/rig.hpp"

namespace pinrail::test {
namespace {

constexpr std::uint64_t block_bytes = 256_KiB;

TEST(hostile_order, the_scheduler_ends_with_loads_and_kernels_under_way) {
  auto dev = open_device("emulated:vram=16MiB,h2d=200MB/s");
  host_model bytes(16, block_bytes, 1);
  stream s = dev->create_stream();
  core::atomic<int> ran{0};
  {
    scheduler sched(*dev, {.vram_budget = 4_MiB});
    runtime r = sched.add_runtime("r", bytes.model());
    auto pass = r.managed_forward(s, {.prefetch_blocks = 8});
    for (block_index b = 0; b < 4; ++b) {
      auto held = pass.use(b);
      const auto* data = static_cast<const std::byte*>(held.device_ptr());
      emulated::launch(s, [&, data, b] {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        if (std::memcmp(data, bytes.block(b).data(), block_bytes) == 0) ran.fetch_add(1, core::order::relaxed);
      });
    }
  }
  // The end waited for the kernels: the memory they read was still there.
  EXPECT_EQ(ran.load(core::order::relaxed), 4);
  EXPECT_EQ(emulated::live_resources(*dev).arena_bytes, 0u);
  EXPECT_EQ(emulated::violations(*dev), std::vector<std::string>{});
}

TEST(hostile_order, handles_outlive_their_scheduler_and_are_inert) {
  auto dev = open_device("emulated:vram=16MiB");
  host_model bytes(4, block_bytes, 1);
  const stream s = dev->create_stream();
  runtime r;
  residency_guard guard;
  reservation reserved;
  guest_guard guest;
  block_guard blocks;
  byte_reservation workspace;
  byte_reservation memory;
  forward_pass pass;
  {
    scheduler sched(*dev, {.vram_budget = 4_MiB});
    r = sched.add_runtime("r", bytes.model());
    const runtime g = sched.add_runtime("g", bytes.model());
    pass = r.managed_forward(s);
    (void)pass.use(0);
    guard = r.keep_resident();
    blocks = r.protect_blocks({1});
    reserved = r.reserve_for_resident();
    guest = r.as_guest(g);
    workspace = sched.budget().reserve_bytes(4096, "workspace");
    memory = sched.budget().reserve_bytes(4096, "memory", {.with_memory = true});
  }
  EXPECT_EQ(pass.try_use(1).code(), errc::closed);
  EXPECT_EQ(caught([&] { (void)pass.use(1); }).code(), errc::closed);
  EXPECT_EQ(caught([&] { (void)r.keep_resident(); }).code(), errc::closed);
  EXPECT_EQ(caught([&] { (void)r.reserve_for_resident(); }).code(), errc::closed);
  EXPECT_EQ(caught([&] { (void)r.managed_forward(s); }).code(), errc::closed);
  EXPECT_FALSE(reserved.active());
  reserved.release();
  EXPECT_EQ(r.name(), "r");
}

TEST(hostile_order, handles_that_end_after_their_scheduler_call_neither_recorder_nor_log) {
  auto dev = open_device("emulated:vram=16MiB");
  host_model bytes(4, block_bytes, 1);
  trace_recorder recorder;
  int lines = 0;
  std::size_t events = 0;
  {
    residency_guard guard;
    guest_guard guest;
    reservation reserved;
    {
      scheduler_options options{.vram_budget = 4_MiB, .trace = &recorder};
      options.log = [&](log_level, std::string_view) { ++lines; };
      scheduler sched(*dev, options);
      const runtime r = sched.add_runtime("r", bytes.model());
      guard = r.keep_resident();
      guest = r.as_guest();
      reserved = sched.add_runtime("reserved", bytes.model()).reserve_for_resident({.bytes = 2 * block_bytes});
    }
    events = recorder.events().size();
    lines = 0;
    reserved.release();
  }
  EXPECT_EQ(recorder.events().size(), events);
  EXPECT_EQ(lines, 0);
}

TEST(hostile_order, waiting_uses_are_woken_when_the_scheduler_ends) {
  auto dev = open_device("emulated:vram=16MiB");
  host_model bytes(4, block_bytes, 1);
  const stream s = dev->create_stream();
  std::optional<scheduler> sched(
      std::in_place, *dev, scheduler_options{.vram_budget = 2 * block_bytes, .load_deadline = std::chrono::hours(1)});
  const runtime r = sched->add_runtime("r", bytes.model());
  auto guard = r.keep_resident();
  core::atomic<bool> waiting{false};
  errc outcome = errc::none;
  std::thread waiter([&] {
    auto pass = r.managed_forward(s, {.prefetch_blocks = 0});
    (void)pass.use(0);
    (void)pass.use(1);
    waiting.store(true, core::order::release);
    outcome = pass.try_use(2).code();  // no victim for an hour
  });
  while (!waiting.load(core::order::acquire)) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  sched.reset();
  waiter.join();
  EXPECT_EQ(outcome, errc::closed);
}

TEST(hostile_order, a_kept_runtime_that_waits_to_be_loaded_is_woken_when_the_scheduler_ends) {
  auto dev = open_device("emulated:vram=16MiB");
  host_model bytes(4, block_bytes, 1);
  std::optional<scheduler> sched(
      std::in_place, *dev, scheduler_options{.vram_budget = 2 * block_bytes, .load_deadline = std::chrono::hours(1)});
  const runtime r = sched->add_runtime("r", bytes.model());
  std::thread waiter([&] { EXPECT_EQ(caught([&] { (void)r.keep_resident({.load = true}); }).code(), errc::closed); });
  EXPECT_TRUE(eventually([&] { return r.statistics().resident_blocks == 2; }));  // the third waits for room
  sched.reset();
  waiter.join();
  EXPECT_EQ(emulated::live_resources(*dev).arena_bytes, 0u);
}

TEST(hostile_order, the_scheduler_ends_while_four_threads_use_its_handles) {
  for (int round = 0; round < 20; ++round) {
    auto dev = open_device("emulated:vram=16MiB");
    std::vector<host_model> bytes(4, host_model(6, 4096, 1));
    std::optional<scheduler> sched(std::in_place, *dev,
                                   scheduler_options{.vram_budget = 6 * 4096, .load_deadline = std::chrono::hours(1)});
    std::vector<runtime> all;
    for (std::size_t t = 0; t < 4; ++t)
      all.push_back(sched->add_runtime("r", bytes[t].model({.pinned = true, .writable = t == 0})));
    core::atomic<int> rounds{0};
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < 4; ++t)
      threads.emplace_back([&, mine = all[t], writes = t == 0] {
        const stream s = dev->create_stream();
        for (;;) {
          auto pass = mine.try_managed_forward(s, {.order = {0, 2, 4, 1, 3, 5}, .prefetch_blocks = 3});
          if (!pass) break;
          auto scope = mine.try_as_guest(mine);
          auto held = mine.try_reserve_for_resident({.bytes = 3 * 4096});
          for (block_index b = 0; b < 6; ++b) {
            auto use = pass->try_use(b);
            if (use && writes && caught([&] { use->mark_dirty(); }).code() != errc::none) break;
          }
          pass->prefetch(std::vector<block_index>{0, 1, 2});
          if (held) held->release();
          rounds.fetch_add(1, core::order::relaxed);
        }
      });
    EXPECT_TRUE(eventually([&] { return rounds.load(core::order::relaxed) > 4 * round; }));
    sched.reset();
    for (std::thread& t : threads) t.join();
    EXPECT_EQ(emulated::violations(*dev), std::vector<std::string>{});
    EXPECT_EQ(emulated::live_resources(*dev).arena_bytes, 0u);
    EXPECT_EQ(emulated::live_resources(*dev).pinned_bytes, 0u);
  }
}

TEST(hostile_order, a_loss_that_only_queries_see_does_not_hang_the_end_of_the_scheduler) {
  for (std::uint64_t after = 0; after < 30; after += 3) {
    auto dev = open_device("emulated:vram=16MiB,d2h=100MB/s");
    host_model bytes(4, block_bytes, 1);
    const stream s = dev->create_stream();
    {
      scheduler sched(*dev, {.vram_budget = 4_MiB});
      const runtime r = sched.add_runtime("r", bytes.model({.pinned = true, .writable = true}));
      auto pass = r.managed_forward(s, {.prefetch_blocks = 0});
      for (block_index b = 0; b < 4; ++b) pass.use(b).mark_dirty();
      emulated::inject(*dev, {.where = emulated::call::query_event, .after = after, .code = errc::device_lost});
    }
    EXPECT_EQ(emulated::live_resources(*dev).arena_bytes, 0u) << after;
    EXPECT_EQ(emulated::live_resources(*dev).pinned_bytes, 0u) << after;
  }
}

TEST(hostile_order, a_runtime_is_not_removed_while_something_holds_it) {
  rig r{{.vram_budget = 4_MiB}};
  auto a = r.add("a", 4, block_bytes);
  auto b = r.add("b", 4, block_bytes);
  const stream s = r.device().create_stream();
  const auto refused = [&](const std::string& by) {
    const error e = caught([&] { r.sched().remove_runtime(a.handle); });
    EXPECT_EQ(e.code(), errc::in_use);
    EXPECT_NE(std::string(e.what()).find(by), std::string::npos) << e.what();
  };
  r.run(a);
  {
    auto guard = b.handle.keep_resident(a.handle);
    refused("keep_resident");
  }
  {
    auto blocks = a.handle.protect_blocks({3});
    refused("protect_blocks");
  }
  {
    auto scope = b.handle.as_guest(a.handle);
    refused("as_guest");
  }
  {
    auto pass = a.handle.managed_forward(s);
    refused("forward pass");
  }
  auto reserved = b.handle.reserve_for_resident(a.handle);
  refused("reservation");
  reserved.release();
  r.sched().remove_runtime(a.handle);
  EXPECT_EQ(caught([&] { r.sched().remove_runtime(a.handle); }).code(), errc::closed);
  EXPECT_EQ(caught([&] { (void)a.handle.managed_forward(s); }).code(), errc::closed);
  EXPECT_EQ(caught([&] { (void)b.handle.keep_resident(a.handle); }).code(), errc::closed);
  EXPECT_EQ(a.handle.name(), "a");
  EXPECT_TRUE(eventually([&] { return r.sched().statistics().used_bytes == 0; })) << "once a prefetch has ended";
  EXPECT_EQ(r.sched().statistics().runtimes.size(), 1u);
}

TEST(hostile_order, runtimes_come_and_go_while_others_work) {
  rig r{{.vram_budget = 8 * block_bytes}};
  auto steady = r.add("steady", 12, block_bytes);
  host_model bytes(3, block_bytes, 99);
  core::atomic<bool> done{false};
  std::thread churn([&] {
    while (!done.load(core::order::acquire)) {
      const runtime brief = r.sched().add_runtime("brief", bytes.model());
      {
        const stream s = r.device().create_stream();
        auto pass = brief.managed_forward(s, {.wraps = false});
        for (const block_index b : brief.blocks()) (void)pass.use(b);
      }
      r.sched().remove_runtime(brief);
    }
  });
  on_threads(4, [&](int) {
    for (int i = 0; i < 20; ++i) r.run(steady);
  });
  done.store(true, core::order::release);
  churn.join();
  EXPECT_EQ(r.sched().statistics().runtimes.size(), 1u);
}

TEST(hostile_order, handles_of_two_schedulers_dont_mix) {
  rig one{{.vram_budget = 4_MiB}};
  rig two{{.vram_budget = 4_MiB}};
  auto a = one.add("a", 2, block_bytes);
  auto b = two.add("b", 2, block_bytes);
  const stream s = two.device().create_stream();
  const error e = caught([&] { (void)a.handle.keep_resident(b.handle); });
  EXPECT_EQ(e.code(), errc::invalid_argument);
  EXPECT_NE(std::string(e.what()).find("another scheduler"), std::string::npos) << e.what();
  EXPECT_EQ(caught([&] { (void)a.handle.as_guest(b.handle); }).code(), errc::invalid_argument);
  EXPECT_EQ(caught([&] { (void)a.handle.reserve_for_resident(b.handle); }).code(), errc::invalid_argument);
  EXPECT_EQ(caught([&] { (void)a.handle.managed_forward(s); }).code(), errc::invalid_argument);
  EXPECT_EQ(caught([&] { one.sched().remove_runtime(b.handle); }).code(), errc::invalid_argument);
  EXPECT_FALSE(a.handle.release_reservation(b.handle));
  EXPECT_EQ(caught([&] { (void)runtime().keep_resident(); }).code(), errc::invalid_argument);
}

TEST(hostile_order, a_pass_that_ends_before_its_use_says_so_and_nothing_breaks) {
  rig r{{.vram_budget = 4_MiB}};
  auto a = r.add("a", 4, block_bytes);
  const stream s = r.device().create_stream();
  auto pass = a.handle.managed_forward(s);
  auto held = pass.use(0);
  pass.end();
  EXPECT_TRUE(r.logged("before 1 of its uses"));
  r.check(held, a, s);
  held.end();
  s.synchronize();
}

TEST(hostile_order, bad_options_name_the_value_and_the_limit) {
  auto dev = open_device("emulated:vram=16MiB");
  const auto text = [&](const scheduler_options& o) {
    const error e = caught([&] { scheduler sched(*dev, o); });
    EXPECT_EQ(e.code(), errc::invalid_argument);
    return std::string(e.what());
  };
  EXPECT_NE(text({.vram_budget = 17_MiB}).find("17.00 MiB"), std::string::npos);
  EXPECT_NE(text({.vram_budget = 8_MiB, .max_vram_budget = 4_MiB}).find("4.00 MiB"), std::string::npos);
  EXPECT_NE(text({.high_watermark = 0.5, .low_watermark = 0.6}).find("0.6"), std::string::npos);
  EXPECT_NE(text({.page_bytes = 3000}).find("3000"), std::string::npos);
  EXPECT_NE(text({.chunk_bytes = 1000}).find("1000"), std::string::npos);
  EXPECT_NE(text({.staging_slabs = 0}).find("1 to 1024"), std::string::npos);
  EXPECT_NE(text({.max_runtimes = 5000}).find("4096"), std::string::npos);
  EXPECT_EQ(emulated::live_resources(*dev).arena_bytes, 0u);
  EXPECT_EQ(emulated::live_resources(*dev).streams, 0u);
}

TEST(hostile_order, staging_memory_that_is_refused_is_refused_with_the_devices_reason) {
  rig r{{.vram_budget = 4_MiB}};
  for (const errc code : {errc::out_of_memory, errc::device_error}) {
    emulated::inject(r.device(), {.where = emulated::call::allocate_pinned, .after = 0, .code = code});
    EXPECT_EQ(caught([&] { (void)r.add("staged", 1, 4096, {.pinned = false}); }).code(), code);
  }
  r.run(r.add("staged", 1, 4096, {.pinned = false}));
}

TEST(hostile_order, limits_are_named) {
  rig r{{.vram_budget = 4_MiB}};
  auto a = r.add("a", 4, 4096);
  const auto refused = [](const std::string& limit, const std::function<void()>& call) {
    const error e = caught(call);
    EXPECT_EQ(e.code(), errc::limit);
    EXPECT_NE(std::string(e.what()).find(limit), std::string::npos) << e.what();
  };
  std::vector<byte_reservation> bytes;
  for (int i = 0; i < 256; ++i) bytes.push_back(r.sched().budget().reserve_bytes(4096, "workspace"));
  refused("256", [&] { (void)r.sched().budget().reserve_bytes(4096, "one more"); });
  bytes.clear();
  std::vector<block_guard> guards;
  for (int i = 0; i < 2048; ++i) guards.push_back(a.handle.protect_blocks({1, 2}));
  refused("2048", [&] { (void)a.handle.protect_blocks({0, 1}); });
  refused("2048", [&] { (void)a.handle.protect_blocks(std::vector<block_index>(5000, 3)); });
  guards.clear();
  std::vector<guest_guard> guests;
  for (int i = 0; i < 4095; ++i) guests.push_back(a.handle.as_guest());
  refused("4095", [&] { (void)a.handle.as_guest(); });
  guests.clear();
  r.run(a);
  r.sched().remove_runtime(a.handle);  // every one of them was given back
}

TEST(hostile_order, the_table_of_runtimes_is_bounded_and_slots_come_back) {
  rig r{{.vram_budget = 4_MiB, .max_runtimes = 2}};
  auto a = r.add("a", 1, 4096);
  auto b = r.add("b", 1, 4096);
  EXPECT_EQ(caught([&] { (void)r.add("c", 1, 4096); }).code(), errc::limit);
  r.run(a);
  r.sched().remove_runtime(a.handle);
  auto c = r.add("c", 1, 4096);
  r.run(c);
  r.run(b);
}

/// Work that oneTBB's workers don't come back from.
struct long_work {
  core::atomic<int> begun{0};
  core::atomic<int> ended{0};
  core::atomic<bool> over{false};
  void run() noexcept {
    begun.fetch_add(1, core::order::relaxed);
    while (!over.load(core::order::acquire)) std::this_thread::yield();
    ended.fetch_add(1, core::order::release);
  }
};

TEST(hostile_order, blocks_are_read_also_when_all_of_onetbbs_workers_are_in_other_work) {
  rig r{{.vram_budget = 4_MiB, .load_deadline = std::chrono::seconds(10)}};
  auto a = r.add("a", 8, block_bytes, {.pinned = false});
  const int workers = std::max(1, tbb::info::default_concurrency() - 1);
  tbb::task_arena elsewhere(workers, 0);
  long_work work;
  for (int i = 0; i < workers; ++i) residency::run_in_arena<long_work, &long_work::run>(elsewhere, work);
  EXPECT_TRUE(eventually([&] { return work.begun.load(core::order::relaxed) == workers; }));
  EXPECT_NO_THROW(r.run(a));
  work.over.store(true, core::order::release);
  EXPECT_TRUE(eventually([&] { return work.ended.load(core::order::acquire) == workers; }));
}

}  // namespace
}  // namespace pinrail::test
