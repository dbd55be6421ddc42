#include "residency/grants.hpp"

#include <algorithm>

#include "residency/loads.hpp"
#include "residency/refusals.hpp"
#include "residency/victims.hpp"

namespace pinrail::residency {
namespace order = core::order;

namespace {

using departure = runtime_state::departure;

bool is_live(const runtime_state& r) noexcept { return r.state.load() == runtime_state::phase::live; }

/// Brackets of reservations in traces, by epoch: a replaced one ends where the next begins.
std::uint64_t reservation_trace_id(const runtime_state& r, std::uint32_t epoch) noexcept {
  return std::uint64_t{1} << 63 | std::uint64_t{r.index()} << 32 | epoch;
}

struct wanted_share {
  std::uint64_t least = 0;
  std::uint64_t most = 0;
};

/// Rule 3's defaults. What byte reservations have taken is no part of the budget here: it can't be granted twice.
result<wanted_share> wanted(const scheduler_state& s, const runtime_state& r, const reserve_options& o) noexcept {
  const std::uint64_t budget = s.budget_pages();
  std::uint64_t left_free = s.arena().pages_for(s.options().guest_minimum_bytes);
  s.for_each_byte_entry([&](std::string_view, std::uint64_t pages) { left_free += pages; });
  std::uint64_t want = s.arena().pages_for(o.bytes);
  // Where too little is left for the largest block, that is what is asked for: the refusal then names who holds the
  // rest.
  if (o.bytes == 0)
    want = r.footprint_pages() <= budget ? r.footprint_pages()
                                         : std::max(r.largest_pages(), budget - std::min(budget, left_free));
  if (want < r.largest_pages())
    return failure{.code = errc::invalid_argument,
                   .needed_bytes = s.to_bytes(r.largest_pages()),
                   .available_bytes = s.to_bytes(want)};
  const std::uint64_t least = o.allow_partial ? r.largest_pages() : want;
  if (least > budget)
    return failure{.code = errc::too_large, .needed_bytes = s.to_bytes(least), .available_bytes = s.to_bytes(budget)};
  return wanted_share{least, want};
}

result<granted_share> outcome(const scheduler_state& s, const core::ruling& r) noexcept {
  switch (r.what) {
    case core::verdict::granted:
      return granted_share{r.now.share_pages, r.now.epoch};
    case core::verdict::shortage:
      return failure{.code = errc::insufficient_headroom,
                     .needed_bytes = s.to_bytes(r.needed_pages),
                     .available_bytes = s.to_bytes(r.free_pages)};
    case core::verdict::limit:
      return at_limit(r.now.guests);  // or hundreds of changes under way at once
    case core::verdict::conflict:
    case core::verdict::unchanged:
      break;
  }
  return failure{.code = errc::conflict};
}

bool released(runtime_state& r, const core::ruling& what) noexcept {
  if (what.what != core::verdict::granted) return false;
  scheduler_state& s = r.owner();
  s.trace(trace_kind::guard_end, &r, 0, reservation_trace_id(r, what.now.epoch - 1));
  s.progress().notify();
  return true;
}

}  // namespace

// ---- protection ---------------------------------------------------------------------------------------------

result<void> keep(runtime_state& r) noexcept {
  auto& rules = r.owner().rules(r);
  if (!rules.guard()) return at_limit(core::runtime_bits::too_many_guards);
  if (is_live(r)) return {};
  unkeep(r);
  return failure{.code = errc::closed};
}

void unkeep(runtime_state& r) noexcept {
  r.owner().rules(r).unguard();
  r.owner().progress().notify();
}

result<void> load_all(runtime_state& r) noexcept {
  constexpr std::uint32_t ahead = 4;
  scheduler_state& s = r.owner();
  const scheduler_state::working call(s);
  if (!call) return s.why_halted();
  for (std::uint32_t p = 0; p < r.blocks().size(); ++p) {
    auto& word = r.at(p).word;
    const auto pinned = word.pin();
    if (pinned == core::pin_outcome::refused) return at_limit(core::block_bits::too_many_pins);
    if (pinned == core::pin_outcome::held) {
      word.unpin();
      continue;
    }
    for (std::uint32_t next = p + 1; next < std::min(p + ahead, r.blocks().size()); ++next)
      prefetch_block(s, r, next, 0);
    const std::uint64_t until_ns = s.now_ns() + static_cast<std::uint64_t>(s.options().load_deadline.count());
    const auto loaded = await_resident(s, r, p, until_ns);
    word.unpin();
    if (!loaded) return loaded;
  }
  return {};
}

result<void> protect(runtime_state& r, std::span<const block_index> positions) noexcept {
  for (std::size_t i = 0; i < positions.size(); ++i) {
    core::block_bits seen;
    if (!r.at(positions[i]).word.protect(seen)) {
      unprotect(r, positions.first(i));
      return at_limit(core::block_bits::too_many_protections / core::block_bits::one_protection);
    }
    if (seen.candidate()) r.blocks().withdraw(positions[i]);
  }
  if (is_live(r)) return {};
  unprotect(r, positions);
  return failure{.code = errc::closed};
}

void unprotect(runtime_state& r, std::span<const block_index> positions) noexcept {
  for (const block_index p : positions) {
    r.at(p).word.unprotect();
    if (r.at(p).word.load().candidate()) r.blocks().offer(p);
  }
  r.owner().progress().notify();
}

// ---- reservations ---------------------------------------------------------------------------------------------

void trim_to_share(scheduler_state& s, runtime_state& r) noexcept {
  const auto too_much = [&] {
    const core::reservation now = s.read(r);
    return now.confined() && r.charged_pages() > now.share_pages;
  };
  if (!too_much()) return;
  const scheduler_state::reading inside(s);
  const room_request own{.runtime = &r, .pages = 1, .cause = eviction_cause::share, .own_only = true};
  while (too_much()) {
    const auto v = choose_victim(s, own);
    if (!v || !evict_and_free(s, r, v->position, eviction_cause::share)) return;
    s.progress().notify();
  }
}

result<granted_share> reserve(runtime_state& r, const reserve_options& o) noexcept {
  scheduler_state& s = r.owner();
  const scheduler_state::working call(s);
  if (!call) return s.why_halted();
  const auto want = wanted(s, r, o);
  if (!want) return want.why();
  const auto kind = o.priority == priority::primary ? core::holder::primary : core::holder::secondary;
  const auto granted = outcome(s, s.table().reserve(scheduler_state::entry_of(r), kind, want->least, want->most));
  if (!granted) return granted;
  s.trace(trace_kind::guard_end, &r, 0, reservation_trace_id(r, granted->epoch - 1));
  s.trace(trace_kind::guard_begin, &r, 0, reservation_trace_id(r, granted->epoch), s.to_bytes(granted->pages),
          kind == core::holder::primary ? "primary" : "secondary");
  if (!is_live(r)) {
    release(r, granted->epoch);
    return failure{.code = errc::closed};
  }
  trim_to_share(s, r);
  s.progress().notify();
  return granted;
}

/// By the epoch that was read while the entry was still this runtime's: once it is removed, another may have its index.
bool release(runtime_state& r) noexcept {
  for (;;) {
    const core::reservation now = r.owner().read(r);
    if (!now.reserved() || r.state.load() == runtime_state::phase::removed) return false;
    if (release(r, now.epoch)) return true;  // else it was replaced meanwhile, or released
  }
}

bool release(runtime_state& r, std::uint32_t epoch) noexcept {
  return released(r, r.owner().table().release(scheduler_state::entry_of(r), epoch));
}

// ---- guests -----------------------------------------------------------------------------------------------------

result<granted_share> enter_guest(runtime_state& r) noexcept {
  scheduler_state& s = r.owner();
  const scheduler_state::working call(s);
  if (!call) return s.why_halted();
  const std::uint64_t least = std::max<std::uint64_t>(1, r.minimum_pages());
  const std::uint64_t most = std::max<std::uint64_t>(1, r.footprint_pages());
  if (least > s.budget_pages())
    return failure{
        .code = errc::too_large, .needed_bytes = s.to_bytes(least), .available_bytes = s.to_bytes(s.budget_pages())};
  const auto granted = outcome(s, s.table().enter_guest(scheduler_state::entry_of(r), least, most));
  if (!granted) return granted;
  if (!is_live(r)) {
    leave_guest(r);
    return failure{.code = errc::closed};
  }
  trim_to_share(s, r);
  return granted;
}

void leave_guest(runtime_state& r) noexcept {
  scheduler_state& s = r.owner();
  const scheduler_state::working call(s);
  // Before the entry says "no guest": whoever publishes a block of it afterwards sees that it must leave.
  r.leaving.store(departure::begun, order::release);
  const auto left = s.table().leave_guest(scheduler_state::entry_of(r));
  if (left.what == core::verdict::granted && left.now.kind == core::holder::none && call) {
    const scheduler_state::reading inside(s);
    auto begun = departure::begun;
    if (evict_all(s, r, eviction_cause::guest_exit) != 0)
      r.leaving.compare_exchange_strong(begun, departure::straggling, order::acq_rel, order::relaxed);
  }
  s.progress().notify();
}

}  // namespace pinrail::residency
