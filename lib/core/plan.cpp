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
constexpr double as_short_as = 1.019;         // steps that differ by less count as equal, and fewer bytes decide
constexpr std::size_t most_size_classes = 8;  // for "only blocks of this size"

struct layout {
  std::uint32_t slots = fewest_slots;  ///< in each ring
  bool ring_by_size = false;
  std::uint64_t only_pages = 0;  ///< 0: blocks of any size
};

/// Positions, such that copy time keeps up with `copy_per_compute` x compute time.
std::vector<std::uint32_t> spread(const plan_input& in, const layout& l, double copy_per_compute) {
  std::vector<std::uint32_t> streamed;
  double owed_pages = 0;
  double largest = 0;
  for (std::uint32_t p = 0; p < in.pages.size(); ++p) {
    const auto size = static_cast<double>(in.pages[p]);
    largest = std::max(largest, size);
    owed_pages = std::min(owed_pages + copy_per_compute * in.compute_ns[p], 3 * largest);
    const bool allowed = l.only_pages == 0 || in.pages[p] == l.only_pages;
    if (!allowed || owed_pages < size / 2) continue;
    streamed.push_back(p);
    owed_pages -= size;
  }
  return streamed;
}

std::uint64_t sum_of(const plan_input& in, const std::vector<std::uint32_t>& positions) {
  std::uint64_t sum = 0;
  for (const std::uint32_t p : positions) sum += in.pages[p];
  return sum;
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

/// The plan that streams the least with this layout, or nothing.
std::optional<plan> fitted(const plan_input& in, const layout& l) {
  const std::uint64_t footprint = std::accumulate(in.pages.begin(), in.pages.end(), std::uint64_t{0});
  const double compute_ns = std::accumulate(in.compute_ns.begin(), in.compute_ns.end(), 0.0);
  if (compute_ns <= 0) return std::nullopt;
  double low = 0;
  double high = 4 * static_cast<double>(footprint) / compute_ns;
  std::optional<plan> best;
  for (int i = 0; i < search_rounds; ++i) {
    const double middle = (low + high) / 2;
    plan p;
    p.streamed = spread(in, l, middle);
    assign_slots(in, l, p);
    p.streamed_pages = sum_of(in, p.streamed);
    const std::uint64_t slots = std::accumulate(p.slot_pages.begin(), p.slot_pages.end(), std::uint64_t{0});
    const bool fits = p.streamed.size() >= l.slots && footprint - p.streamed_pages + slots <= in.share_pages;
    (fits ? high : low) = middle;
    if (fits) best = std::move(p);
  }
  if (!best) return std::nullopt;
  link_slots(*best);
  best->compute_ns = compute_ns;
  best->copy_ns = static_cast<double>(best->streamed_pages) * in.copy_ns_per_page +
                  static_cast<double>(best->streamed.size()) * in.copy_latency_ns;
  best->step_ns = simulated_step_ns(in, *best);
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

std::optional<plan> make_plan(const plan_input& in) {
  const std::uint64_t footprint = std::accumulate(in.pages.begin(), in.pages.end(), std::uint64_t{0});
  if (footprint <= in.share_pages) return std::nullopt;
  const auto sizes = size_classes(in);
  std::vector<std::uint64_t> allowed{0};
  if (sizes.size() > 1 && sizes.size() <= most_size_classes) allowed.insert(allowed.end(), sizes.begin(), sizes.end());
  std::vector<plan> found;
  for (const std::uint64_t only : allowed) {
    for (const bool by_size : {false, true}) {
      if (by_size && (only != 0 || sizes.size() == 1 || sizes.size() > most_size_classes)) continue;
      for (std::uint32_t slots = fewest_slots; slots <= most_slots; ++slots)
        if (auto p = fitted(in, {.slots = slots, .ring_by_size = by_size, .only_pages = only}))
          found.push_back(std::move(*p));
    }
  }
  double shortest_ns = 0;
  for (const plan& p : found) shortest_ns = shortest_ns == 0 ? p.step_ns : std::min(shortest_ns, p.step_ns);
  std::optional<plan> best;
  for (plan& p : found) {
    if (p.step_ns > as_short_as * shortest_ns) continue;
    if (!best || p.streamed_pages < best->streamed_pages) best = std::move(p);
  }
  return best;
}

}  // namespace pinrail::core
