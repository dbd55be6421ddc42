#include "core/plan.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

namespace pinrail::core {
namespace {

constexpr std::uint32_t fewest_slots = 1;
constexpr std::uint32_t most_slots = 4;
constexpr int search_rounds = 40;
constexpr double as_short_as = 1.019;           // steps that differ by less count as equal, and fewer bytes decide
constexpr double as_good_as_unplanned = 1.005;  // a plan may take that much longer than none: it keeps addresses
constexpr std::size_t most_size_classes = 8;    // for "only blocks of this size"
constexpr double late_starts[] = {0, 0.5, 1, 1.5, 2, 3};

struct layout {
  std::uint32_t slots = fewest_slots;  ///< in each ring
  bool ring_by_size = false;
  std::uint64_t only_pages = 0;  ///< 0: blocks of any size
  /// Blocks' worth of copying that begins later in the cycle. Where the slots do not divide the streamed blocks, the
  /// last and the first of them meet in one slot, and the gap between them must be as long as a copy.
  double late_blocks = 0;
};

/// Positions, such that copy time keeps up with `copy_per_compute` x compute time.
std::vector<std::uint32_t> spread(const plan_input& in, const layout& l, double copy_per_compute) {
  std::vector<std::uint32_t> streamed;
  double largest = static_cast<double>(*std::max_element(in.pages.begin(), in.pages.end()));
  // What is owed can't be made up for later, but by what is loaded ahead, into the slots.
  const double most_owed = l.only_pages == 0 ? 3 * largest : static_cast<double>(l.slots * l.only_pages);
  double owed_pages = -l.late_blocks * largest;
  for (std::uint32_t p = 0; p < in.pages.size(); ++p) {
    const auto size = static_cast<double>(in.pages[p]);
    owed_pages = std::min(owed_pages + copy_per_compute * in.compute_ns[p], most_owed);
    const bool allowed = l.only_pages == 0 || in.pages[p] == l.only_pages;
    if (!allowed || owed_pages < size / 2) continue;
    streamed.push_back(p);
    owed_pages -= size;
  }
  return streamed;
}

template <class Numbers>
auto sum_of(const Numbers& numbers) {
  return std::accumulate(numbers.begin(), numbers.end(), typename Numbers::value_type{0});
}

/// Slot sizes, and every streamed block's slot.
void assign_slots(const plan_input& in, const layout& l, plan& out) {
  struct ring {
    std::uint32_t first_slot = 0;
    std::uint64_t pages = 0;
    std::uint32_t used = 0;
  };
  std::map<std::uint64_t, ring> rings;  // by size; one for all sizes under 0
  const auto key = [&](std::uint32_t p) { return l.ring_by_size ? in.pages[p] : 0; };
  for (const std::uint32_t p : out.streamed) {
    ring& r = rings[key(p)];
    r.pages = std::max(r.pages, in.pages[p]);
  }
  for (auto& [size, r] : rings) {
    r.first_slot = static_cast<std::uint32_t>(out.slot_pages.size());
    out.slot_pages.insert(out.slot_pages.end(), l.slots, r.pages);
  }
  out.slot.assign(in.pages.size(), plan::stays);
  for (const std::uint32_t p : out.streamed) {
    ring& r = rings[key(p)];
    out.slot[p] = r.first_slot + r.used++ % l.slots;
  }
}

void link_slots(plan& p) {
  p.before.assign(p.slot.size(), plan::stays);
  std::vector<std::uint32_t> last(p.slot_pages.size(), plan::stays);
  for (int round = 0; round < 2; ++round)  // the second closes the cycle
    for (const std::uint32_t at : p.streamed) p.before[at] = std::exchange(last[p.slot[at]], at);
}

/// A plan with this layout, if it fits the share; complete but for `step_ns`.
std::optional<plan> laid_out(const plan_input& in, const layout& l, double pages_per_ns) {
  plan p;
  p.streamed = spread(in, l, pages_per_ns);
  if (p.streamed.size() < l.slots) return std::nullopt;
  assign_slots(in, l, p);
  std::uint64_t held = sum_of(p.slot_pages);
  for (std::uint32_t i = 0; i < p.slot.size(); ++i) (p.slot[i] == plan::stays ? held : p.streamed_pages) += in.pages[i];
  if (held > in.share_pages) return std::nullopt;
  p.share_pages = in.share_pages;
  link_slots(p);
  p.compute_ns = sum_of(in.compute_ns);
  p.copy_ns = static_cast<double>(p.streamed_pages) * in.copy_ns_per_page +
              static_cast<double>(p.streamed.size()) * in.copy_latency_ns;
  return p;
}

/// The plan that streams the least with this layout, or nothing.
std::optional<plan> fitted(const plan_input& in, const layout& l) {
  const double compute_ns = sum_of(in.compute_ns);
  if (compute_ns <= 0) return std::nullopt;
  double low = 0;
  double high = 4 * static_cast<double>(sum_of(in.pages)) / compute_ns;
  std::optional<plan> best;
  for (int i = 0; i < search_rounds; ++i) {
    const double middle = (low + high) / 2;
    auto p = laid_out(in, l, middle);
    (p ? high : low) = middle;
    if (p) best = std::move(p);
  }
  if (!best) return std::nullopt;
  best->step_ns = simulated_step_ns(in, *best);
  // The least proportion that fits leaves a gap at the end of the cycle; the proportion of what it streams closes it.
  if (auto p = laid_out(in, l, static_cast<double>(best->streamed_pages) / compute_ns)) {
    p->step_ns = simulated_step_ns(in, *p);
    if (p->step_ns < best->step_ns && p->streamed_pages <= best->streamed_pages) best = std::move(p);
  }
  return best;
}

std::vector<std::uint64_t> size_classes(const plan_input& in) {
  std::vector<std::uint64_t> sizes(in.pages.begin(), in.pages.end());
  std::sort(sizes.begin(), sizes.end());
  sizes.erase(std::unique(sizes.begin(), sizes.end()), sizes.end());
  return sizes;
}

}  // namespace

double simulated_step_ns(const plan_input& in, const plan& p) {
  constexpr int cycles = 6;
  constexpr int settling = 2;
  // Copies in order of use. One begins when the copy engine is free and the use of the block before it in its slot
  // ended.
  std::vector<double> use_end(in.pages.size(), 0);
  double engine = 0;
  double now = 0;
  double settled = 0;
  for (int cycle = 0; cycle < cycles; ++cycle) {
    if (cycle == settling) settled = now;
    for (std::uint32_t at = 0; at < in.pages.size(); ++at) {
      if (p.slot[at] != plan::stays) {
        // `use_end` of the block before is of this cycle, or, if it comes later in the order, of the one before.
        const double room = use_end[p.before[at]];
        engine = std::max(engine, room) + static_cast<double>(in.pages[at]) * in.copy_ns_per_page + in.copy_latency_ns;
        now = std::max(now, engine);
      }
      now += in.compute_ns[at];
      use_end[at] = now;
    }
  }
  return (now - settled) / (cycles - settling);
}

namespace {

/// One model on one compute and one copy engine: whenever a block is used, the next two are loaded, in the place of
/// what is needed farthest x largest. Memory is free again when the last use of what was there has ended.
class next_use_simulation {
 public:
  explicit next_use_simulation(const plan_input& in)
      : in_(in), resident_(in.pages.size(), false), ready_(in.pages.size(), 0), used_(in.pages.size(), 0) {}

