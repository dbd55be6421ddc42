#include "residency/victims.hpp"

#include "pinrail/units.hpp"
#include "residency/say.hpp"
#include "residency/transfers.hpp"

namespace pinrail::residency {

std::optional<core::victim> choose_victim(scheduler_state& s, const room_request& request) noexcept {
  if (s.options().idle_order == idle_order::rarely_used_first)
    s.for_each_runtime([now_ns = s.now_ns()](runtime_state& r) { r.blocks().backdate(now_ns); });
  selection best({.later_than_ns = request.later_than_ns, .waiting_windows = request.waiting_windows});
  s.for_each_runtime([&](runtime_state& r) {
    if (request.own_only && &r != request.runtime) return;
    if (s.rules(r).load().forbids(request.relation_to(r))) return;
    if (&r == request.runtime && !request.every_block) {
      // What a plan streams makes room before what stays.
      const core::plan* plan = r.pacing().plan();
      if (plan != nullptr && r.blocks().live_passes().live() == 1) {
        best.consider_these(r.index(), r.blocks(), plan->streamed);
        if (best.best() && best.best()->runtime == r.index()) return;
      }
    }
    if (request.every_block) {
      best.consider_all(r.index(), r.blocks());
    } else {
      best.consider(r.index(), r.blocks());
    }
  });
  const auto& dirty = best.best_dirty();
  const auto& clean = best.best();
  if (dirty && (request.write_back || !clean || clean->worth < dirty->worth))
    if (runtime_state* r = s.runtime_at(dirty->runtime, dirty->position))
      s.moves().request_write_back(*r, dirty->position);
  return best.best();
}

bool evict_chosen(scheduler_state& s, const room_request& request, const core::victim& v, extent& out) noexcept {
  runtime_state* r = s.runtime_at(v.runtime, v.position);
  return r != nullptr && evict_block(s, *r, v.position, request.relation_to(*r), request.cause, out);
}

bool evict_best(scheduler_state& s, const room_request& request, extent& out) noexcept {
  for (int attempt = 0; attempt < claim_attempts; ++attempt) {
    const auto v = choose_victim(s, request);
    if (!v) return false;
    if (evict_chosen(s, request, *v, out)) return true;
  }
  return false;
}

bool evict_block(scheduler_state& s, runtime_state& r, std::uint32_t position, core::requester who,
                 eviction_cause cause, extent& out) noexcept {
  auto& block = r.at(position);
  const auto& rules = s.rules(r);
  extent captured;  // `out` is written by an eviction that succeeds only: callers give back what they find in it
  const auto outcome = core::evict(block.word, rules, who, [&] {
    captured.run = block.run();
    read_fences(block, captured.fences);
  });
  if (outcome != core::eviction::done) return false;
  out = captured;
  s.arena().clear_owner(out.run);
  r.blocks().withdraw(position);
  r.discharge(out.run.count);
  r.stats.drop(out.run.count);
  r.stats.resident_blocks.fetch_sub(1, core::order::relaxed);
  count(r.stats.victims[static_cast<std::size_t>(cause)]);
  if (who == core::requester::other_extreme && rules.load().secondary()) {
    count(r.stats.secondary_evictions);
    s.log(log_level::warning,
          say("extreme pressure: evicted block {} of {}, which is reserved secondary", position, r.name()));
  }
  s.trace(trace_kind::evicted, &r, position, 0, s.to_bytes(out.run.count));
  return true;
}

bool evict_and_free(scheduler_state& s, runtime_state& r, std::uint32_t position, eviction_cause cause) noexcept {
  extent freed;
  if (!evict_block(s, r, position, core::requester::owner, cause, freed)) return false;
  if (!s.arena().give(freed.run, freed.fences))
    s.keep_error(log_level::error, say("{} of device memory are out of use: the device can't order the last uses of {}",
                                       format_bytes(s.to_bytes(freed.run.count)), r.name()));
  s.trace_used();
  return true;
}

std::uint64_t evict_all(scheduler_state& s, runtime_state& r, eviction_cause cause) noexcept {
  std::uint64_t left = 0;
  for (std::uint32_t p = 0; p < r.blocks().size(); ++p) {
    const auto word = r.at(p).word.load();
    if (word.absent()) continue;
    if (word.dirty()) s.moves().request_write_back(r, p);
    if (!word.resident() || !evict_and_free(s, r, p, cause)) ++left;
  }
  s.progress().notify();
  return left;
}

}  // namespace pinrail::residency
