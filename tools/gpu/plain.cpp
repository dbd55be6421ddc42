#include <algorithm>

#include "compute.hpp"
#include "model_blocks.hpp"
#include "parts.hpp"

namespace gpu {
namespace {

using namespace pinrail::literals;

constexpr std::uint32_t count = 24;  // blocks of each of two models
constexpr int rounds = 6;            // of both models, after one to warm up

/// Two models that take turns, and what a block of them computes.
struct scene {
  explicit scene(std::uint64_t size_bytes) : block_bytes(size_bytes) {}

  std::uint64_t block_bytes;
  model_blocks first{count, block_bytes};
  model_blocks second{count, block_bytes};
  compute work;
  unsigned repeats = 1;

  [[nodiscard]] const model_blocks& model(int m) const { return m == 0 ? first : second; }
};

template <class Round>
double seconds_of(Round&& round, cudaStream_t on) {
  round();
  check(cudaStreamSynchronize(on), "cudaStreamSynchronize");
  const stopwatch watch;
  for (int i = 0; i < rounds; ++i) round();
  check(cudaStreamSynchronize(on), "cudaStreamSynchronize");
  return watch.seconds() / rounds;
}

double with_pinrail(const settings& s, const scene& all, std::uint32_t room) {
  const std::uint64_t block_bytes = all.block_bytes;
  pinrail::scheduler sched(
      *s.device, {.vram_budget = room * block_bytes, .high_watermark = 1, .load_deadline = std::chrono::minutes(1)});
  const std::array runtimes{sched.add_runtime("first", all.first.model()),
                            sched.add_runtime("second", all.second.model())};
  const pinrail::stream stream = s.device->create_stream();
  const auto native = static_cast<cudaStream_t>(stream.native_handle());
  const auto round = [&] {
    for (const pinrail::runtime& r : runtimes) {
      auto pass = r.managed_forward(stream);
      for (pinrail::block_index b = 0; b < count; ++b) {
        const auto use = pass.use(b);
        all.work.enqueue(native, use.device_ptr(), all.repeats);
      }
    }
  };
  return seconds_of(round, native);
}

/// The model whose turn it is comes in whole, in the place of the other. Needs room for one of them.
double whole_model_swap(const scene& all, std::uint32_t room) {
  const std::uint64_t block_bytes = all.block_bytes;
  const stream on;
  const device_memory memory(std::min(room, 2 * count) * block_bytes);
  const bool both = room >= 2 * count;
  bool loaded = false;
  const auto round = [&] {
    for (int m = 0; m < 2; ++m) {
      std::byte* const at = memory.get() + (both ? m * count * block_bytes : 0);
      if (!both || !loaded)
        check(cudaMemcpyAsync(at, all.model(m).block(0), count * block_bytes, cudaMemcpyHostToDevice, on), "copy");
      for (std::uint32_t b = 0; b < count; ++b) all.work.enqueue(on, at + b * block_bytes, all.repeats);
    }
    loaded = true;
  };
  return seconds_of(round, on);
}

/// The first `resident` blocks of each model stay; the others go through two buffers on a side stream, one ahead.
double one_block_ahead(const scene& all, std::uint32_t resident) {
  const std::uint64_t block_bytes = all.block_bytes;
  const stream on;
  const stream side;
  const device_memory stays(std::max(1u, 2 * resident) * block_bytes);
  const device_memory buffers(2 * block_bytes);
  const std::array<event, 2> arrived;
  const std::array<event, 2> used;
  for (int m = 0; m < 2; ++m)
    if (resident > 0)
      check(cudaMemcpyAsync(stays.get() + m * resident * block_bytes, all.model(m).block(0), resident * block_bytes,
                            cudaMemcpyHostToDevice, on),
            "copy");
  const std::uint32_t streamed = count - resident;
  const auto fetch = [&](std::uint32_t i) {  // the i-th streamed block of a round
    const std::size_t slot = i % 2;
    const model_blocks& from = all.model(static_cast<int>(i / streamed));
    used[slot].hold(side);
    check(cudaMemcpyAsync(buffers.get() + slot * block_bytes, from.block(resident + i % streamed), block_bytes,
                          cudaMemcpyHostToDevice, side),
          "copy");
    arrived[slot].record(side);
  };
  const auto round = [&] {
    std::uint32_t i = 0;
    if (streamed > 0) fetch(0);
    for (int m = 0; m < 2; ++m)
      for (std::uint32_t b = 0; b < count; ++b) {
        if (b < resident) {
          all.work.enqueue(on, stays.get() + (m * resident + b) * block_bytes, all.repeats);
          continue;
        }
        if (i + 1 < 2 * streamed) fetch(i + 1);
        arrived[i % 2].hold(on);
        all.work.enqueue(on, buffers.get() + i % 2 * block_bytes, all.repeats);
        used[i % 2].record(on);
        ++i;
      }
  };
  return seconds_of(round, on);
}

}  // namespace

nlohmann::json plain(const settings& s) {
  scene all(s.brief ? gemm_bytes : 64_MiB);
  const double copy_s = copy_seconds(all.first.block(0), all.block_bytes);
  nlohmann::json rows;
  for (const double copy_per_compute : {0.5, 1.0, 2.0}) {
    all.repeats = all.work.repeats_for(copy_s / copy_per_compute);
    for (const std::uint32_t percent : {25u, 50u, 75u, 100u}) {
      const std::uint32_t room = 2 * count * percent / 100;
      nlohmann::json row{{"copy_per_compute", copy_per_compute},
                         {"share_percent", percent},
                         {"models_bytes", 2 * count * all.block_bytes},
                         {"compute_s", 2 * count * all.work.seconds_of(all.repeats)},
                         {"pinrail_s", with_pinrail(s, all, room)},
                         {"one_ahead_s", one_block_ahead(all, 0)},
                         // Two of the blocks of room are its buffers, unless nothing streams.
                         {"prefix_s", one_block_ahead(all, room >= 2 * count ? count : (room - 2) / 2)}};
      // Where the room does not hold one model there is nothing to swap.
      if (room >= count) row["whole_swap_s"] = whole_model_swap(all, room);
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

}  // namespace gpu
