#include "policies/baselines.hpp"

#include <algorithm>
#include <list>
#include <map>
#include <optional>

#include "device/simulated/backend.hpp"

namespace pinrail::bench {
namespace {

using key = std::pair<std::uint32_t, std::uint32_t>;

/// Blocks in memory, and the simulated device's streams and events. Everything is enqueued ahead of time, as a program
/// that never waits on the CPU would do: the device decides when it runs.
class runner {
 public:
  runner(const workload& w, baseline policy)
      : work_(w),
        policy_(policy),
        device_({.vram_bytes = std::uint64_t{1} << 40,
                 .bytes_per_second = {static_cast<std::uint64_t>(w.bytes_per_second), 0, 0}}),
        arena_(*device_.allocate_arena(std::uint64_t{1} << 36)),
        compute_(*device_.create_stream()),
        copies_(*device_.create_stream()) {
    for (std::uint32_t m = 0; m < w.models.size(); ++m) passes_.push_back({m});
  }

  outcome run() {
    for (std::size_t i = 0; i < work_.steps.size(); ++i) do_step(i);
    out_.time_ns = compute_end() - mark_ns_;
    out_.stalled_ns = out_.time_ns - busy_ns_;
    out_.policy = name_of(policy_);
    return out_;
  }

 private:
  struct pass {
    std::uint32_t model = 0;
    bool live = false;
    step::order how = step::order::forward;
    std::uint32_t cursor = 0;
  };
  struct cached_block {
    devices::event_handle loaded;
    devices::event_handle used;
    bool referenced = false;
    std::list<key>::iterator place;  ///< in order_
  };

  void do_step(std::size_t i) {
    const step& s = work_.steps[i];
    switch (s.kind) {
      case step::what::use:
        use(i);
        break;
      case step::what::begin_pass:
        passes_[s.model] = {s.model, true, s.how, first_of(s)};
        break;
      case step::what::end_pass:
        passes_[s.model].live = false;
        break;
      case step::what::idle:
        (void)device_.launch(compute_, s.compute_ns);
        break;
      case step::what::mark:
        mark();
        break;
      default:
        break;  // these policies know no guards and no hints
    }
  }

  [[nodiscard]] std::uint32_t first_of(const step& s) const {
    return s.how == step::order::reverse ? size_of_model(s.model) - 1 : 0;
  }
  [[nodiscard]] std::uint32_t size_of_model(std::uint32_t m) const {
    return static_cast<std::uint32_t>(work_.models[m].block_bytes.size());
  }
  [[nodiscard]] std::uint64_t bytes_of(const key& k) const { return work_.models[k.first].block_bytes[k.second]; }

  /// When the compute stream will have done all that is enqueued.
  double compute_end() {
    (void)device_.synchronize_stream(compute_);
    return static_cast<double>(device_.now_ns());
  }

  void mark() {
    out_ = {};
    mark_ns_ = compute_end();
    busy_ns_ = 0;
  }

  void use(std::size_t i) {
    const step& s = work_.steps[i];
    const key mine{s.model, s.block};
    passes_[s.model].cursor = s.block;
    const bool cold = cache_.find(mine) == cache_.end();
    if (cold) {
      load(mine, {mine});
      ++out_.cold_loads;
    }
    load_ahead(s, mine);
    cached_block& b = cache_.at(mine);
    (void)device_.wait_event(compute_, b.loaded);
    (void)device_.launch(compute_, s.compute_ns);
    (void)device_.record_event(b.used, compute_);
    busy_ns_ += static_cast<double>(s.compute_ns);
    touch(b);
    if (policy_ == baseline::streaming) drop(mine);
  }

  /// The next blocks of the pass, where its order is known.
  void load_ahead(const step& s, const key& mine) {
    const pass& p = passes_[s.model];
    if (p.how == step::order::data_dependent) return;
    const std::uint32_t window = policy_ == baseline::streaming || policy_ == baseline::next_use_per_runtime ? 2 : 1;
    std::vector<key> wanted{mine};
    const std::uint32_t n = size_of_model(s.model);
    for (std::uint32_t ahead = 1; ahead <= std::min(window, n - 1); ++ahead) {
      const std::uint32_t b = p.how == step::order::reverse ? (s.block + n - ahead) % n : (s.block + ahead) % n;
      wanted.push_back({s.model, b});
      if (cache_.find(wanted.back()) == cache_.end() && !load(wanted.back(), wanted)) return;
    }
  }

