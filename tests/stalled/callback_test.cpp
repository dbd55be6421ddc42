// A thread of the user's, or one that runs the user's code, is held in a callback; the others go on.
#include <future>

#include "stalled/experiment.hpp"
#include "support/rig.hpp"

namespace pinrail::test {
namespace {

/// Holds whoever comes by first until it is opened; lets all others through.
class first_held {
 public:
  void pass() {
    if (came_.exchange(true, core::order::acq_rel)) return;
    held_.set_value();
    opened_.wait();
  }
  /// False if no one came by in time.
  [[nodiscard]] bool await_held() { return is_held_.wait_for(std::chrono::seconds(20)) == std::future_status::ready; }
  void open() { open_.set_value(); }

 private:
  core::atomic<bool> came_{false};
  std::promise<void> held_, open_;
  std::shared_future<void> is_held_{held_.get_future()}, opened_{open_.get_future()};
};

struct stalled_callback : testing::Test {
  static constexpr std::uint64_t page = rig::page_bytes;
  static constexpr unsigned crowd = 3;
  static constexpr unsigned rounds = 200;

  first_held callback;
  rig r{{.vram_budget = 16 * page, .high_watermark = 1, .chunk_bytes = 64 << 10, .staging_slabs = 2}};
  named_runtime pinned = r.add("pinned", 2, page);
  named_runtime reserved = r.add("reserved", 2, page);
  named_runtime visitor = r.add("visitor", 2, page);
  named_runtime cycle = r.add("cycle", 4, page);
  residency_guard guard = pinned.handle.keep_resident();
  reservation share = cycle.handle.reserve_for_resident({.bytes = 3 * page});
  std::vector<stream> streams;
  core::atomic<std::uint64_t> done{0};

  stalled_callback() {
    r.run(pinned);
    r.run(cycle);
    for (unsigned t = 0; t < crowd + 1; ++t) streams.push_back(r.device().create_stream());
  }

  /// Everything that is not to wait, over and over, on several threads. They must come to the end before the deadline.
  void expect_others_go_on(bool loads = true) {
    std::promise<void> ended;
    std::thread others([&] {
      on_threads(crowd, [&](int t) {
        for (unsigned i = 0; i < rounds; ++i) everything_once(streams[static_cast<unsigned>(t)], i, loads);
      });
      ended.set_value();
    });
    EXPECT_EQ(ended.get_future().wait_for(std::chrono::seconds(20)), std::future_status::ready) << "others can't go on";
    fmt::print("others did {} operations meanwhile\n", done.load());
    RecordProperty("operations_of_others", std::to_string(done.load()));
    callback.open();
    others.join();
    EXPECT_GE(done.load(), std::uint64_t{crowd} * rounds * 7);
  }

  void everything_once(stream_ref s, unsigned i, bool loads) {
    const auto count = [this](bool ok) { done.fetch_add(ok); };
    {
      auto pass = pinned.handle.managed_forward(s, {.prefetch_blocks = 0});
      count(pass.try_use(i % 2).has_value());
    }
    count(pinned.handle.keep_resident().active());
    count(pinned.handle.protect_blocks({i % 2}).active());
    count(pinned.handle.is_resident(i % 2));
    count(reserved.handle.try_reserve_for_resident({.bytes = 2 * page}).has_value());
    count(reserved.handle.release_reservation() || true);
    count(visitor.handle.as_guest().active());
    if (!loads) return;
    auto pass = cycle.handle.managed_forward(s, {.prefetch_blocks = 0});
    auto held = pass.use(i % 4);  // evicts another one now and then
    r.check(held, cycle, s);
    count(true);
  }
};

TEST_F(stalled_callback, in_the_log_while_a_block_is_evicted) {
  r.on_log = [this](std::string_view text) {
    if (text.find("extreme pressure") != std::string_view::npos) callback.pass();
  };
  const auto secondary = r.add("secondary", 4, page);
  const auto held = secondary.handle.reserve_for_resident({.priority = priority::secondary});
  const auto more = r.add("more", 7, page);
  const auto kept = more.handle.keep_resident();
  r.run(secondary);
  r.run(more);  // memory is full, and all of it is held
  const auto demand = r.add("demand", 1, page);
  std::thread caller([&] { r.run(demand); });
  EXPECT_TRUE(callback.await_held());
  expect_others_go_on();
  caller.join();
  EXPECT_GE(secondary.handle.statistics().secondary_evictions, 1u);
}

TEST_F(stalled_callback, in_the_read_of_a_source) {
  const model slow =
      model_from_callback({{"block", page}}, [this](block_index, std::uint64_t, std::span<std::byte> to) {
        callback.pass();
        std::memset(to.data(), 1, to.size());
        return true;
      });
  const runtime reading = r.sched().add_runtime("reading", slow);
  std::thread caller([&] {
    auto pass = reading.managed_forward(streams[crowd], {.prefetch_blocks = 0});
    auto held = pass.use(0);
  });
  EXPECT_TRUE(callback.await_held());
  expect_others_go_on();
  caller.join();
}

TEST_F(stalled_callback, in_a_kernel) {
  // The block is used by a kernel that goes on; its use has ended, so it may be evicted.
  const stream_ref busy = streams[crowd];
  {
    auto pass = cycle.handle.managed_forward(busy, {.prefetch_blocks = 0});
    auto held = pass.use(cycle.handle.is_resident(0) ? 0 : 3);
    emulated::launch(busy, [this] { callback.pass(); });
  }
  EXPECT_TRUE(callback.await_held());
  expect_others_go_on(false);  // copies into memory that the kernel uses wait for it, and others behind them
  busy.synchronize();
}

TEST_F(stalled_callback, between_two_uses) {
  std::thread caller([&] {
    auto kept = pinned.handle.keep_resident();
    auto guest = visitor.handle.as_guest();
    auto pass = cycle.handle.managed_forward(streams[crowd], {.prefetch_blocks = 0});
    auto held = pass.use(0);
    callback.pass();
  });
  EXPECT_TRUE(callback.await_held());
  expect_others_go_on();
  caller.join();
}

}  // namespace
}  // namespace pinrail::test
