#include "timeline_shapes.hpp"

#include <algorithm>
#include <map>
#include <string_view>

namespace examples {
namespace {

using pinrail::trace_event;
using pinrail::trace_kind;

class shape_maker {
 public:
  shape_maker(const std::vector<trace_event>& events, std::size_t runtimes, double pixels) : runtimes_(runtimes) {
    // The budget is traced when the scheduler is made; the picture begins where something happens.
    const auto first =
        std::find_if(events.begin(), events.end(), [](const trace_event& e) { return e.runtime != e.no_runtime; });
    if (first != events.end()) {
      start_ns_ = first->time_ns;
      out_.end_s = seconds(events.back().time_ns);
    }
    pixel_s_ = out_.end_s / pixels;
    for (const trace_event& e : events) add(e);
    while (!open_.empty()) change(open_.begin()->first, out_.end_s, nullptr);
    while (!open_guards_.empty()) end_guard(open_guards_.begin()->first, out_.end_s);
    assign_lanes();
  }

  [[nodiscard]] timeline_shapes take() { return std::move(out_); }

 private:
  using place = std::pair<std::uint32_t, pinrail::block_index>;

  struct state {
    double since = 0;
    colour what = resident;
    bool is_use = false;
  };

  [[nodiscard]] double seconds(std::uint64_t ns) const {
    return static_cast<double>(ns - std::min(ns, start_ns_)) * 1e-9;
  }
  [[nodiscard]] static double gib(std::uint64_t bytes) { return static_cast<double>(bytes) / (1 << 30); }

  void add(const trace_event& e) {
    const double t = seconds(e.time_ns);
    const place at{e.runtime, e.block};
    switch (e.kind) {
      case trace_kind::load_begin:
        change(at, t, &loading);
        break;
      case trace_kind::resident:
        change(at, t, &resident);
        break;
      case trace_kind::load_failed:
      case trace_kind::evicted:
        change(at, t, nullptr);
        break;
      case trace_kind::use_begin:
        if (uses_[at]++ == 0) change(at, t, &in_use);
        break;
      case trace_kind::use_end:
        if (--uses_[at] == 0) change(at, t, &resident);
        break;
      case trace_kind::guard_begin:
        begin_guard(e, t);
        break;
      case trace_kind::guard_end:
        end_guard(e.id, t);
        break;
      case trace_kind::used_bytes:
        out_.used_gib.emplace_back(t, gib(e.size_bytes));
        break;
      case trace_kind::budget_bytes:
        out_.budget_gib.emplace_back(t, gib(e.size_bytes));
        break;
      default:
        break;
    }
  }

  void change(const place& at, double t, const colour* to) {
    if (const auto it = open_.find(at); it != open_.end()) {
      const state& was = it->second;
      if (was.is_use || t - was.since >= pixel_s_ / 2)
        out_.boxes.push_back(
            {was.since, std::max(t, was.since + (was.is_use ? pixel_s_ : 0)), at.first, at.second, was.what});
      open_.erase(it);
    }
    if (to != nullptr) open_.insert({at, {t, *to, to == &in_use}});
  }

  void begin_guard(const trace_event& e, double t) {
    for (std::size_t k = 0; k < guards.size(); ++k)
      if (std::string_view(guards[k].name) == e.text) open_guards_[e.id] = {t, 0, e.runtime, k, 0};
  }
  void end_guard(std::uint64_t id, double t) {
    const auto it = open_guards_.find(id);
    if (it == open_guards_.end()) return;
    it->second.to = t;
    out_.brackets.push_back(it->second);
    open_guards_.erase(it);
  }

  void assign_lanes() {
    auto& brackets = out_.brackets;
    std::sort(brackets.begin(), brackets.end(), [](const bracket& a, const bracket& b) { return a.from < b.from; });
    std::vector<std::vector<double>> busy_until(runtimes_);
    for (bracket& b : brackets) {
      auto& lanes = busy_until[b.runtime];
      const auto free = std::find_if(lanes.begin(), lanes.end(), [&](double t) { return t <= b.from; });
      b.lane = static_cast<std::size_t>(free - lanes.begin());
      if (free == lanes.end()) lanes.push_back(0);
      lanes[b.lane] = b.to;
    }
    for (const auto& lanes : busy_until) out_.lanes.push_back(lanes.size());
  }

  std::size_t runtimes_;
  std::uint64_t start_ns_ = 0;
  double pixel_s_ = 0;
  timeline_shapes out_;
  std::map<place, state> open_;
  std::map<place, int> uses_;
  std::map<std::uint64_t, bracket> open_guards_;
};

}  // namespace

timeline_shapes shapes_of(const pinrail::trace_recorder& trace, double pixels) {
  return shape_maker(trace.events(), trace.runtimes().size(), pixels).take();
}

}  // namespace examples
