// Paced plans at work: on a simulated device, where times are exact, and on an emulated one, where bytes are.
#include <numeric>

#include "pinrail/simulated.hpp"
#include "support/rig.hpp"

namespace pinrail::test {
namespace {

constexpr std::uint64_t block_bytes = 64_MiB;
constexpr std::uint64_t copy_ns = 2'000'000;  // of a block
constexpr std::uint64_t bytes_per_second = block_bytes * 1'000'000'000 / copy_ns;
constexpr std::uint32_t blocks = 48;

/// One runtime on a simulated device, walked round and round.
class cyclic_run {
 public:
  cyclic_run(std::uint32_t share_blocks, double copy_per_compute, scheduler_options options = {})
      : cyclic_run(std::vector(blocks, block_bytes), share_blocks * block_bytes, copy_per_compute, std::move(options)) {
  }
  cyclic_run(const std::vector<std::uint64_t>& sizes_bytes, std::uint64_t share_bytes, double copy_per_compute,
             scheduler_options options = {})
      : device_(open_device("simulated:vram=8GiB,h2d=" + std::to_string(bytes_per_second))),
        sched_(*device_, with_budget(std::move(options), share_bytes)),
        stream_(device_->create_stream()) {
    std::vector<block_info> all;
    for (const std::uint64_t size : sizes_bytes) {
      all.push_back({std::to_string(all.size()), size, {}});
      const double copied_ns = static_cast<double>(size * copy_ns) / block_bytes;
      compute_ns_.push_back(static_cast<std::uint64_t>(copied_ns / copy_per_compute));
    }
    model_ = sched_.add_runtime("model", model_from_callback(all, [](auto...) { return true; }));
    pass_ = model_.managed_forward(stream_);
  }

  struct measured {
    double step_ns = 0;
    double loads = 0;
    double bound_ns = 0;
  };
  measured steps(std::uint32_t count) {
    stream_.synchronize();
    const std::uint64_t began_ns = device_->now_ns();
    const std::uint64_t loads = model_.statistics().loads;
    addresses_.clear();
    for (std::uint32_t s = 0; s < count; ++s) step();
    stream_.synchronize();
    measured m{.step_ns = static_cast<double>(device_->now_ns() - began_ns) / count,
               .loads = static_cast<double>(model_.statistics().loads - loads) / count};
    m.bound_ns = std::max(std::accumulate(compute_ns_.begin(), compute_ns_.end(), 0.0), m.loads * copy_ns);
    return m;
  }

  /// By step, where each block was.
  [[nodiscard]] const std::vector<std::vector<void*>>& addresses() const { return addresses_; }
  [[nodiscard]] runtime& model() { return model_; }
  [[nodiscard]] scheduler& sched() { return sched_; }

 private:
  static scheduler_options with_budget(scheduler_options o, std::uint64_t share_bytes) {
    o.vram_budget = share_bytes;
    if (o.max_vram_budget == 0) o.max_vram_budget = 40 * block_bytes;
    o.load_deadline = std::chrono::hours(1);
    return o;
  }
  void step() {
    auto& here = addresses_.emplace_back();
    for (const block_index b : model_.blocks()) {
      auto held = pass_.use(b);
      here.push_back(held.device_ptr());
      simulated::launch(stream_, compute_ns_[b]);
    }
  }

