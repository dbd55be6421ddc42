// Reservations, guests, and the statistics snapshot.
#include <benchmark/benchmark.h>

#include <map>
#include <mutex>

#include "support/resident_set.hpp"

namespace pinrail::bench {
namespace {

constexpr set_shape shape{.runtimes = 16, .blocks = 16'000};

void set_up(const benchmark::State&) { (void)shared_set(shape); }

void reserve_release(benchmark::State& state) {
  resident_set& set = shared_set(shape);
  const runtime mine = set.at(static_cast<std::size_t>(state.thread_index()));
  std::uint64_t refused = 0;
  for (auto _ : state) {
    auto handle = mine.try_reserve_for_resident();
    if (handle) handle->release();
    refused += !handle;
  }
  require(state, refused == 0, "a reservation was refused");
  if (state.thread_index() == 0 && state.threads() == 1)
    require(state, set.sched().statistics().reserved_bytes == 0, "a reservation was left");
}
BENCHMARK(reserve_release)->Setup(set_up)->Threads(1)->Threads(2)->UseRealTime();

/// What a service would do: a mutex, the sum of what is promised, a map of who has what.
void reserve_release_under_mutex(benchmark::State& state) {
  static std::mutex mutex;
  static std::map<int, std::uint64_t> shares;
  static std::uint64_t promised = 0;
  constexpr std::uint64_t budget = 1 << 20;
  const int mine = state.thread_index();
  std::uint64_t refused = 0;
  for (auto _ : state) {
    {
      const std::lock_guard lock(mutex);
      if (promised + 1000 <= budget && shares.emplace(mine, 1000).second) {
        promised += 1000;
      } else {
        ++refused;
      }
    }
    const std::lock_guard lock(mutex);
    promised -= 1000;
    shares.erase(mine);
  }
  require(state, refused == 0, "a reservation was refused");
}
BENCHMARK(reserve_release_under_mutex)->Threads(1)->Threads(2)->UseRealTime();

/// A guest without resident blocks, so that only the grant is measured.
void guest_admit_leave(benchmark::State& state) {
  resident_set set({.blocks = 1000, .absent = 64});
  for (auto _ : state) {
    auto scope = set.absent().try_as_guest(set.absent());
    benchmark::DoNotOptimize(scope->active());
  }
  require(state, set.absent().statistics().reservation == reservation_kind::none, "a guest was left");
}
BENCHMARK(guest_admit_leave);

void reserve_bytes(benchmark::State& state) {
  resident_set set({.blocks = 1000});
  auto room = set.sched().budget().reserve_bytes(64 * page_bytes, "room");  // evicts once
  room.end();
  std::uint64_t refused = 0;
  for (auto _ : state) {
    auto handle = set.sched().budget().try_reserve_bytes(64 * page_bytes, "workspace");
    refused += !handle;
  }
  require(state, refused == 0, "bytes were refused");
}
BENCHMARK(reserve_bytes);

void statistics_snapshot(benchmark::State& state) {
  resident_set& set = shared_set(shape);
  std::uint64_t resident = 0;
  for (auto _ : state) {
    const statistics now = set.sched().statistics();
    resident = 0;
    for (const runtime_statistics& r : now.runtimes) resident += r.resident_blocks;
  }
  require(state, resident == shape.blocks, "blocks were not resident");
}
BENCHMARK(statistics_snapshot)->Setup(set_up);

}  // namespace
}  // namespace pinrail::bench
