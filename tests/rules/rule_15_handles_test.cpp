// Rule 15: every handle may be used from any thread; a runtime may have several live passes on several streams.
#include <random>

#include "support/rig.hpp"
#include "support/seed.hpp"

namespace pinrail::test {
namespace {

constexpr std::uint64_t block_bytes = 64_KiB;

TEST(rule_15, handles_move_between_threads) {
  rig r{{.vram_budget = 8 * block_bytes}};
  auto a = r.add("a", 12, block_bytes);
  stream s = r.device().create_stream();
  auto pass = a.handle.managed_forward(s);
  for (const block_index b : a.handle.blocks()) {
    std::thread([&, held = pass.use(b)]() mutable {
      r.check(held, a, s);
      held.end();
    }).join();
  }
  std::thread([p = std::move(pass)]() mutable { p.end(); }).join();
  std::thread([moved = std::move(s)] { moved.synchronize(); }).join();
}

TEST(rule_15, sixty_four_passes_are_live_at_once_and_one_more_is_refused) {
  rig r{{.vram_budget = 8 * block_bytes}};
  auto a = r.add("a", 4, block_bytes);
  const stream s = r.device().create_stream();
  std::vector<forward_pass> passes;
  for (int i = 0; i < 64; ++i) passes.push_back(a.handle.managed_forward(s, {.prefetch_blocks = 0}));
  const error e = caught([&] { (void)a.handle.managed_forward(s); });
  EXPECT_EQ(e.code(), errc::limit);
  EXPECT_NE(std::string(e.what()).find("64"), std::string::npos);
  passes.pop_back();
  r.check(a.handle.managed_forward(s).use(0), a, s);
  s.synchronize();
}

TEST(rule_15, one_stream_is_used_by_several_threads) {
  rig r{{.vram_budget = 6 * block_bytes}};
  auto a = r.add("a", 16, block_bytes);
  const stream s = r.device().create_stream();
  on_threads(8, [&](int t) {
    auto pass = a.handle.managed_forward(s, {.prefetch_blocks = 1});
    for (int i = 0; i < 64; ++i) r.check(pass.use(static_cast<block_index>((i * 3 + t) % 16)), a, s);
  });
  s.synchronize();
}

// Everything at once, from eight threads: the order checker, the bytes and the budget are looked at by the rig.
TEST(rule_15, random_calls_from_eight_threads) {
  const std::uint64_t seed = run_seed();
  rig r{{.vram_budget = 20 * block_bytes, .load_deadline = std::chrono::seconds(60)}};
  std::vector<named_runtime> all;
  all.push_back(r.add("even", 12, block_bytes));
  all.push_back(r.add("mixed", {block_bytes, 3 * block_bytes, block_bytes / 2, 2 * block_bytes, block_bytes, 5000}));
  all.push_back(r.add("staged", 8, block_bytes, {.pinned = false}));
  on_threads(8, [&](int t) {
    std::mt19937_64 random(seed + static_cast<std::uint64_t>(t));
    const stream s = r.device().create_stream();
    for (int i = 0; i < 40; ++i) {
      const named_runtime& mine = all[random() % all.size()];
      const named_runtime& target = all[random() % all.size()];
      pass_options options{.prefetch_blocks = static_cast<std::uint32_t>(random() % 4), .wraps = random() % 2 == 0};
      if (random() % 4 == 0) options.order = order::reverse;
      if (random() % 6 == 0) options.order = order::data_dependent;
      residency_guard guard;
      block_guard some;
      if (random() % 4 == 0) some = target.handle.protect_blocks({static_cast<block_index>(random() % 4)});
      auto pass = mine.handle.managed_forward(s, options);
      const auto n = mine.handle.block_count();
      for (std::uint32_t k = 0; k < n; ++k) {
        const block_index b = options.order.type() == order::kind::reverse ? n - 1 - k : k;
        if (random() % 8 == 0)
          guard = mine.handle.try_keep_resident(target.handle) ? residency_guard{} : residency_guard{};
        r.check(pass.use(b), mine, s);
      }
    }
    s.synchronize();
  });
}

TEST(rule_15, byte_reservations_come_and_go_while_their_names_are_read) {
  rig r{{.vram_budget = 8 * block_bytes}};
  core::atomic<bool> done{false};
  std::thread reader([&] {
    while (!done.load(core::order::acquire))
      for (const blocker& b : r.sched().blockers()) EXPECT_TRUE(b.name == "workspace" || b.name == "kv") << b.name;
  });
  for (int i = 0; i < 3000; ++i) auto bytes = r.sched().budget().reserve_bytes(4096, i % 2 == 0 ? "workspace" : "kv");
  done.store(true, core::order::release);
  reader.join();
}

}  // namespace
}  // namespace pinrail::test