  double run() {
    constexpr int cycles = 8;
    constexpr int settling = 4;
    double settled_ns = 0;
    for (int cycle = 0; cycle < cycles; ++cycle) {
      if (cycle == settling) settled_ns = now_;
      for (std::uint32_t at = 0; at < size(); ++at) step(at);
    }
    return (now_ - settled_ns) / (cycles - settling);
  }

 private:
  static constexpr std::uint32_t window = 2;

  [[nodiscard]] std::uint32_t size() const { return static_cast<std::uint32_t>(in_.pages.size()); }
  [[nodiscard]] std::uint32_t distance(std::uint32_t from, std::uint32_t to) const {
    return (to + size() - from) % size();
  }

  void step(std::uint32_t at) {
    for (std::uint32_t ahead = 0; ahead <= std::min(window, size() - 1); ++ahead) load(at, (at + ahead) % size());
    now_ = std::max(now_, ready_[at]) + in_.compute_ns[at];
    used_[at] = now_;
  }

  void load(std::uint32_t at, std::uint32_t wanted) {
    if (resident_[wanted]) return;
    double room = 0;
    while (used_pages_ + in_.pages[wanted] > in_.share_pages) {
      const std::uint32_t victim = farthest(at);
      if (victim == size()) return;
      resident_[victim] = false;
      used_pages_ -= in_.pages[victim];
      room = std::max(room, used_[victim]);
    }
    resident_[wanted] = true;
    used_pages_ += in_.pages[wanted];
    engine_ =
        std::max(engine_, room) + static_cast<double>(in_.pages[wanted]) * in_.copy_ns_per_page + in_.copy_latency_ns;
    ready_[wanted] = engine_;
  }

