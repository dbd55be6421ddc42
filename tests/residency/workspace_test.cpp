// Workspaces: memory by stream order out of the budget. Kernels write and compare its bytes, the device's checker looks
// at the order, and the rig at what is left over.
#include "pinrail/workspace.hpp"

#include <array>
#include <random>

#include "support/rig.hpp"
#include "support/seed.hpp"

namespace pinrail::test {
namespace {

constexpr std::uint64_t block_bytes = 64_KiB;

/// Enqueues a kernel that fills memory.
void fill(stream_ref stream, void* memory, std::uint64_t size_bytes, std::uint8_t value) {
  const emulated::access touched{memory, size_bytes, true};
  emulated::launch(stream, [=] { std::memset(memory, value, size_bytes); }, {&touched, 1});
}

/// Enqueues a kernel that counts a wrong byte.
void expect_filled(stream_ref stream, const void* memory, std::uint64_t size_bytes, std::uint8_t value,
                   core::atomic<std::uint64_t>& wrong) {
  const emulated::access touched{memory, size_bytes, false};
  emulated::launch(stream,
                   [=, &wrong] {
                     const auto* bytes = static_cast<const std::uint8_t*>(memory);
                     for (std::uint64_t i = 0; i < size_bytes; ++i)
                       if (bytes[i] != value) return static_cast<void>(wrong.fetch_add(1, core::order::relaxed));
                   },
                   {&touched, 1});
}

scheduler_options budget_of(std::uint64_t blocks) {
  return {.vram_budget = blocks * block_bytes, .high_watermark = 1, .load_deadline = std::chrono::milliseconds(200)};
}

TEST(workspace, its_bytes_stay_while_weights_stream_around_it) {
  rig r{budget_of(8)};
  const auto a = r.add("a", 16, block_bytes);
  workspace w(r.sched(), {.name = "scratch"});
  const stream s = r.device().create_stream();
  core::atomic<std::uint64_t> wrong{0};
  void* const memory = w.allocate(2 * block_bytes + 1, s);
  ASSERT_NE(memory, nullptr);
  EXPECT_EQ(w.used_bytes(), 2 * block_bytes + rig::page_bytes);
  EXPECT_EQ(r.sched().statistics().reserved_bytes, w.used_bytes());
  fill(s, memory, 2 * block_bytes + 1, 0x5a);
  r.run(a);
  expect_filled(s, memory, 2 * block_bytes + 1, 0x5a, wrong);
  w.deallocate(memory, 2 * block_bytes + 1, s);
  s.synchronize();
  EXPECT_EQ(wrong.load(), 0u);
  EXPECT_EQ(w.used_bytes(), 0u);
  EXPECT_EQ(w.peak_used_bytes(), 2 * block_bytes + rig::page_bytes);
  EXPECT_EQ(r.sched().statistics().reserved_bytes, 0u);
  r.run(a);
  EXPECT_TRUE(eventually([&] { return r.sched().statistics().used_bytes == r.resident(a).size() * block_bytes; }))
      << "nothing but weights, once no load is under way";
  EXPECT_EQ(r.sched().first_error(), std::nullopt);
}

TEST(workspace, weights_leave_for_it) {
  rig r{budget_of(8)};
  const auto a = r.add("a", 8, block_bytes);
  r.run(a);
  ASSERT_EQ(r.resident(a).size(), 8u);
  workspace w(r.sched());
  const stream s = r.device().create_stream();
  void* const memory = w.allocate(3 * block_bytes, s);
  EXPECT_EQ(r.resident(a).size(), 5u);
  EXPECT_EQ(a.handle.statistics().victims[static_cast<std::size_t>(eviction_cause::budget)], 3u);
  EXPECT_LE(r.sched().statistics().used_bytes, 8 * block_bytes);
  fill(s, memory, 3 * block_bytes, 1);
  w.deallocate(memory, 3 * block_bytes, s);
}

TEST(workspace, others_get_freed_memory_at_once_and_wait_for_it_on_the_device) {
  rig r{budget_of(4)};
  workspace w(r.sched());
  const stream s = r.device().create_stream();
  const stream t = r.device().create_stream();
  core::atomic<std::uint64_t> wrong{0};
  core::atomic<std::uint64_t> ran{0};
  gate held;
  void* const first = w.allocate(4 * block_bytes, s);
  held.hold(s);
  fill(s, first, 4 * block_bytes, 1);
  expect_filled(s, first, 4 * block_bytes, 1, wrong);
  w.deallocate(first, 4 * block_bytes, s);
  EXPECT_EQ(r.sched().statistics().used_bytes, 4 * block_bytes) << "freed, but its kernels have not run";
  void* const second = w.allocate(4 * block_bytes, t);  // with the CPU waiting this would fail at the deadline
  EXPECT_EQ(second, first);
  fill(t, second, 4 * block_bytes, 2);
  emulated::launch(t, [&] { ran.store(1, core::order::release); });
  EXPECT_EQ(ran.load(core::order::acquire), 0u) << "the other stream has not got that far";
  held.open();
  expect_filled(t, second, 4 * block_bytes, 2, wrong);
  w.deallocate(second, 4 * block_bytes, t);
  s.synchronize();
  t.synchronize();
  EXPECT_EQ(wrong.load(), 0u);
}

TEST(workspace, blocks_get_freed_memory_too) {
  rig r{budget_of(4)};
  const auto a = r.add("a", 4, block_bytes);
  workspace w(r.sched());
  const stream s = r.device().create_stream();
  const stream t = r.device().create_stream();
  core::atomic<std::uint64_t> wrong{0};
  gate held;
  void* const memory = w.allocate(4 * block_bytes, s);
  held.hold(s);
  fill(s, memory, 4 * block_bytes, 3);
  expect_filled(s, memory, 4 * block_bytes, 3, wrong);
  w.deallocate(memory, 4 * block_bytes, s);
  {
    auto pass = a.handle.managed_forward(t, {.prefetch_blocks = 0, .wraps = false});
    for (const block_index b : a.handle.blocks()) r.check(pass.use(b), a, t);
  }
  held.open();
  t.synchronize();
  s.synchronize();
  EXPECT_EQ(wrong.load(), 0u);
}

TEST(workspace, it_waits_for_kernels_of_the_blocks_that_left) {
  rig r{budget_of(4)};
  const auto a = r.add("a", 4, block_bytes);
  workspace w(r.sched());
  const stream s = r.device().create_stream();
  const stream t = r.device().create_stream();
  gate held;
  {
    auto pass = a.handle.managed_forward(s, {.prefetch_blocks = 0, .wraps = false});
    for (const block_index b : a.handle.blocks()) {
      auto u = pass.use(b);
      if (b == 0) held.hold(s);
      r.check(u, a, s);
    }
  }
  void* const memory = w.allocate(4 * block_bytes, t);
  fill(t, memory, 4 * block_bytes, 9);
  held.open();
  w.deallocate(memory, 4 * block_bytes, t);
  t.synchronize();
  s.synchronize();
}

TEST(workspace, what_others_were_granted_it_does_not_get) {
  rig r{budget_of(8)};
  const auto a = r.add("a", 6, block_bytes);
  auto reserved = a.handle.reserve_for_resident();
  workspace w(r.sched(), {.name = "scratch"});
  const stream s = r.device().create_stream();
  // Nothing of it is loaded: the memory is there, and promised.
  const auto refused = w.try_allocate(3 * block_bytes, s);
  EXPECT_EQ(refused.code(), errc::out_of_memory);
  EXPECT_EQ(refused.why().needed_bytes, 3 * block_bytes);
  EXPECT_EQ(refused.why().available_bytes, 2 * block_bytes);
  EXPECT_EQ(r.sched().statistics().reserved_bytes, 6 * block_bytes) << "a refusal leaves nothing reserved";
  r.run(a);
  const error e = caught([&] { (void)w.allocate(3 * block_bytes, s); });
  EXPECT_EQ(e.code(), errc::out_of_memory);
  EXPECT_NE(std::string(e.what()).find("a: reserved primary"), std::string::npos) << e.what();
  EXPECT_EQ(r.resident(a).size(), 6u);
  void* const memory = w.allocate(2 * block_bytes, s);
  EXPECT_EQ(r.resident(a).size(), 6u);
  w.deallocate(memory, 2 * block_bytes, s);
  reserved.release();
  void* const more = w.allocate(3 * block_bytes, s);  // the same call, later
  w.deallocate(more, 3 * block_bytes, s);
}

TEST(workspace, nobody_is_granted_what_it_has_out) {
  rig r{budget_of(8)};
  const auto a = r.add("a", 8, block_bytes);
  const auto b = r.add("b", 4, block_bytes);
  workspace w(r.sched(), {.name = "scratch"});
  const stream s = r.device().create_stream();
  void* const memory = w.allocate(5 * block_bytes, s);
  const error e = caught([&] { (void)b.handle.reserve_for_resident(); });
  EXPECT_EQ(e.code(), errc::insufficient_headroom);
  EXPECT_NE(std::string(e.what()).find("scratch: bytes reserved"), std::string::npos) << e.what();
  EXPECT_EQ(b.handle.try_as_guest(a.handle).code(), errc::none) << "its minimum is two blocks, and three are left";
  w.deallocate(memory, 5 * block_bytes, s);
  auto reserved = b.handle.reserve_for_resident();
  EXPECT_EQ(reserved.share_bytes(), 4 * block_bytes);
}

TEST(workspace, a_standing_share_is_its_own_from_the_beginning) {
  rig r{budget_of(8)};
  const auto a = r.add("a", 16, block_bytes);
  std::optional<workspace> w(std::in_place, r.sched(),
                             workspace_options{.name = "scratch", .share_bytes = 2 * block_bytes});
  EXPECT_EQ(r.sched().statistics().reserved_bytes, 2 * block_bytes);
  auto reserved = a.handle.reserve_for_resident();
  EXPECT_EQ(reserved.share_bytes(), 6 * block_bytes) << "a default reservation leaves it out";
  r.run(a);
  const stream s = r.device().create_stream();
  void* const one = w->allocate(block_bytes, s);
  void* const two = w->allocate(block_bytes, s);
  EXPECT_EQ(r.sched().statistics().reserved_bytes, 8 * block_bytes) << "what is within the share counts once";
  EXPECT_EQ(w->try_allocate(1, s).code(), errc::out_of_memory);
  w->deallocate(one, block_bytes, s);
  w->deallocate(two, block_bytes, s);
  EXPECT_EQ(r.sched().statistics().reserved_bytes, 8 * block_bytes) << "it stays";
  const error e = caught([&] { workspace another(r.sched(), {.name = "another", .share_bytes = block_bytes}); });
  EXPECT_EQ(e.code(), errc::insufficient_headroom);
  w.reset();
  EXPECT_EQ(r.sched().statistics().reserved_bytes, 6 * block_bytes);
  workspace another(r.sched(), {.name = "another", .share_bytes = block_bytes});
}

TEST(workspace, a_limit_and_the_budget_bound_it) {
  rig r{budget_of(8)};
  workspace w(r.sched(), {.limit_bytes = 2 * block_bytes});
  const stream s = r.device().create_stream();
  EXPECT_EQ(w.try_allocate(3 * block_bytes, s).code(), errc::too_large);
  void* const memory = w.allocate(block_bytes, s);
  EXPECT_EQ(w.try_allocate(block_bytes + 1, s).code(), errc::out_of_memory);
  w.deallocate(memory, block_bytes, s);
  EXPECT_EQ(*w.try_allocate(0, s), nullptr);
  w.deallocate(nullptr, 0, s);
  workspace free(r.sched());
  const error e = caught([&] { (void)free.allocate(9 * block_bytes, s); });
  EXPECT_EQ(e.code(), errc::too_large);
  EXPECT_EQ(e.available_bytes(), 8 * block_bytes);
  EXPECT_EQ(free.try_allocate(UINT64_MAX, s).code(), errc::too_large);
}

TEST(workspace, blocks_in_use_or_kept_stay_and_the_refusal_can_be_retried) {
  rig r{budget_of(4)};
  const auto a = r.add("a", 4, block_bytes);
  workspace w(r.sched(), {.deadline = std::chrono::milliseconds(20)});
  const stream s = r.device().create_stream();
  r.run(a);
  auto kept = a.handle.keep_resident();
  const error e = caught([&] { (void)w.allocate(block_bytes, s); });
  EXPECT_EQ(e.code(), errc::out_of_memory);
  ASSERT_FALSE(e.blockers().empty());
  EXPECT_EQ(e.blockers().front().why, blocker::reason::kept);
  EXPECT_EQ(r.resident(a).size(), 4u);
  EXPECT_EQ(w.used_bytes(), 0u);
  EXPECT_EQ(r.sched().statistics().reserved_bytes, 0u);
  kept.end();
  void* const memory = w.allocate(block_bytes, s);
  w.deallocate(memory, block_bytes, s);
}

TEST(workspace, it_waits_until_someone_lets_go) {
  rig r{{.vram_budget = 4 * block_bytes, .high_watermark = 1}};
  workspace w(r.sched());
  const stream s = r.device().create_stream();
  void* const all = w.allocate(4 * block_bytes, s);
  // No headroom: refused at once. With headroom, for room: waits.
  EXPECT_EQ(w.try_allocate(block_bytes, s).code(), errc::out_of_memory);
  w.deallocate(all, 4 * block_bytes, s);
  const auto a = r.add("a", 4, block_bytes);
  // While freed pages are looked at they are not free, so a load may evict a block instead.
  ASSERT_TRUE(eventually([&] {
    r.run(a);
    return r.resident(a).size() == 4;
  }));
  auto kept = a.handle.keep_resident();
  std::thread other([&] {
    void* const memory = w.allocate(block_bytes, s);
    w.deallocate(memory, block_bytes, s);
  });
  EXPECT_TRUE(eventually([&] { return w.used_bytes() != 0; }));
  kept.end();
  other.join();
}

TEST(workspace, what_is_not_out_can_not_be_given_back) {
  rig r{budget_of(8)};
  workspace w(r.sched());
  const stream s = r.device().create_stream();
  auto* const memory = static_cast<std::byte*>(w.allocate(2 * block_bytes, s));
  std::byte elsewhere{};
  EXPECT_EQ(w.try_deallocate(memory, block_bytes, s).code(), errc::invalid_argument) << "another size";
  EXPECT_EQ(w.try_deallocate(memory + rig::page_bytes, block_bytes, s).code(), errc::invalid_argument);
  EXPECT_EQ(w.try_deallocate(memory + 1, 2 * block_bytes, s).code(), errc::invalid_argument);
  EXPECT_EQ(w.try_deallocate(&elsewhere, 1, s).code(), errc::invalid_argument);
  EXPECT_EQ(w.try_deallocate(memory, 0, s).code(), errc::invalid_argument);
  EXPECT_TRUE(w.try_deallocate(memory, 2 * block_bytes, s));
  EXPECT_EQ(w.try_deallocate(memory, 2 * block_bytes, s).code(), errc::invalid_argument) << "twice";
  EXPECT_EQ(r.sched().first_error(), std::nullopt);
  w.deallocate(memory, 2 * block_bytes, s);
  EXPECT_NE(r.sched().first_error().value_or("").find("workspace 'workspace'"), std::string::npos);
  const auto other = open_device("emulated:vram=1MiB");
  const stream foreign = other->create_stream();
  EXPECT_EQ(w.try_allocate(1, foreign).code(), errc::invalid_argument);
  EXPECT_EQ(workspace().try_allocate(1, s).code(), errc::invalid_argument);
}

TEST(workspace, a_workspace_that_ends_with_memory_out_says_so) {
  rig r{budget_of(8)};
  const stream s = r.device().create_stream();
  {
    workspace w(r.sched(), {.name = "leaky"});
    (void)w.allocate(block_bytes, s);
  }
  EXPECT_NE(r.sched().first_error().value_or("").find("'leaky' ended while 64.00 KiB"), std::string::npos);
  EXPECT_EQ(r.sched().statistics().reserved_bytes, block_bytes) << "they stay reserved";
}

TEST(workspace, after_its_scheduler_it_is_inert) {
  rig r{budget_of(8)};
  const stream s = r.device().create_stream();
  workspace w(r.sched());
  void* const memory = w.allocate(block_bytes, s);
  r.finish();
  EXPECT_EQ(w.try_allocate(block_bytes, s).code(), errc::closed);
  EXPECT_TRUE(w.try_deallocate(memory, block_bytes, s));
}

TEST(workspace, a_device_that_refuses_an_event_or_a_wait_loses_nothing) {
  rig r{budget_of(4)};
  workspace w(r.sched());
  const stream s = r.device().create_stream();
  const stream t = r.device().create_stream();
  gate held;
  void* memory = w.allocate(4 * block_bytes, s);
  emulated::inject(r.device(), {.where = emulated::call::record_event});
  fill(s, memory, 4 * block_bytes, 1);
  EXPECT_TRUE(w.try_deallocate(memory, 4 * block_bytes, s)) << "the CPU has waited";
  memory = w.allocate(4 * block_bytes, t);
  fill(t, memory, 4 * block_bytes, 2);
  w.deallocate(memory, 4 * block_bytes, t);
  memory = w.allocate(4 * block_bytes, s);
  held.hold(s);
  w.deallocate(memory, 4 * block_bytes, s);
  emulated::inject(r.device(), {.where = emulated::call::wait_event});
  EXPECT_EQ(w.try_allocate(4 * block_bytes, t).code(), errc::device_error);
  EXPECT_EQ(w.used_bytes(), 0u);
  memory = w.allocate(4 * block_bytes, t);
  fill(t, memory, 4 * block_bytes, 2);
  w.deallocate(memory, 4 * block_bytes, t);
  held.open();
}

TEST(workspace, eight_threads_with_streams_of_their_own_and_weights_between) {
  const std::uint64_t seed = run_seed();
  rig r{{.vram_budget = 24 * block_bytes, .load_deadline = std::chrono::seconds(60)}};
  const auto a = r.add("a", 20, block_bytes);
  const auto b = r.add("b", 12, block_bytes);
  workspace w(r.sched(), {.share_bytes = 4 * block_bytes, .deadline = std::chrono::seconds(60)});
  core::atomic<std::uint64_t> wrong{0};
  core::atomic<std::uint64_t> taken{0};
  on_threads(8, [&](int thread) {
    std::mt19937_64 random(seed + static_cast<std::uint64_t>(thread));
    const std::array streams{r.device().create_stream(), r.device().create_stream()};
    for (int i = 0; i < 40; ++i) {
      if (random() % 8 == 0) {
        r.run(random() % 2 == 0 ? a : b, {static_cast<block_index>(random() % 12)});
        continue;
      }
      if (random() % 8 == 0) {
        auto reserved = a.handle.try_reserve_for_resident({.bytes = 3 * block_bytes});
        if (reserved) (*reserved).release();
      }
      const stream& s = streams[random() % 2];
      const std::uint64_t size_bytes = 1 + random() % (2 * block_bytes);
      const auto memory = w.try_allocate(size_bytes, s);
      if (!memory) {
        EXPECT_EQ(memory.code(), errc::out_of_memory);
        continue;
      }
      taken.fetch_add(1);
      const auto value = static_cast<std::uint8_t>(random());
      fill(s, *memory, size_bytes, value);
      expect_filled(s, *memory, size_bytes, value, wrong);
      EXPECT_LE(r.sched().statistics().used_bytes, 24 * block_bytes);
      EXPECT_TRUE(w.try_deallocate(*memory, size_bytes, s));
    }
    for (const stream& s : streams) s.synchronize();
  });
  EXPECT_EQ(wrong.load(), 0u);
  EXPECT_GT(taken.load(), 8u * 10);
  EXPECT_EQ(w.used_bytes(), 0u);
  EXPECT_EQ(r.sched().statistics().reserved_bytes, 4 * block_bytes) << "its standing share";
  EXPECT_LE(r.sched().statistics().peak_used_bytes, 24 * block_bytes);
  EXPECT_EQ(r.sched().first_error(), std::nullopt);
}

TEST(workspace, the_c_functions_take_from_the_one_that_is_bound) {
  rig r{budget_of(8)};
  workspace w(r.sched());
  const stream s = r.device().create_stream();
  w.add_stream(s);
  EXPECT_EQ(pinrail_workspace_alloc(block_bytes, 3, s.native_handle()), nullptr) << "none is bound";
  bind_workspace(3, w);
  void* const memory = pinrail_workspace_alloc(block_bytes, 3, s.native_handle());
  ASSERT_NE(memory, nullptr);
  EXPECT_EQ(w.used_bytes(), block_bytes);
  fill(s, memory, block_bytes, 1);
  EXPECT_EQ(pinrail_workspace_alloc(block_bytes, 2, s.native_handle()), nullptr) << "another device";
  EXPECT_EQ(pinrail_workspace_alloc(block_bytes, -1, s.native_handle()), nullptr);
  EXPECT_EQ(pinrail_workspace_alloc(9 * block_bytes, 3, s.native_handle()), nullptr);
  EXPECT_TRUE(r.logged("576.00 KiB refused: too_large"));
  EXPECT_EQ(pinrail_workspace_alloc(block_bytes, 3, nullptr), nullptr) << "no such stream";
  EXPECT_TRUE(r.logged("not_supported"));
  pinrail_workspace_free(memory, block_bytes, 3, s.native_handle());
  EXPECT_EQ(w.used_bytes(), 0u);
  unbind_workspace(3);
  EXPECT_EQ(pinrail_workspace_alloc(block_bytes, 3, s.native_handle()), nullptr);
  pinrail_workspace_free(memory, block_bytes, 3, s.native_handle());
  EXPECT_EQ(caught([&] { bind_workspace(64, w); }).code(), errc::invalid_argument);
}

TEST(workspace, a_binding_may_change_while_it_is_used) {
  rig r{budget_of(8)};
  const stream s = r.device().create_stream();
  on_threads(4, [&](int thread) {
    for (int i = 0; i < 50; ++i) {
      if (thread == 0) {
        workspace w(r.sched());
        w.add_stream(s);
        bind_workspace(5, w);
        unbind_workspace(5);
      } else if (void* const memory = pinrail_workspace_alloc(1, 5, s.native_handle())) {
        // Its workspace may be gone by now: then the memory stays reserved, and that is said.
        pinrail_workspace_free(memory, 1, 5, s.native_handle());
      }
    }
  });
  unbind_workspace(5);
}

TEST(workspace, works_on_a_simulated_device) {
  const auto device = open_device("simulated:vram=64MiB,h2d=1GB/s");
  scheduler sched(*device, {.vram_budget = 8_MiB});
  std::vector<block_info> blocks(8, {"b", 1_MiB, {}});
  auto a = sched.add_runtime("a", model_from_callback(blocks, [](auto...) { return true; }));
  const stream s = device->create_stream();
  workspace w(sched);
  auto pass = a.managed_forward(s);
  for (const block_index b : a.blocks()) (void)pass.use(b);
  pass.end();
  void* const memory = w.allocate(3_MiB, s);
  EXPECT_EQ(a.statistics().resident_blocks, 5u);
  w.deallocate(memory, 3_MiB, s);
}

}  // namespace
}  // namespace pinrail::test
