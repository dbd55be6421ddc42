#include "compute.hpp"
#include "model_blocks.hpp"
#include "parts.hpp"

namespace gpu {

using namespace pinrail::literals;

nlohmann::json overlap(const settings& s) {
  constexpr std::uint32_t count = 48;
  const std::uint64_t block_bytes = s.brief ? gemm_bytes : 64_MiB;
  const int warm_up = s.brief ? 2 : 12;
  const int steps = s.brief ? 2 : 8;
  const model_blocks blocks(count, block_bytes);
  const compute work;
  const double copy_s = copy_seconds(blocks.block(0), block_bytes);
  nlohmann::json rows;
  for (const bool paced : {true, false})
    for (const double copy_per_compute : {0.5, 1.0, 2.0})
      for (const std::uint32_t room : {12u, 24u, 36u}) {
        const unsigned repeats = work.repeats_for(copy_s / copy_per_compute);
        const double compute_s = work.seconds_of(repeats);
        pinrail::scheduler sched(*s.device, {.vram_budget = room * block_bytes,
                                             .high_watermark = 1,
                                             .load_deadline = std::chrono::minutes(1),
                                             .paced_plans = paced});
        const pinrail::runtime model = sched.add_runtime("model", blocks.model());
        const pinrail::stream stream = s.device->create_stream();
        const auto native = static_cast<cudaStream_t>(stream.native_handle());
        auto pass = model.managed_forward(stream);
        const auto step = [&] {
          for (pinrail::block_index b = 0; b < count; ++b) {
            const auto use = pass.use(b);
            work.enqueue(native, use.device_ptr(), repeats);
          }
        };
        for (int i = 0; i < warm_up; ++i) step();
        stream.synchronize();
        const auto before = model.statistics().loaded_bytes;
        const stopwatch watch;
        for (int i = 0; i < steps; ++i) step();
        stream.synchronize();
        const double step_s = watch.seconds() / steps;
        const double streamed = static_cast<double>(model.statistics().loaded_bytes - before) / steps;
        const double copying_s = streamed / static_cast<double>(block_bytes) * copy_s;
        const double computing_s = count * compute_s;
        rows.push_back(
            {{"paced", paced},
             {"copy_per_compute", copy_per_compute},
             {"blocks", count},
             {"blocks_of_room", room},
             {"block_bytes", block_bytes},
             {"step_s", step_s},
             {"compute_s", computing_s},
             {"copy_s", copying_s},
             {"streamed_bytes", streamed},
             {"first_block_s", copy_s},
             {"step_per_bound", step_s / std::max(computing_s, copying_s)},
             {"step_less_first_block_per_bound", std::max(0.0, step_s - copy_s) / std::max(computing_s, copying_s)},
             {"plan_slots", model.statistics().plan.slots}});
        pass.end();
      }
  return rows;
}

}  // namespace gpu