  [[nodiscard]] std::uint32_t farthest(std::uint32_t at) const {
    std::uint32_t best = size();
    double worth = 0;
    for (std::uint32_t b = 0; b < size(); ++b) {
      const double mine = static_cast<double>(distance(at, b)) * static_cast<double>(in_.pages[b]);
      if (!resident_[b] || distance(at, b) <= window || mine <= worth) continue;
      worth = mine;
      best = b;
    }
    return best;
  }

  const plan_input& in_;
  std::vector<bool> resident_;
  std::vector<double> ready_, used_;
  std::uint64_t used_pages_ = 0;
  double engine_ = 0;
  double now_ = 0;
};

constexpr std::size_t most_simulated_blocks = 512;

}  // namespace

double simulated_next_use_step_ns(const plan_input& in) { return next_use_simulation(in).run(); }

std::optional<plan> make_plan(const plan_input& in) {
  if (sum_of(in.pages) <= in.share_pages) return std::nullopt;
  const auto sizes = size_classes(in);
  std::vector<std::uint64_t> allowed{0};
  if (sizes.size() > 1 && sizes.size() <= most_size_classes) allowed.insert(allowed.end(), sizes.begin(), sizes.end());
  std::vector<plan> found;
  for (const std::uint64_t only : allowed) {
    for (const bool by_size : {false, true}) {
      if (by_size && (only != 0 || sizes.size() == 1 || sizes.size() > most_size_classes)) continue;
      for (std::uint32_t slots = fewest_slots; slots <= most_slots; ++slots)
        for (const double late : late_starts)
          if (auto p = fitted(in, {.slots = slots, .ring_by_size = by_size, .only_pages = only, .late_blocks = late}))
            found.push_back(std::move(*p));
    }
  }
  if (found.empty()) return std::nullopt;
  const auto shorter = [](const plan& a, const plan& b) { return a.step_ns < b.step_ns; };
  const double shortest_ns = std::min_element(found.begin(), found.end(), shorter)->step_ns;
  double longest_ns = as_short_as * shortest_ns;
  if (in.pages.size() <= most_simulated_blocks) {
    const double unplanned_ns = simulated_next_use_step_ns(in);
    if (shortest_ns > as_good_as_unplanned * unplanned_ns) return std::nullopt;
    longest_ns = std::min(longest_ns, as_good_as_unplanned * unplanned_ns);
  }
  std::optional<plan> best;
  for (plan& p : found)
    if (p.step_ns <= longest_ns && (!best || p.streamed_pages < best->streamed_pages)) best = std::move(p);
  return best;
}

}  // namespace pinrail::core
