#include "residency/planned_loads.hpp"

#include <algorithm>

#include "residency/loads.hpp"

namespace pinrail::residency {

const core::plan* followed_plan(const runtime_state& r, const pass_state& p) noexcept {
  const core::plan* plan = r.pacing().plan();
  const bool forward = p.cursor.kind == core::pass_kind::ordered && p.cursor.now == core::heading::forward &&
                       p.cursor.next == core::heading::forward;
  return forward && r.blocks().live_passes().live() == 1 ? plan : nullptr;
}

void load_along_plan(scheduler_state& s, runtime_state& r, const pass_state& p, const core::plan& plan) noexcept {
  const core::walk walk{.length = r.blocks().size(), .done = std::min(p.cursor.done, r.blocks().size())};
  const auto first = std::lower_bound(plan.streamed.begin(), plan.streamed.end(), walk.done) - plan.streamed.begin();
  const std::size_t ahead = std::min(plan.slot_pages.size(), plan.streamed.size());
  for (std::size_t i = 0; i < ahead; ++i) {
    const std::uint32_t next = plan.streamed[(static_cast<std::size_t>(first) + i) % plan.streamed.size()];
    if (!p.wraps && next < walk.done) return;
    if (!r.at(next).word.load().absent()) continue;
    const std::uint32_t before = plan.before[next];
    const auto in_the_slot = r.at(before).word.load();
    const bool used = in_the_slot.resident() && walk.distance(before) > walk.distance(next);  // needed again later
    const bool empty = before == next || in_the_slot.absent();
    if (!empty && !used) continue;  // or loads still
    const std::uint64_t limit_pages = plannable_pages(s, r);
    // A share that has grown since has room for both; the plan for it comes with the next upkeep.
    if (empty || limit_pages > plan.share_pages) {
      prefetch_block(s, r, next, 0);
    } else {
      load_in_place_of(s, r, next, before, limit_pages);
    }
  }
}

}  // namespace pinrail::residency
