#include "model_blocks.hpp"
#include "parts.hpp"

namespace gpu {
namespace {

using namespace pinrail::literals;

enum class way : std::uint8_t { in, out, both };
constexpr const char* names[] = {"host to device", "device to host", "both at once"};

/// Bytes per second, in both directions together, of copies enqueued in a row and waited for once.
double bare(way w, const pinned_memory& host, const device_memory& device, std::uint64_t size_bytes) {
  const stream in;
  const stream out;
  const std::uint64_t half = host.size_bytes() / 2;
  const std::uint64_t copies = half / size_bytes;
  const auto enqueue = [&] {
    for (std::uint64_t i = 0; i < copies; ++i) {
      const std::uint64_t at = i * size_bytes;
      if (w != way::out)
        check(cudaMemcpyAsync(device.get() + at, host.get() + at, size_bytes, cudaMemcpyHostToDevice, in), "copy in");
      if (w != way::in)
        check(
            cudaMemcpyAsync(host.get() + half + at, device.get() + half + at, size_bytes, cudaMemcpyDeviceToHost, out),
            "copy out");
    }
    in.synchronize();
    out.synchronize();
  };
  enqueue();
  double best = 0;
  for (int i = 0; i < 3; ++i) {
    const stopwatch watch;
    enqueue();
    const double bytes = static_cast<double>((w == way::both ? 2 : 1) * copies * size_bytes);
    best = std::max(best, bytes / watch.seconds());
  }
  return best;
}

/// One walk over all blocks, each of which has to be loaded. Dirty ones are written back when they leave.
void walk(pinrail::forward_pass& pass, std::uint32_t count, bool dirty) {
  for (pinrail::block_index b = 0; b < count; ++b) {
    auto use = pass.use(b);
    if (dirty) use.mark_dirty();
  }
}

/// The same through Pinrail: nothing computes, so the copies are all there is.
double pinrail_rate(way w, const settings& s, std::uint64_t size_bytes, std::uint64_t total_bytes) {
  const auto count = static_cast<std::uint32_t>(total_bytes / size_bytes);
  const model_blocks blocks(count, size_bytes);
  // For what goes out, all is resident and leaves at once; else a quarter is, and at least four blocks are.
  const std::uint32_t room = w == way::out ? count : std::max(4u, count / 4);
  pinrail::scheduler sched(*s.device, {.vram_budget = room * size_bytes,
                                       .high_watermark = 1,
                                       .load_deadline = std::chrono::minutes(1),
                                       .paced_plans = false,
                                       .page_bytes = std::min<std::uint64_t>(size_bytes, 2_MiB)});
  const pinrail::runtime model = sched.add_runtime("model", blocks.model(w != way::in));
  const pinrail::stream stream = s.device->create_stream();
  double best = 0;
  for (int i = 0; i < 4; ++i) {
    auto pass = model.managed_forward(stream, {.prefetch_blocks = std::min(64u, room - 2)});
    if (w == way::out) {
      walk(pass, count, true);
      pass.end();
      stream.synchronize();
      sched.synchronize();
      const auto before = sched.statistics().written_back_bytes;
      const stopwatch watch;
      sched.set_vram_budget(size_bytes);
      sched.synchronize();
      best = std::max(best, static_cast<double>(sched.statistics().written_back_bytes - before) / watch.seconds());
      sched.set_vram_budget(room * size_bytes);
      continue;
    }
    const auto before = sched.statistics();
    const stopwatch watch;
    walk(pass, count, w == way::both);
    pass.end();
    stream.synchronize();
    sched.synchronize();
    const auto after = sched.statistics();
    const auto moved = after.loaded_bytes - before.loaded_bytes + after.written_back_bytes - before.written_back_bytes;
    best = std::max(best, static_cast<double>(moved) / watch.seconds());
  }
  return best;
}

}  // namespace

nlohmann::json bandwidth(const settings& s) {
  const std::uint64_t largest = s.brief ? 1_MiB : 1_GiB;
  nlohmann::json rows;
  std::vector<std::uint64_t> sizes;
  for (std::uint64_t size = 64_KiB; size <= largest; size *= 4) sizes.push_back(size);
  const pinned_memory host(2 * largest);
  const device_memory device(2 * largest);
  for (const way w : {way::in, way::out, way::both})
    for (const std::uint64_t size : sizes) {
      const double plainly = bare(w, host, device, size);
      // Small blocks: fewer bytes will do. Large ones: six of them.
      const double ours = pinrail_rate(w, s, size, std::max(6 * size, std::min(largest, 1024 * size)));
      rows.push_back({{"direction", names[static_cast<std::size_t>(w)]},
                      {"size_bytes", size},
                      {"bare_bytes_per_second", plainly},
                      {"pinrail_bytes_per_second", ours},
                      {"share_of_bare", ours / plainly}});
    }
  return rows;
}

}  // namespace gpu
