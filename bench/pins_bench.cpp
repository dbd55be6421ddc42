// Holding a resident block: ours on a null device, against what people hold a block with otherwise.
#include <benchmark/benchmark.h>
#include <tbb/spin_rw_mutex.h>

#include <shared_mutex>
#include <thread>
#include <unordered_map>

#include "core/block.hpp"
#include "support/resident_set.hpp"

namespace pinrail::bench {
namespace {

constexpr set_shape shape{.blocks = 1024};
constexpr std::uint32_t blocks_between_threads = 64;

/// Each thread has a block of its own, far from the others'; or all have one.
std::uint32_t block_of(const benchmark::State& state, bool one_block) {
  return one_block ? 0 : static_cast<std::uint32_t>(state.thread_index()) * blocks_between_threads;
}

// ---- bare instructions ----------------------------------------------------------------------------------------

struct alignas(128) padded_word {
  core::atomic<std::uint64_t> word{0};
};
padded_word words[16];

/// With two threads it is the control: threads that share nothing. Where it does not reach about twice the rate of one,
/// the machine's cores were not free, and figures of two threads mean nothing.
void fetch_add_sub(benchmark::State& state) {
  auto& word = words[state.thread_index()].word;
  for (auto _ : state) {
    word.fetch_add(1, core::order::acq_rel);
    word.fetch_sub(1, core::order::release);
  }
}
BENCHMARK(fetch_add_sub)->Threads(1)->Threads(2)->UseRealTime();

void block_word_pin_unpin(benchmark::State& state) {
  core::block<core::native_atomics> block;
  (void)block.word.begin_load();
  block.word.publish();
  for (auto _ : state) {
    benchmark::DoNotOptimize(block.word.pin());
    block.word.unpin();
  }
  require(state, block.word.load().resident() && block.word.load().pins() == 0, "the block was not resident");
}
BENCHMARK(block_word_pin_unpin)->UseRealTime();

// ---- ours -------------------------------------------------------------------------------------------------------

void set_up(const benchmark::State&) { (void)shared_set(shape); }

void check(benchmark::State& state) {
  resident_set& set = shared_set(shape);
  if (state.thread_index() == 0)
    require(state, set.complete() && set.at(0).statistics().loads == shape.blocks, "blocks were not resident");
}

void pin_unpin(benchmark::State& state, bool one_block) {
  const runtime mine = shared_set(shape).at(0);
  const block_index block = block_of(state, one_block);
  for (auto _ : state) {
    auto pin = mine.try_pin(block);
    benchmark::DoNotOptimize(pin->device_ptr());
  }
  check(state);
}
BENCHMARK_CAPTURE(pin_unpin, own_block, false)->Setup(set_up)->Threads(1)->Threads(2)->UseRealTime();
BENCHMARK_CAPTURE(pin_unpin, one_block, true)->Setup(set_up)->Threads(2)->UseRealTime();

void use_of_resident_block(benchmark::State& state, bool one_block) {
  resident_set& set = shared_set(shape);
  const block_index block = block_of(state, one_block);
  {
    const stream s = set.device().create_stream();
    auto pass = set.at(0).managed_forward(s, {.prefetch_blocks = 0});
    for (auto _ : state) {
      auto held = pass.try_use(block);
      benchmark::DoNotOptimize(held->device_ptr());
    }
  }
  check(state);
}
BENCHMARK_CAPTURE(use_of_resident_block, own_block, false)->Setup(set_up)->Threads(1)->Threads(2)->UseRealTime();
BENCHMARK_CAPTURE(use_of_resident_block, one_block, true)->Setup(set_up)->Threads(2)->UseRealTime();

/// Another thread evicts other blocks of the same runtime all the time, by using blocks that find no room. The time is
/// the pinning thread's own.
void pin_unpin_while_evicting(benchmark::State& state) {
  resident_set set({.blocks = 1024, .absent = 1024, .threaded = true});
  set.at(0).pin(0).end();
  const std::uint64_t victims_before = set.victims();
  core::atomic<bool> stop{false};
  std::thread evictor([&] {
    const stream s = set.device().create_stream();
    auto pass = set.absent().managed_forward(s, {.order = order::data_dependent});
    auto own = set.at(0).managed_forward(s, {.order = order::data_dependent});
    for (std::uint32_t b = 0; !stop.load(core::order::relaxed); ++b) {
      pass.use(b % 1024).end();
      own.use(1 + b % 1023).end();
    }
  });
  while (set.victims() == victims_before) std::this_thread::yield();
  {
    const block_pin held = set.at(0).pin(0);  // so that it is not a victim between two pins of the loop
    for (auto _ : state) {
      auto pin = set.at(0).try_pin(0);
      benchmark::DoNotOptimize(pin->device_ptr());
    }
  }
  stop.store(true, core::order::relaxed);
  evictor.join();
  const std::uint64_t victims = set.victims() - victims_before;
  require(state, victims > 0, "nothing was evicted");
  state.counters["victims"] = static_cast<double>(victims);
}
BENCHMARK(pin_unpin_while_evicting);

// ---- what people use ---------------------------------------------------------------------------------------------

/// A map of blocks under a shared mutex, which is held for the use.
void shared_mutex_over_block_map(benchmark::State& state) {
  static std::shared_mutex mutex;
  static const std::unordered_map<std::uint32_t, void*> blocks = [] {
    std::unordered_map<std::uint32_t, void*> all;
    for (std::uint32_t b = 0; b < shape.blocks; ++b) all[b] = words;
    return all;
  }();
  const std::uint32_t block = block_of(state, false);
  for (auto _ : state) {
    const std::shared_lock lock(mutex);
    benchmark::DoNotOptimize(blocks.find(block)->second);
  }
}
BENCHMARK(shared_mutex_over_block_map)->Threads(1)->Threads(2)->UseRealTime();

/// A reader-writer lock for each block, held for the use.
void spin_rw_mutex_of_block(benchmark::State& state, bool one_block) {
  struct alignas(128) locked_block {
    tbb::spin_rw_mutex mutex;
    void* address = words;
  };
  static std::vector<locked_block> blocks(shape.blocks);
  locked_block& block = blocks[block_of(state, one_block)];
  for (auto _ : state) {
    const tbb::spin_rw_mutex::scoped_lock lock(block.mutex, false);
    benchmark::DoNotOptimize(block.address);
  }
}
BENCHMARK_CAPTURE(spin_rw_mutex_of_block, own_block, false)->Threads(1)->Threads(2)->UseRealTime();
BENCHMARK_CAPTURE(spin_rw_mutex_of_block, one_block, true)->Threads(2)->UseRealTime();

}  // namespace
}  // namespace pinrail::bench
