// Choosing and claiming a victim: 16 runtimes with live passes, blocks of four sizes, a quarter of them protected.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <optional>

#include "baselines/victims.hpp"
#include "residency/victims.hpp"
#include "support/resident_set.hpp"

namespace pinrail::bench {
namespace {

using residency::runtime_state;

constexpr std::uint32_t runtimes = 16;

set_shape shape_of(std::int64_t blocks) {
  return {.runtimes = runtimes, .blocks = static_cast<std::uint32_t>(blocks), .four_sizes = true};
}

/// The set, with a live pass for each runtime and every fourth block protected.
class busy_set {
 public:
  explicit busy_set(std::int64_t blocks) : set_(shared_set(shape_of(blocks))), stream_(set_.device().create_stream()) {
    for (std::uint32_t r = 0; r < runtimes; ++r) {
      runtime& each = set_.at(r);
      passes_.push_back(each.managed_forward(stream_, {.prefetch_blocks = 2}));
      each.state()->blocks().live_passes().set_pace(0, 1000 + 100 * r);  // they differ, as those of models do
      std::vector<block_index> chosen;
      for (block_index b = r % 4; b < each.block_count(); b += 4) chosen.push_back(b);
      guards_.push_back(each.protect_blocks(std::move(chosen)));
    }
  }
  [[nodiscard]] resident_set& set() { return set_; }

 private:
  resident_set& set_;
  stream stream_;
  std::vector<forward_pass> passes_;
  std::vector<block_guard> guards_;
};

std::optional<busy_set> busy;

void set_up(const benchmark::State& state) { busy.emplace(state.range(0)); }
void tear_down(const benchmark::State&) { busy.reset(); }

/// Moves the cursors of runtimes, as uses do.
class walkers {
 public:
  walkers(resident_set& set, std::uint32_t first, std::uint32_t step) : set_(set), step_(step), at_(first) {
    for (std::uint32_t r = 0; r < runtimes; ++r) {
      cursors_[r] = {};
      cursors_[r].live = true;
      cursors_[r].window = 2;
      cursors_[r].done = set.at(r).block_count() * r / runtimes;
    }
  }
  void advance() {
    at_ = (at_ + step_) % runtimes;
    auto& blocks = set_.at(at_).state()->blocks();
    cursors_[at_].done = (cursors_[at_].done + 1) % blocks.size();
    blocks.live_passes().advance(0, cursors_[at_]);
  }

