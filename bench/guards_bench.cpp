// keep_resident and protect_blocks, at any number of blocks.
#include <benchmark/benchmark.h>

#include <numeric>

#include "support/resident_set.hpp"

namespace pinrail::bench {
namespace {

set_shape shape_of(const benchmark::State& state) { return {.blocks = static_cast<std::uint32_t>(state.range(0))}; }

void set_up(const benchmark::State& state) { (void)shared_set(shape_of(state)); }

void keep_resident(benchmark::State& state) {
  resident_set& set = shared_set(shape_of(state));
  const runtime mine = set.at(0);
  for (auto _ : state) {
    auto guard = mine.try_keep_resident();
    benchmark::DoNotOptimize(guard->active());
  }
  if (state.thread_index() != 0) return;
  require(state, set.complete(), "blocks were not resident");
  require(state, mine.statistics().guards == 0, "a guard was left");
}
BENCHMARK(keep_resident)->Setup(set_up)->Arg(50)->Arg(1'000)->Arg(100'000)->Arg(1'000'000);
BENCHMARK(keep_resident)->Setup(set_up)->Arg(1'000)->Threads(2)->UseRealTime();

/// Beginning and end; the time of one block is this by their number.
void protect_blocks(benchmark::State& state) {
  resident_set& set = shared_set({.blocks = 2 * static_cast<std::uint32_t>(state.range(0))});
  std::vector<block_index> chosen(static_cast<std::size_t>(state.range(0)));
  for (std::size_t i = 0; i < chosen.size(); ++i) chosen[i] = static_cast<block_index>(2 * i);
  for (auto _ : state) {
    auto guard = set.at(0).try_protect_blocks(chosen);
    benchmark::DoNotOptimize(guard->active());
  }
  require(state, set.complete(), "blocks were not resident");
}
BENCHMARK(protect_blocks)->Arg(10'000);

}  // namespace
}  // namespace pinrail::bench
