#include "policies/ours.hpp"

#include <fmt/format.h>

#include <optional>

#include "pinrail/pinrail.hpp"
#include "pinrail/simulated.hpp"

namespace pinrail::bench {
namespace {

class runner {
 public:
  runner(const workload& w, const our_options& o)
      : work_(w),
        options_(o),
        device_(open_device(fmt::format("simulated:vram={},h2d={},d2d=1TB/s", w.budget_bytes,
                                        static_cast<std::uint64_t>(w.bytes_per_second)))),
        sched_(*device_,
               {.vram_budget = w.budget_bytes,
                .high_watermark = w.high_watermark,
                .load_deadline = std::chrono::hours(10),
                .paced_plans = o.paced_plans,
                .idle_order = o.rarely_used_first ? idle_order::rarely_used_first : idle_order::least_recently_used,
                .guest_minimum_bytes = guest_minimum(w)}),
        stream_(device_->create_stream()) {
    for (const model_table& m : w.models) {
      std::vector<block_info> blocks;
      for (std::size_t b = 0; b < m.block_bytes.size(); ++b)
        blocks.push_back({fmt::format("{}", b), m.block_bytes[b], {}});
      const auto nothing = [](block_index, std::uint64_t, std::span<std::byte>) { return true; };
      models_.emplace_back().handle = sched_.add_runtime(m.name, model_from_callback(blocks, nothing));
    }
  }

  outcome run() {
    for (const step& s : work_.steps) do_step(s);
    stream_.synchronize();
    const statistics end = sched_.statistics();
    outcome out;
    out.policy = options_.rarely_used_first ? "Pinrail, rarely used first"
                 : options_.paced_plans     ? "Pinrail"
                                            : "Pinrail, no plans";
    out.loaded_bytes = end.loaded_bytes - before_.loaded_bytes;
    for (std::size_t m = 0; m < models_.size(); ++m) {
      out.loads += end.runtimes[m].loads - (before_.runtimes.empty() ? 0 : before_.runtimes[m].loads);
      out.cold_loads += cold(end.runtimes[m]) - (before_.runtimes.empty() ? 0 : cold(before_.runtimes[m]));
    }
    out.time_ns = static_cast<double>(device_->now_ns()) - mark_ns_;
    out.stalled_ns = out.time_ns - busy_ns_;
    for (const auto& r : end.runtimes)
      if (r.plan.slots != 0)
        out.note +=
            fmt::format("{}: {} of {} stream through {} slots, step {:.1f} ms predicted, compute {:.1f}, copy {:.1f}; ",
                        r.name, r.plan.streamed_blocks, r.blocks, r.plan.slots, r.plan.step_ns * 1e-6,
                        r.plan.compute_ns * 1e-6, r.plan.copy_ns * 1e-6);
    return out;
  }

 private:
  struct model_state {
    runtime handle;
    std::optional<forward_pass> pass;
    residency_guard guard;
    guest_guard guest;
  };

  /// Loads that no prefetch began.
  [[nodiscard]] static std::uint64_t cold(const runtime_statistics& s) { return s.loads - s.prefetches; }

  [[nodiscard]] static std::uint64_t guest_minimum(const workload& w) {
    std::uint64_t least = 0;
    for (const step& s : w.steps)
      if (s.kind == step::what::enter_guest)
        least = std::max(least, 2 * w.models[s.model].block_bytes.front() + (4u << 20));
    return least;
  }

  void do_step(const step& s) {
    model_state& m = models_[s.model];
    switch (s.kind) {
      case step::what::use: {
        auto held = m.pass->use(s.block);
        simulated::launch(stream_, s.compute_ns);
        busy_ns_ += static_cast<double>(s.compute_ns);
        break;
      }
      case step::what::begin_pass:
        m.pass = m.handle.managed_forward(stream_, {.order = order_of(s.how)});
        break;
      case step::what::end_pass:
        m.pass.reset();
        break;
      case step::what::idle:
        simulated::launch(stream_, s.compute_ns);
        break;
      case step::what::hint:
        m.pass->prefetch(std::span(&s.block, 1));
        break;
      case step::what::mark:
        mark();
        break;
      default:
        if (options_.guards) change_guard(s, m);
    }
  }

  static void change_guard(const step& s, model_state& m) {
    switch (s.kind) {
      case step::what::keep:
        m.guard = m.handle.keep_resident();
        break;
      case step::what::end_keep:
        m.guard.end();
        break;
      case step::what::reserve:
        (void)m.handle.reserve_for_resident({.allow_partial = true});
        break;
      case step::what::release:
        m.handle.release_reservation();
        break;
      case step::what::enter_guest:
        m.guest = m.handle.as_guest();
        break;
      case step::what::leave_guest:
        m.guest.end();
        break;
      default:
        break;
    }
  }

  [[nodiscard]] static order order_of(step::order o) {
    return o == step::order::forward   ? order::forward
           : o == step::order::reverse ? order::reverse
                                       : order::data_dependent;
  }

  void mark() {
    stream_.synchronize();
    before_ = sched_.statistics();
    mark_ns_ = static_cast<double>(device_->now_ns());
    busy_ns_ = 0;
  }

  const workload& work_;
  our_options options_;
  std::shared_ptr<device> device_;
  scheduler sched_;
  stream stream_;
  std::vector<model_state> models_;
  statistics before_;
  double mark_ns_ = 0;
  double busy_ns_ = 0;
};

}  // namespace

outcome run_ours(const workload& w, const our_options& options) { return runner(w, options).run(); }

}  // namespace pinrail::bench