 private:
  resident_set& set_;
  std::uint32_t step_;
  std::uint32_t at_;
  std::array<core::pass_cursor, runtimes> cursors_;
};

/// What was evicted, and is put back.
struct evicted {
  runtime_state* runtime = nullptr;
  std::uint32_t position = 0;
  residency::extent room;
};

/// `victims.cpp` without a request's loop: the best victim, and the claim.
bool evict_one(residency::scheduler_state& s, const residency::room_request& request, evicted& out) {
  const residency::scheduler_state::reading inside(s);
  for (int attempt = 0; attempt < residency::claim_attempts; ++attempt) {
    const auto v = residency::choose_victim(s, request);
    if (!v) return false;
    if (!residency::evict_chosen(s, request, *v, out.room)) continue;
    out.runtime = s.runtime_at(v->runtime);
    out.position = v->position;
    return true;
  }
  return false;
}

/// What a load does once it has room, but for the copy: as `submit` and `publish` in the library.
void reload(residency::scheduler_state& s, const evicted& e) {
  runtime_state& r = *e.runtime;
  auto& block = r.at(e.position);
  (void)r.try_charge(e.room.run.count, s.table().capacity_pages());
  if (!block.word.begin_load()) std::abort();
  s.arena().set_owner(e.room.run, {r.index(), e.position});
  r.stats.hold(e.room.run.count);
  block.set_run(e.room.run);
  block.ready.store(0, core::order::relaxed);
  block.uses.clear();
  r.stats.resident_blocks.fetch_add(1, core::order::relaxed);
  if (block.word.publish().candidate()) r.blocks().offer(e.position);
}

void check(benchmark::State& state, std::uint64_t missed) {
  require(state, missed == 0, "there was no victim");
  if (state.thread_index() == 0 && state.threads() == 1)
    require(state, busy->set().complete(), "blocks were not resident");
}

/// Ours: the library's choice and claim, and the reload of the same block.
void select_claim_reload(benchmark::State& state) {
  resident_set& set = busy->set();
  auto& s = set.state();
  walkers walk(set, static_cast<std::uint32_t>(state.thread_index()), static_cast<std::uint32_t>(state.threads()));
  const residency::room_request request{.runtime = nullptr, .pages = 1};
  evicted e;
  std::uint64_t missed = 0;
  for (auto _ : state) {
    walk.advance();
    if (evict_one(s, request, e)) {
      reload(s, e);
    } else {
      ++missed;
    }
  }
  check(state, missed);
}
BENCHMARK(select_claim_reload)
    ->Setup(set_up)
    ->Teardown(tear_down)
    ->Arg(1'000)
    ->Arg(10'000)
    ->Arg(100'000)
    ->Arg(1'000'000)
    ->Threads(1)
    ->Threads(2)
    ->UseRealTime();

/// The choice alone.
void select_only(benchmark::State& state) {
  resident_set& set = busy->set();
  auto& s = set.state();
  walkers walk(set, 0, 1);
  const residency::room_request request{.runtime = nullptr, .pages = 1};
  std::uint64_t missed = 0;
  for (auto _ : state) {
    walk.advance();
    const residency::scheduler_state::reading inside(s);
    const auto v = residency::choose_victim(s, request);
    benchmark::DoNotOptimize(v);
    missed += !v.has_value();
  }
  check(state, missed);
}
// The large set first: it is there already.
BENCHMARK(select_only)->Setup(set_up)->Teardown(tear_down)->Arg(1'000'000)->Arg(1'000)->UseRealTime();

/// 64 victims in a row, as for a large block or a shrinking budget; the time is that of one.
void select_claim_batch_of_64(benchmark::State& state) {
  resident_set& set = busy->set();
  auto& s = set.state();
  walkers walk(set, 0, 1);
  const residency::room_request request{.runtime = nullptr, .pages = 1};
  std::array<evicted, 64> batch;
  std::uint64_t missed = 0;
  while (state.KeepRunningBatch(64)) {
    walk.advance();
    std::size_t have = 0;
    while (have < batch.size() && evict_one(s, request, batch[have])) ++have;
    missed += batch.size() - have;
    while (have > 0) reload(s, batch[--have]);
  }
  check(state, missed);
}
BENCHMARK(select_claim_batch_of_64)->Setup(set_up)->Teardown(tear_down)->Arg(1'000)->Arg(1'000'000)->UseRealTime();

// ---- the public API ------------------------------------------------------------------------------------------------

struct place {
  std::uint32_t runtime = 0;
  block_index block = 0;
};

std::vector<place> absent_blocks(resident_set& set) {
  std::vector<place> found;
  for (std::uint32_t r = 0; r < runtimes; ++r)
    for (const block_index b : set.at(r).blocks())
      if (!set.at(r).is_resident(b)) found.push_back({r, b});
  return found;
}

std::uint64_t loads(resident_set& set) {
  std::uint64_t sum = 0;
  for (const runtime& r : set.all()) sum += r.statistics().loads;
  return sum;
}

/// The use of an absent block with memory full: choice, claim, load, publication, and the device's bookkeeping, by the
/// one thread of a scheduler without a transfer thread. A fifth of the blocks is absent.
void use_of_absent_block(benchmark::State& state, bool four_sizes) {
  resident_set& set = shared_set({.runtimes = runtimes,
                                  .blocks = static_cast<std::uint32_t>(state.range(0)),
                                  .four_sizes = four_sizes,
                                  .budget_percent = 80});
  const stream s = set.device().create_stream();
  std::vector<forward_pass> passes;
  for (runtime& r : set.all()) passes.push_back(r.managed_forward(s, {.prefetch_blocks = 0}));
  std::vector<place> absent = absent_blocks(set);
  const std::uint64_t loads_before = loads(set);
  const std::uint64_t victims_before = set.victims();
  for (auto _ : state) {
    if (absent.empty()) {
      state.PauseTiming();
      absent = absent_blocks(set);
      state.ResumeTiming();
    }
    passes[absent.back().runtime].use(absent.back().block).end();
    absent.pop_back();
  }
  const auto iterations = static_cast<std::uint64_t>(state.iterations());
  require(state, loads(set) - loads_before == iterations, "blocks were not absent");
  require(state, set.victims() - victims_before >= iterations / 8, "memory was not full");
}
BENCHMARK_CAPTURE(use_of_absent_block, one_size, false)->Arg(1'000)->Arg(100'000)->Arg(1'000'000);
BENCHMARK_CAPTURE(use_of_absent_block, four_sizes, true)->Arg(1'000)->Arg(10'000)->Arg(100'000)->Arg(1'000'000);

// ---- what people use ---------------------------------------------------------------------------------------------

template <class Baseline>
struct made {
  static inline std::unique_ptr<Baseline> it;
  static inline std::int64_t blocks = 0;
  static void set_up(const benchmark::State& state) {
    if (it != nullptr && blocks == state.range(0)) return;
    it.reset();
    blocks = state.range(0);
    it = std::make_unique<Baseline>(static_cast<std::uint32_t>(blocks * 3 / 4));
  }
};

template <class Baseline>
void baseline(benchmark::State& state) {
  Baseline& b = *made<Baseline>::it;
  const std::size_t before = b.size();
  score_source scores(static_cast<std::uint64_t>(state.thread_index()) + 7);
  for (auto _ : state) benchmark::DoNotOptimize(b.select_claim_reload(scores));
  if (state.threads() == 1) require(state, b.size() == before, "blocks were lost");
}
#define PINRAIL_VICTIM_BASELINE(type) \
  BENCHMARK_TEMPLATE(baseline, type)  \
      ->Setup(made<type>::set_up)     \
      ->Arg(1'000)                    \
      ->Arg(1'000'000)                \
      ->Threads(1)                    \
      ->Threads(2)                    \
      ->UseRealTime()
PINRAIL_VICTIM_BASELINE(set_under_mutex);
PINRAIL_VICTIM_BASELINE(lazy_heap_under_mutex);
PINRAIL_VICTIM_BASELINE(tbb_priority_queue);
PINRAIL_VICTIM_BASELINE(lockfree_second_chance);
BENCHMARK_TEMPLATE(baseline, scan_and_sort)
    ->Setup(made<scan_and_sort>::set_up)
    ->Arg(1'000)
    ->Arg(1'000'000)
    ->UseRealTime();

}  // namespace
}  // namespace pinrail::bench
