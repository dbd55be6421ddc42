#include <exception>
#include <random>
#include <thread>

#include "model_blocks.hpp"
#include "parts.hpp"

namespace gpu {
namespace {

using namespace pinrail::literals;

/// What one thread has seen: each use adds its block's fingerprint to a sum on the device.
struct tally {
  std::uint64_t uses = 0;
  bool right = false;
};

tally walk(pinrail::scheduler& sched, const std::vector<pinrail::runtime>& runtimes,
           const std::vector<std::unique_ptr<model_blocks>>& models, int ordinal, std::uint64_t seed, int passes) {
  check(cudaSetDevice(ordinal), "cudaSetDevice");
  std::mt19937_64 random(seed);
  const pinrail::stream stream = sched.device().create_stream();
  pinrail::workspace scratch(sched, {.name = "sums"});
  auto* const sum = static_cast<std::uint64_t*>(scratch.allocate(8, stream));
  const auto native = static_cast<cudaStream_t>(stream.native_handle());
  check(cudaMemsetAsync(sum, 0, 8, native), "cudaMemsetAsync");
  tally mine;
  std::uint64_t expected = 0;
  for (int p = 0; p < passes; ++p) {
    const std::size_t m = random() % runtimes.size();
    const pinrail::order order = random() % 2 == 0 ? pinrail::order::forward : pinrail::order::reverse;
    auto pass = runtimes[m].managed_forward(stream, {.order = order});
    const bool forward = order.type() == pinrail::order::kind::forward;
    for (pinrail::block_index i = 0; i < models[m]->count(); ++i) {
      const pinrail::block_index b = forward ? i : models[m]->count() - 1 - i;
      const auto use = pass.use(b);
      examples::cuda_add_fingerprint(native, use.device_ptr(), use.size_bytes(), sum);
      expected += models[m]->fingerprint(b);
      ++mine.uses;
    }
    pass.end();
    // Workspaces come and go between the weights.
    const std::uint64_t size_bytes = 1 + random() % (4_MiB);
    if (const auto extra = scratch.try_allocate(size_bytes, stream)) {
      check(cudaMemsetAsync(*extra, 0xff, size_bytes, native), "cudaMemsetAsync");
      scratch.deallocate(*extra, size_bytes, stream);
    }
  }
  std::uint64_t seen = 0;
  check(cudaMemcpyAsync(&seen, sum, 8, cudaMemcpyDeviceToHost, native), "cudaMemcpyAsync");
  stream.synchronize();
  scratch.deallocate(sum, 8, stream);
  mine.right = seen == expected;
  return mine;
}

}  // namespace

nlohmann::json content(const settings& s) {
  const std::vector<std::uint64_t> sizes =
      s.brief ? std::vector<std::uint64_t>{64_KiB, 1_MiB} : std::vector<std::uint64_t>{64_KiB, 1_MiB, 8_MiB, 40_MiB};
  const int passes = s.brief ? 8 : 60;
  std::vector<std::unique_ptr<model_blocks>> models;
  std::uint64_t all_bytes = 0;
  for (const std::uint64_t size : sizes) {
    models.push_back(std::make_unique<model_blocks>(s.brief ? 8 : 40, size));
    models.back()->fill(1000 * size);
    all_bytes += models.back()->count() * size;
  }
  nlohmann::json rows;
  for (const unsigned threads : s.brief ? std::vector{1u, 2u} : std::vector{1u, 4u, 8u}) {
    // Less than half of them, and enough that every thread finds room for the blocks it uses and prefetches.
    const std::uint64_t budget = std::max(all_bytes * 2 / 5, 4 * threads * sizes.back());
    pinrail::scheduler sched(*s.device, {.vram_budget = budget, .load_deadline = std::chrono::minutes(2)});
    std::vector<pinrail::runtime> runtimes;
    for (std::size_t m = 0; m < models.size(); ++m)
      runtimes.push_back(sched.add_runtime(fmt::format("model.{}", m), models[m]->model()));
    std::vector<tally> tallies(threads);
    std::vector<std::exception_ptr> failures(threads);
    const stopwatch watch;
    {
      std::vector<std::jthread> all;
      for (unsigned t = 0; t < threads; ++t)
        all.emplace_back([&, t] {
          try {
            tallies[t] = walk(sched, runtimes, models, s.ordinal, t + 1, passes);
          } catch (...) {
            failures[t] = std::current_exception();
          }
        });
    }
    for (const auto& f : failures)
      if (f) std::rethrow_exception(f);
    std::uint64_t uses = 0;
    std::uint64_t wrong = 0;
    for (const tally& t : tallies) {
      uses += t.uses;
      wrong += !t.right;
    }
    const auto stats = sched.statistics();
    rows.push_back({{"threads", threads},
                    {"uses", uses},
                    {"threads_with_wrong_bytes", wrong},
                    {"loaded_bytes", stats.loaded_bytes},
                    {"budget_bytes", stats.budget_bytes},
                    {"peak_used_bytes", stats.peak_used_bytes},
                    {"wall_s", watch.seconds()}});
    if (wrong != 0) throw std::runtime_error(fmt::format("{} of {} threads saw wrong bytes", wrong, threads));
    if (stats.peak_used_bytes > stats.budget_bytes) throw std::runtime_error("the budget was exceeded");
    if (const auto error = sched.first_error()) throw std::runtime_error(*error);
  }
  return rows;
}

}  // namespace gpu
