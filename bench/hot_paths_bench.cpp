// Pins: the public use of a resident block, on a null device, against what people hold a block with otherwise.
#include <benchmark/benchmark.h>
#include <tbb/spin_rw_mutex.h>

#include <memory>
#include <shared_mutex>
#include <unordered_map>

#include "core/block.hpp"
#include "pinrail/pinrail.hpp"
#include "support/null_backend.hpp"

namespace pinrail::bench {
namespace {

constexpr std::uint64_t block_bytes = 4096;

/// A scheduler on a null device, and one runtime of so many resident blocks.
class resident_runtime {
 public:
  explicit resident_runtime(std::uint32_t blocks)
      : device_(std::make_shared<pinrail::device>(std::make_unique<null_backend>(2 * blocks * block_bytes))),
        sched_(*device_, {.high_watermark = 1, .page_bytes = block_bytes}) {
    static std::byte memory[block_bytes];
    std::vector<memory_block> all(blocks, {"b", {memory, block_bytes}});
    runtime_ = sched_.add_runtime("r", model_from_memory(all, {.pinned = true}));
    (void)runtime_.keep_resident({.load = true});
  }
  [[nodiscard]] pinrail::device& device() { return *device_; }
  [[nodiscard]] runtime& get() { return runtime_; }

 private:
  std::shared_ptr<pinrail::device> device_;
  scheduler sched_;
  runtime runtime_;
};

void fetch_add_sub(benchmark::State& state) {
  core::atomic<std::uint64_t> word{0};
  for (auto _ : state) {
    word.fetch_add(1, core::order::acq_rel);
    word.fetch_sub(1, core::order::release);
  }
}
BENCHMARK(fetch_add_sub);

void block_word_pin_unpin(benchmark::State& state) {
  core::block<core::native_atomics> block;
  (void)block.word.begin_load();
  block.word.publish();
  for (auto _ : state) {
    benchmark::DoNotOptimize(block.word.pin());
    block.word.unpin();
  }
}
BENCHMARK(block_word_pin_unpin);

void use_of_resident_block(benchmark::State& state) {
  static resident_runtime* shared = nullptr;
  if (state.thread_index() == 0) shared = new resident_runtime(1024);
  std::optional<stream> s;
  std::optional<forward_pass> pass;
  const auto block = static_cast<block_index>(state.thread_index() * 64);
  for (auto _ : state) {
    if (!pass) {
      s = shared->device().create_stream();
      pass = shared->get().managed_forward(*s, {.prefetch_blocks = 0});
    }
    auto held = pass->try_use(block);
    benchmark::DoNotOptimize((*held).device_ptr());
  }
  pass.reset();
  s.reset();
  if (state.thread_index() == 0) {
    delete shared;
  }
}
BENCHMARK(use_of_resident_block);

void shared_mutex_over_block_map(benchmark::State& state) {
  static std::shared_mutex mutex;
  static std::unordered_map<std::uint32_t, void*> blocks = [] {
    std::unordered_map<std::uint32_t, void*> all;
    for (std::uint32_t b = 0; b < 1024; ++b) all[b] = &all;
    return all;
  }();
  const auto block = static_cast<std::uint32_t>(state.thread_index() * 64);
  for (auto _ : state) {
    const std::shared_lock lock(mutex);
    benchmark::DoNotOptimize(blocks.find(block)->second);
  }
}
BENCHMARK(shared_mutex_over_block_map)->Threads(1)->Threads(2);

void keep_resident(benchmark::State& state) {
  resident_runtime r(static_cast<std::uint32_t>(state.range(0)));
  for (auto _ : state) {
    auto guard = r.get().try_keep_resident();
    benchmark::DoNotOptimize(guard);
  }
}
BENCHMARK(keep_resident)->Arg(50)->Arg(1000);

}  // namespace
}  // namespace pinrail::bench

BENCHMARK_MAIN();
