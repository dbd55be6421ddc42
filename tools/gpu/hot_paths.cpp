#include <thread>

#include "model_blocks.hpp"
#include "parts.hpp"

namespace gpu {
namespace {

using namespace pinrail::literals;

/// Operations a second of so many threads together, for that long.
template <class Begin>
double rate_of(unsigned threads, double seconds, Begin&& begin) {
  std::vector<std::uint64_t> counts(threads);
  stopwatch watch;
  {
    std::vector<std::jthread> all;
    for (unsigned t = 0; t < threads; ++t)
      all.emplace_back([&, t] {
        auto operation = begin(t);
        const stopwatch mine;
        std::uint64_t count = 0;
        while (mine.seconds() < seconds)
          for (int i = 0; i < 256; ++i, ++count) operation();
        counts[t] = count;
      });
  }
  std::uint64_t sum = 0;
  for (const std::uint64_t c : counts) sum += c;
  return static_cast<double>(sum) / watch.seconds();
}

}  // namespace

nlohmann::json hot_paths(const settings& s) {
  constexpr std::uint64_t block_bytes = 64_KiB;
  constexpr std::uint32_t apart = 64;  // blocks between those of two threads
  const unsigned cores = std::max(1u, std::thread::hardware_concurrency());
  const model_blocks blocks(cores * apart, block_bytes);
  pinrail::scheduler sched(*s.device, {.vram_budget = blocks.count() * block_bytes, .high_watermark = 1});
  const pinrail::runtime model = sched.add_runtime("model", blocks.model());
  const auto kept = model.keep_resident({.load = true});
  const auto pin = [&](unsigned t) {
    return [&model, b = t * apart] {
      if (!model.try_pin(b)) throw std::runtime_error("a pin was refused");
    };
  };
  const auto guard = [&](unsigned) {
    return [&model] {
      if (!model.try_keep_resident()) throw std::runtime_error("a guard was refused");
    };
  };
  struct used_block {
    pinrail::stream stream;
    pinrail::forward_pass pass;
    pinrail::block_index block;
    void operator()() {
      if (!pass.try_use(block)) throw std::runtime_error("a use was refused");
    }
  };
  const auto use = [&](unsigned t) {
    used_block all{.stream = s.device->create_stream(), .pass = {}, .block = t * apart};
    all.pass = model.managed_forward(all.stream, {.order = pinrail::order::data_dependent});
    return all;
  };
  const double seconds = s.brief ? 0.05 : 0.3;
  nlohmann::json rows;
  for (unsigned threads = 1;; threads = std::min(2 * threads, cores)) {
    rows.push_back({{"threads", threads},
                    {"pins_per_second", rate_of(threads, seconds, pin)},
                    {"guards_per_second", rate_of(threads, seconds, guard)},
                    {"uses_per_second", rate_of(threads, seconds, use)}});
    if (threads == cores) return rows;
  }
}

}  // namespace gpu
