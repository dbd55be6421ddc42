// Bytes per second through the scheduler, against bare copies of the same device, and the CPU time of a load.
//
// The emulated device copies real bytes and takes at least as long as its rate says; the rate is one that this
// machine's memory can keep up with.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "support/resident_set.hpp"

namespace pinrail::bench {
namespace {

constexpr std::uint64_t bytes_per_second = 2'000'000'000;
constexpr std::uint64_t arena_blocks = 4;  ///< room for so many blocks; the others stream
/// Of a pass: fewer where they take long.
std::uint32_t blocks_of(std::uint64_t block_bytes) { return block_bytes < (64u << 20) ? 16 : 8; }

std::shared_ptr<device> limited_device(std::uint64_t block_bytes) {
  return open_device(fmt::format("emulated:vram={},h2d={},check=off", arena_blocks * block_bytes, bytes_per_second));
}

/// Host memory of all blocks: they share it, so that blocks of 1 GiB fit. Written once, so that its pages are there.
class host_memory {
 public:
  host_memory(device& on, std::uint64_t size_bytes)
      : device_(on), memory_(std::move(on.backend().allocate_pinned(size_bytes)).value()), size_bytes_(size_bytes) {
    std::memset(memory_, 1, size_bytes);
  }
  host_memory(const host_memory&) = delete;
  host_memory& operator=(const host_memory&) = delete;
  ~host_memory() { device_.backend().free_pinned(memory_); }
  [[nodiscard]] std::span<std::byte> bytes() const { return {memory_, size_bytes_}; }

 private:
  device& device_;
  std::byte* memory_;
  std::uint64_t size_bytes_;
};

/// Copies enqueued one after another on one stream, as far ahead as it takes them.
void copies_bare(benchmark::State& state) {
  const auto size = static_cast<std::uint64_t>(state.range(0));
  const std::uint32_t blocks = blocks_of(size);
  const auto dev = limited_device(size);
  auto& backend = dev->backend();
  const host_memory host(*dev, size);
  std::byte* const arena = std::move(backend.allocate_arena(arena_blocks * size)).value();
  const auto stream = std::move(backend.create_stream()).value();
  const auto copy = [&](std::uint64_t i) {
    const auto done = backend.copy(stream, devices::direction::host_to_device, arena + i % arena_blocks * size,
                                   host.bytes().data(), size);
    require(state, done.has_value(), "a copy was refused");
  };
  for (std::uint64_t i = 0; i < arena_blocks; ++i) copy(i);  // the arena's pages are there from now on
  (void)backend.synchronize_stream(stream);
  for (auto _ : state) {
    for (std::uint32_t b = 0; b < blocks; ++b) copy(b);
    (void)backend.synchronize_stream(stream);
  }
  state.SetItemsProcessed(state.iterations() * blocks);
  state.SetBytesProcessed(state.iterations() * blocks * state.range(0));
  backend.destroy_stream(stream);
  backend.free_arena(arena);
}

/// The same number of blocks through a forward pass whose kernels take no time, in room for four: nearly all stream.
void copies_scheduled(benchmark::State& state) {
  const auto size = static_cast<std::uint64_t>(state.range(0));
  const std::uint32_t blocks = blocks_of(size);
  const auto dev = limited_device(size);
  const host_memory host(*dev, size);
  scheduler sched(*dev, {.high_watermark = 1, .page_bytes = std::min<std::uint64_t>(size, 2u << 20)});
  const std::vector<memory_block> all(blocks, {"b", host.bytes()});
  const runtime r = sched.add_runtime("r", model_from_memory(all, {.pinned = true}));
  const stream s = dev->create_stream();
  auto pass = r.managed_forward(s, {.prefetch_blocks = 2});
  const auto walk = [&] {
    for (const block_index b : r.blocks()) pass.use(b).end();
    s.synchronize();
  };
  walk();
  const std::uint64_t before = sched.statistics().loaded_bytes;
  for (auto _ : state) walk();
  const std::uint64_t loaded = sched.statistics().loaded_bytes - before;
  require(state, loaded > static_cast<std::uint64_t>(state.iterations()) * (blocks / 2) * size,
          "blocks did not stream");
  state.SetItemsProcessed(static_cast<std::int64_t>(loaded / size));
  state.SetBytesProcessed(static_cast<std::int64_t>(loaded));
}

BENCHMARK(copies_bare)->RangeMultiplier(4)->Range(64 << 10, 1 << 30)->UseRealTime()->MinTime(0.2);
BENCHMARK(copies_scheduled)->RangeMultiplier(4)->Range(64 << 10, 1 << 30)->UseRealTime()->MinTime(0.2);

/// CPU time of all threads for a load, on a device whose copies take none. The transfer thread is there.
void load_cpu_time(benchmark::State& state) {
  resident_set set({.blocks = 256, .threaded = true, .budget_percent = 50});
  const stream s = set.device().create_stream();
  auto pass = set.at(0).managed_forward(s, {.prefetch_blocks = static_cast<std::uint32_t>(state.range(0))});
  const std::uint64_t before = set.at(0).statistics().loads;
  for (auto _ : state)
    for (const block_index b : set.at(0).blocks()) pass.use(b).end();
  pass.end();
  set.sched().synchronize();
  const std::uint64_t loads = set.at(0).statistics().loads - before;
  require(state, loads > 0, "nothing was loaded");
  state.counters["cpu_ns_per_load"] =
      benchmark::Counter(static_cast<double>(loads) * 1e-9, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(load_cpu_time)->Arg(0)->Arg(4)->MeasureProcessCPUTime();

}  // namespace
}  // namespace pinrail::bench
