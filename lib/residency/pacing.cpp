#include "residency/pacing.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "residency/scheduler_state.hpp"

namespace pinrail::residency {
namespace order = core::order;

namespace {

constexpr double threshold = 0.15;
constexpr std::uint32_t most_blocks = 4096;  // planning is quick up to here; larger models go by next use

bool differs(double a, double b) noexcept { return std::abs(a - b) > threshold * std::max(std::abs(a), std::abs(b)); }

/// One live pass, forward, and forward again.
bool is_cyclic(const runtime_state& r) noexcept {
  std::uint32_t live = 0;
  bool forward = true;
  r.blocks().live_passes().for_each([&](const auto& view) {
    ++live;
    forward = forward && view.cursor.kind == core::pass_kind::ordered && view.cursor.now == core::heading::forward &&
              view.cursor.next == core::heading::forward;
  });
  return live == 1 && forward;
}

}  // namespace

std::uint64_t plannable_pages(scheduler_state& s, const runtime_state& r) noexcept {
  if (const auto mine = s.read(r); mine.confined()) return mine.share_pages;
  std::uint64_t shares = 0;
  bool alone = true;
  s.for_each_runtime([&](const runtime_state& other) {
    const auto theirs = s.read(other);
    shares += theirs.share_pages;
    alone = alone && (&other == &r || theirs.confined() || other.blocks().live_passes().live() == 0);
  });
  if (!alone) return 0;
  const auto budget = s.arena().budget().load();
  const std::uint64_t taken = shares + budget.set_aside + budget.withheld;
  return s.arena().budget().capacity() - std::min(s.arena().budget().capacity(), taken);
}

void pacing::update(scheduler_state& s, runtime_state& r, double copy_ns_per_page) noexcept {
  const bool wanted = wants_plan(s, r);
  samples_.store(wanted ? 1 : 0, order::relaxed);
  if (!wanted) {
    last_end_ns_ = 0;
    return;  // the plan stays for the next pass; nobody follows it meanwhile
  }
  const bool measured =
      std::all_of(compute_ns_.begin(), compute_ns_.end(), [](const running_average& a) { return a.value() > 0; });
  const std::uint64_t share_pages = plannable_pages(s, r);
  if (!measured || copy_ns_per_page <= 0) return;
  double compute_ns = 0;
  for (const running_average& a : compute_ns_) compute_ns += a.value();
  if (!is_outdated(share_pages, compute_ns, copy_ns_per_page)) return;
  try {
    std::vector<std::uint64_t> pages;
    std::vector<double> compute;
    for (std::uint32_t p = 0; p < r.blocks().size(); ++p) {
      pages.push_back(r.blocks().pages(p));
      compute.push_back(compute_ns_[p].value());
    }
    auto made = core::make_plan(
        {.pages = pages, .compute_ns = compute, .copy_ns_per_page = copy_ns_per_page, .share_pages = share_pages});
    made_for_share_pages_ = share_pages;
    made_for_compute_ns_ = compute_ns;
    made_for_copy_ns_per_page_ = copy_ns_per_page;
    replace(s, made ? std::make_shared<const core::plan>(std::move(*made)) : nullptr);
  } catch (const std::bad_alloc&) {  // then the next attempt
  }
}

bool pacing::wants_plan(const scheduler_state& s, const runtime_state& r) noexcept {
  return s.options().paced_plans && r.blocks().size() > 1 && r.blocks().size() <= most_blocks && is_cyclic(r) &&
         r.charged_pages() < r.footprint_pages();
}

void pacing::take_samples(scheduler_state& s, runtime_state& r) noexcept {
  for (std::uint32_t slot = 0; slot < core::passes<runtime_state::native>::capacity; ++slot) {
    std::array<std::uint32_t, use_samples::capacity> ended{};
    std::uint32_t count = 0;
    r.pass(slot).samples.take_ended([&](core::ticket t) { return count < ended.size() && s.timeline().is_complete(t); },
                                    [&](std::uint32_t position) { ended[count++] = position; });
    if (count == 0) continue;
    // Of several that were seen at once, only the sum is known.
    const std::uint64_t now_ns = s.now_ns();
    if (last_end_ns_ != 0) {
      const std::uint64_t begin_ns = count == 1 && ended[0] < ready_ns_.size()
                                         ? std::max(last_end_ns_, std::min(ready_ns_[ended[0]], now_ns))
                                         : last_end_ns_;
      for (std::uint32_t i = 0; i < count; ++i)
        if (ended[i] < compute_ns_.size())
          compute_ns_[ended[i]].add(std::max(1.0, static_cast<double>(now_ns - begin_ns) / static_cast<double>(count)));
    }
    last_end_ns_ = now_ns;
  }
}

bool pacing::is_outdated(std::uint64_t share_pages, double compute_ns, double copy_ns_per_page) const noexcept {
  return share_pages != made_for_share_pages_ || differs(compute_ns, made_for_compute_ns_) ||
         differs(copy_ns_per_page, made_for_copy_ns_per_page_);
}

void pacing::replace(scheduler_state& s, std::shared_ptr<const core::plan> next) noexcept {
  if (!retire_replaced(s)) return;  // no memory for it: the next update tries again
  current_.store(next.get(), order::release);
  replaced_ = std::exchange(owned_, std::move(next));
  (void)retire_replaced(s);
}

bool pacing::retire_replaced(scheduler_state& s) noexcept {
  try {
    if (replaced_ != nullptr) s.retire(replaced_);
    replaced_.reset();
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

}  // namespace pinrail::residency
