#include "residency/statistics.hpp"

#include "residency/transfers.hpp"
#include "residency/victims.hpp"

namespace pinrail {

const char* to_string(eviction_cause cause) noexcept {
  switch (cause) {
    case eviction_cause::demand:
      return "demand";
    case eviction_cause::prefetch:
      return "prefetch";
    case eviction_cause::share:
      return "share";
    case eviction_cause::watermark:
      return "watermark";
    case eviction_cause::guest_exit:
      return "guest_exit";
    case eviction_cause::budget:
      return "budget";
    case eviction_cause::compaction:
      return "compaction";
    case eviction_cause::removal:
      return "removal";
  }
  return "unknown";
}

const char* to_string(reservation_kind kind) noexcept {
  switch (kind) {
    case reservation_kind::none:
      return "none";
    case reservation_kind::primary:
      return "primary";
    case reservation_kind::secondary:
      return "secondary";
    case reservation_kind::guest:
      return "guest";
  }
  return "unknown";
}

namespace residency {
namespace {

std::uint64_t read(const counter& c) noexcept { return c.load(core::order::relaxed); }

reservation_kind kind_of(core::holder h) noexcept {
  switch (h) {
    case core::holder::primary:
      return reservation_kind::primary;
    case core::holder::secondary:
      return reservation_kind::secondary;
    case core::holder::guest:
      return reservation_kind::guest;
    default:
      return reservation_kind::none;
  }
}

}  // namespace

runtime_statistics statistics_of(const scheduler_state& s, const runtime_state& r) {
  const counters& c = r.stats;
  const bool removed = r.state.load() == runtime_state::phase::removed;  // its index may be another's
  const core::reservation grant = removed ? core::reservation{} : s.read(r);
  runtime_statistics out;
  out.name = r.name();
  out.blocks = r.blocks().size();
  out.footprint_bytes = s.to_bytes(r.footprint_pages());
  out.reservation = kind_of(grant.kind);
  out.share_bytes = s.to_bytes(grant.share_pages);
  out.guards = removed ? 0 : s.rules(r).load().guards();
  out.resident_blocks = read(c.resident_blocks);
  out.resident_bytes = s.to_bytes(read(c.held_pages));
  out.peak_resident_bytes = s.to_bytes(read(c.peak_held_pages));
  out.stalls = read(c.misses);
  const std::uint64_t uses = r.uses();
  out.hits = uses > out.stalls ? uses - out.stalls : 0;
  out.loads = read(c.loads);
  out.prefetches = read(c.prefetches);
  out.failed_loads = read(c.failed_loads);
  out.loaded_bytes = read(c.loaded_bytes);
  out.written_back = read(c.written_back);
  out.written_back_bytes = read(c.written_back_bytes);
  out.stall_ns = read(c.stall_ns);
  out.moves = read(c.moves);
  for (std::size_t i = 0; i < eviction_causes; ++i) out.victims[i] = read(c.victims[i]);
  out.secondary_evictions = read(c.secondary_evictions);
  const scheduler_state::reading inside(r.owner());
  if (const core::plan* plan = r.pacing().plan())
    out.plan = {.slots = static_cast<std::uint32_t>(plan->slot_pages.size()),
                .streamed_blocks = static_cast<std::uint32_t>(plan->streamed.size()),
                .streamed_bytes = s.to_bytes(plan->streamed_pages),
                .step_ns = plan->step_ns,
                .compute_ns = plan->compute_ns,
                .copy_ns = plan->copy_ns};
  return out;
}

statistics statistics_of(scheduler_state& s) {
  s.arena().reap();
  statistics out;
  const auto& budget = s.arena().budget();
  const core::budget_pages now = budget.load();
  out.page_bytes = s.arena().grid().page_bytes();
  out.budget_bytes = s.to_bytes(budget.capacity() - now.withheld);  // from one read with `used`: B1 shows
  out.used_bytes = s.to_bytes(now.used + now.set_aside);
  out.peak_used_bytes = s.to_bytes(budget.peak());
  out.headroom_bytes = s.to_bytes(s.headroom_pages());
  out.reserved_bytes = s.to_bytes(s.reserved_pages());
  out.largest_free_bytes = s.to_bytes(s.arena().largest_free_pages());
  out.bare_bytes_per_second = s.moves().bare_rates();
  out.load_bytes_per_second = s.moves().load_bytes_per_second();
  const scheduler_state::reading inside(s);
  s.for_each_runtime([&](const runtime_state& r) {
    out.runtimes.push_back(statistics_of(s, r));
    out.loaded_bytes += out.runtimes.back().loaded_bytes;
    out.written_back_bytes += out.runtimes.back().written_back_bytes;
  });
  return out;
}

}  // namespace residency
}  // namespace pinrail