  bool load(const key& k, const std::vector<key>& wanted) {
    while (used_bytes_ + bytes_of(k) > work_.budget_bytes) {
      const auto v = victim(wanted);
      if (!v) return false;
      drop(*v);
    }
    for (const devices::event_handle e : pending_room_) (void)device_.wait_event(copies_, e);
    pending_room_.clear();
    std::uint64_t left = bytes_of(k);
    while (left != 0) {  // the arena is smaller than some models; addresses mean nothing here
      const std::uint64_t part = std::min<std::uint64_t>(left, std::uint64_t{1} << 30);
      (void)device_.copy(copies_, devices::direction::host_to_device, arena_, &nothing_, part);
      left -= part;
    }
    cached_block b;
    b.loaded = *device_.create_event();
    b.used = *device_.create_event();
    (void)device_.record_event(b.loaded, copies_);
    order_.push_back(k);
    b.place = std::prev(order_.end());
    cache_.emplace(k, b);
    used_bytes_ += bytes_of(k);
    out_.loaded_bytes += bytes_of(k);
    ++out_.loads;
    return true;
  }

  void drop(const key& k) {
    cached_block& b = cache_.at(k);
    pending_room_.push_back(b.used);  // whoever loads next waits for it
    order_.erase(b.place);
    used_bytes_ -= bytes_of(k);
    cache_.erase(k);
  }

  void touch(cached_block& b) {
    b.referenced = true;
    if (policy_ == baseline::least_recently_used) order_.splice(order_.end(), order_, b.place);
  }

  std::optional<key> victim(const std::vector<key>& wanted) {
    const auto free = [&](const key& k) { return std::find(wanted.begin(), wanted.end(), k) == wanted.end(); };
    if (policy_ == baseline::next_use_per_runtime) return farthest(free);
    for (std::size_t turns = 0; turns < 2 * order_.size(); ++turns) {
      const key k = order_.front();
      cached_block& b = cache_.at(k);
      const bool chance = policy_ == baseline::clock && b.referenced;
      if (free(k) && !chance) return k;
      b.referenced = false;
      order_.splice(order_.end(), order_, order_.begin());
    }
    return std::nullopt;
  }

  template <class Free>
  std::optional<key> farthest(Free&& free) {
    std::optional<key> best;
    double best_score = -1;
    for (const auto& [k, b] : cache_) {
      if (!free(k)) continue;
      const double score = blocks_until_use(k) * static_cast<double>(bytes_of(k));
      if (score > best_score) {
        best_score = score;
        best = k;
      }
    }
    return best;
  }

  [[nodiscard]] double blocks_until_use(const key& k) const {
    const pass& p = passes_[k.first];
    const std::uint32_t n = size_of_model(k.first);
    if (!p.live) return 4.0 * n;
    const std::uint32_t ahead =
        p.how == step::order::reverse ? (p.cursor + n - k.second) % n : (k.second + n - p.cursor) % n;
    return ahead == 0 ? n : ahead;
  }

  const workload& work_;
  baseline policy_;
  devices::simulated_backend device_;
  std::byte* arena_;
  devices::stream_handle compute_, copies_;
  std::vector<pass> passes_;
  std::map<key, cached_block> cache_;
  std::list<key> order_;
  std::vector<devices::event_handle> pending_room_;
  std::uint64_t used_bytes_ = 0;
  std::byte nothing_{};
  outcome out_;
  double mark_ns_ = 0;
  double busy_ns_ = 0;
};

}  // namespace

const char* name_of(baseline b) {
  switch (b) {
    case baseline::least_recently_used:
      return "LRU";
    case baseline::clock:
      return "CLOCK";
    case baseline::streaming:
      return "streaming";
    case baseline::next_use_per_runtime:
      return "next use x size";
  }
  return "?";
}

outcome run_baseline(const workload& w, baseline policy) { return runner(w, policy).run(); }

}  // namespace pinrail::bench