  std::vector<std::uint64_t> compute_ns_;  ///< by block
  std::shared_ptr<device> device_;
  scheduler sched_;
  stream stream_;
  runtime model_;
  forward_pass pass_;
  std::vector<std::vector<void*>> addresses_;
};

constexpr std::uint32_t warm_up = 8;

TEST(paced_plan, a_step_takes_no_longer_than_computing_or_copying) {
  for (const std::uint32_t share : {12u, 24u, 36u}) {
    for (const double ratio : {0.25, 0.5, 1.0, 1.25, 1.75, 2.0, 3.0, 4.0}) {
      cyclic_run run(share, ratio);
      run.steps(warm_up);
      const auto m = run.steps(4);
      EXPECT_LE(m.step_ns, 1.02 * m.bound_ns) << share << " of 48, copy/compute " << ratio;
      const bool third_slot = share == 12 && ratio == 1.25;  // core/plan_test.cpp says why
      EXPECT_LE(m.loads, blocks - share + (third_slot ? 3.0 : 2.0)) << share << " of 48, copy/compute " << ratio;
    }
  }
}

TEST(paced_plan, without_it_the_same_takes_longer) {
  cyclic_run run(24, 2, {.paced_plans = false});
  run.steps(warm_up);
  const auto m = run.steps(4);
  EXPECT_GT(m.step_ns, 1.3 * m.bound_ns);
  EXPECT_EQ(run.model().statistics().plan.slots, 0u);
}

TEST(paced_plan, every_block_keeps_its_address) {
  for (const double ratio : {0.5, 2.0}) {
    cyclic_run run(24, ratio);
    run.steps(warm_up);
    run.steps(6);
    for (const auto& step : run.addresses()) EXPECT_EQ(step, run.addresses().front()) << ratio;
  }
}

TEST(paced_plan, nothing_is_loaded_but_what_it_streams) {
  for (std::uint32_t share = 8; share <= 40; ++share) {
    for (const double ratio : {0.5, 1.0, 2.0}) {
      cyclic_run run(share, ratio);
      run.steps(2 * warm_up);
      const auto m = run.steps(4);
      EXPECT_EQ(m.loads, run.model().statistics().plan.streamed_blocks) << share << " of 48, copy/compute " << ratio;
    }
  }
}

/// 19 blocks of one size and 38 of another, as FLUX.1-dev has them: what is free is in pieces at first, too small for
/// the larger ones.
TEST(paced_plan, free_memory_becomes_one_piece) {
  std::vector<std::uint64_t> sizes(19, 648 * 16_KiB);
  sizes.insert(sizes.end(), 38, 270 * 16_KiB);
  const std::uint64_t footprint_bytes = std::accumulate(sizes.begin(), sizes.end(), std::uint64_t{0});
  for (const std::uint64_t share : {25u, 50u, 75u, 90u}) {
    for (const double ratio : {0.5, 1.0, 2.0}) {
      const std::uint64_t share_bytes = footprint_bytes * share / 100;
      cyclic_run run(sizes, share_bytes, ratio, {.max_vram_budget = share_bytes});
      run.steps(2 * warm_up);
      const std::uint64_t moves = run.model().statistics().moves;
      const auto m = run.steps(4);
      EXPECT_EQ(m.loads, run.model().statistics().plan.streamed_blocks) << share << " %, copy/compute " << ratio;
      EXPECT_EQ(run.model().statistics().moves, moves) << "no more than once";
      for (const auto& step : run.addresses()) EXPECT_EQ(step, run.addresses().front()) << ratio;
    }
  }
}

TEST(paced_plan, it_is_made_anew_when_the_budget_changes) {
  cyclic_run run(24, 2);
  run.steps(warm_up);
  const auto before = run.model().statistics().plan;
  ASSERT_NE(before.slots, 0u);
  run.sched().set_vram_budget(36 * block_bytes);
  run.steps(warm_up);
  const auto after = run.model().statistics().plan;
  EXPECT_GE(before.streamed_blocks - after.streamed_blocks, 12u);
  const auto m = run.steps(4);
  EXPECT_LE(m.step_ns, 1.02 * m.bound_ns);
}

TEST(paced_plan, it_says_what_it_does) {
  cyclic_run run(24, 2);
  run.steps(warm_up);
  const auto m = run.steps(4);
  const auto plan = run.model().statistics().plan;
  EXPECT_EQ(plan.streamed_bytes, plan.streamed_blocks * block_bytes);
  EXPECT_NEAR(plan.step_ns, m.step_ns, 0.02 * m.step_ns);
  EXPECT_NEAR(plan.compute_ns, blocks * copy_ns / 2.0, 0.02 * blocks * copy_ns);
  EXPECT_NEAR(plan.copy_ns, static_cast<double>(plan.streamed_blocks * copy_ns), 0.02 * plan.copy_ns);
}

TEST(paced_plan, bytes_are_right_through_slots_on_real_threads) {
  constexpr std::uint64_t small = 256_KiB;
  rig r{{.vram_budget = 8 * small}, "emulated:vram=64MiB,h2d=500MB/s"};
  auto a = r.add("a", 12, small);
  const auto reserved = a.handle.reserve_for_resident({.bytes = 6 * small});
  const stream s = r.device().create_stream();
  auto pass = a.handle.managed_forward(s);
  const auto step = [&] {
    for (const block_index b : a.handle.blocks()) {
      r.check(pass.use(b), a, s);
      emulated::launch(s, [] { std::this_thread::sleep_for(std::chrono::microseconds(300)); });
    }
  };
  EXPECT_TRUE(eventually([&] {
    step();
    return a.handle.statistics().plan.slots != 0;
  }));
  for (int i = 0; i < 20; ++i) step();
  pass.end();
  s.synchronize();
  EXPECT_LE(a.handle.statistics().peak_resident_bytes, 6 * small);
}

}  // namespace
}  // namespace pinrail::test
