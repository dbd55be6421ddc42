#include "residency/room.hpp"

#include <algorithm>

#include "residency/snapshot.hpp"
#include "residency/transfers.hpp"

namespace pinrail::residency {
namespace {

using effort = compaction::effort;

constexpr int window_attempts = 4;
constexpr std::uint64_t most_blocks_searched = 4096;
constexpr std::uint32_t neighbourhood = 64;  // to either side, in sizes of the request

void free_pages(scheduler_state& s, const extent& e) noexcept { (void)s.arena().give(e.run, e.fences); }

/// Keeps the first `pages` of held pages and frees the others.
void trim(scheduler_state& s, extent& held, std::uint32_t pages) noexcept {
  (void)s.arena().give({held.run.first + pages, held.run.count - pages}, held.fences);
  held.run.count = pages;
}

/// A runtime without a share doesn't prefetch into what others have reserved and not filled yet.
bool may_take_free(scheduler_state& s, const room_request& request, const core::reservation& mine) noexcept {
  if (request.demand || mine.confined()) return true;
  std::uint64_t promised = 0;
  s.for_each_runtime([&](runtime_state& r) {
    const std::uint64_t share = s.read(r).share_pages;
    const std::uint64_t has = r.charged_pages();
    if (&r != request.runtime && share > has) promised += share - has;
  });
  const auto& budget = s.arena().budget();
  return budget.load().sum() + request.pages + promised <= budget.capacity();
}

/// Step 1. Charges the pages to the runtime; where its share is full, evicts its own blocks until they fit, and
/// keeps the pages of the first that is large enough in `kept`.
bool charge(scheduler_state& s, const room_request& request, const core::reservation& mine, extent& kept) noexcept {
  const std::uint64_t limit = mine.confined() ? mine.share_pages : s.table().capacity_pages();
  room_request own = request;
  own.own_only = true;
  if (request.demand) own.cause = eviction_cause::share;
  while (!request.runtime->try_charge(request.pages, limit)) {
    extent freed;
    if (!evict_best(s, own, freed)) {
      free_pages(s, kept);
      return false;
    }
    if (kept.run.count == 0 && freed.run.count >= request.pages) {
      kept = freed;
      trim(s, kept, request.pages);
    } else {
      free_pages(s, freed);
    }
  }
  return true;
}

/// What two runs that overlap have in common. (They do: a window has no span that it doesn't need.)
page_run common(page_run a, page_run b) noexcept {
  const std::uint32_t first = std::max(a.first, b.first);
  const std::uint32_t end = std::min(a.end(), b.end());
  return {first, end - std::min(first, end)};
}

/// One span of a window, evicted or taken: then it belongs to `held`, which it follows.
bool take_span(scheduler_state& s, const room_request& request, const span_of_pages& span, page_run inside,
               extent& held) noexcept {
  extent part;
  if (span.what == span_of_pages::kind::free) {
    if (!s.arena().take_exact(inside, part)) return false;
  } else {
    runtime_state* r = s.runtime_at(span.runtime, span.position);
    if (r == nullptr || !evict_block(s, *r, span.position, request.relation_to(*r), request.cause, part)) return false;
  }
  bool fits = part.run == inside;  // else the block has moved since
  for (const ticket t : part.fences.view()) fits = fits && s.arena().absorb(held.fences, t).has_value();
  if (!fits) {
    free_pages(s, part);
    return false;
  }
  if (held.run.count == 0) held.run.first = part.run.first;
  held.run.count += part.run.count;
  return true;
}

/// Step 4. Takes a whole window, or gives back what it had of it.
bool take_window(scheduler_state& s, const room_request& request, const std::vector<span_of_pages>& spans,
                 const window& w, extent& out) noexcept {
  extent held;
  for (std::size_t i = w.first; i <= w.last; ++i) {
    // Free spans are cut to the window, blocks come whole.
    const bool free = spans[i].what == span_of_pages::kind::free;
    const page_run inside = free ? common(spans[i].run, w.run) : spans[i].run;
    if (take_span(s, request, spans[i], inside, held)) continue;
    free_pages(s, held);
    return false;
  }
  free_pages(s, {{held.run.first, w.run.first - held.run.first}, held.fences});
  free_pages(s, {{w.run.end(), held.run.end() - w.run.end()}, held.fences});
  out = {w.run, held.fences};
  return true;
}

/// The budget is short, not memory: evicts the best victim and frees it. Pages that are still draining will do, so no
/// more is evicted while enough of them are.
bool free_best(scheduler_state& s, const room_request& request, std::uint64_t pages) noexcept {
  extent freed;
  if (s.arena().draining_pages() >= pages || !evict_best(s, request, freed)) return false;
  free_pages(s, freed);
  return true;
}

/// The free pages of a window are not charged yet. Where the arena is larger than the budget, or bytes are reserved
/// without memory, the budget may not have them, although there is memory.
bool budget_for_window(scheduler_state& s, const room_request& request, const std::vector<span_of_pages>& spans,
                       const window& w) noexcept {
  std::uint64_t needed = 0;
  for (std::size_t i = w.first; i <= w.last; ++i)
    if (spans[i].what == span_of_pages::kind::free) needed += s.arena().uncharged_pages(common(spans[i].run, w.run));
  const auto& budget = s.arena().budget();
  for (int attempt = 0; attempt < claim_attempts; ++attempt) {
    s.arena().reap();
    if (budget.load().sum() + needed <= budget.capacity()) return true;
    if (!free_best(s, request, needed)) return false;
  }
  return false;
}

/// Then blocks that will be needed soon go, where idle or free memory may only not be in one piece: `request_free_run`
/// sees to it, so that the loads that follow find it so.
bool takes_live_blocks(const std::vector<span_of_pages>& spans, const window& w) noexcept {
  return std::any_of(spans.begin() + static_cast<std::ptrdiff_t>(w.first),
                     spans.begin() + static_cast<std::ptrdiff_t>(w.last) + 1,
                     [](const span_of_pages& s) { return s.what == span_of_pages::kind::evictable && !s.idle; });
}

enum class window_end : std::uint8_t { none, lost, taken };

/// Takes the cheapest window in `pages`.
window_end evict_window_in(scheduler_state& s, const room_request& request, page_run pages, extent& out) noexcept {
  const auto& spans = snapshot(s, request, pages);
  const auto w = cheapest_window(spans, request.pages);
  if (!w) return window_end::none;
  if (takes_live_blocks(spans, *w)) s.moves().request_free_run(request.pages, effort::all_it_takes);
  if (!budget_for_window(s, request, spans, *w)) return window_end::none;
  return take_window(s, request, spans, *w, out) ? window_end::taken : window_end::lost;
}

/// What lies around a victim that alone is too small; nothing if its runtime is gone.
page_run around(const scheduler_state& s, const room_request& request, const core::victim& v) noexcept {
  const runtime_state* r = s.runtime_at(v.runtime, v.position);
  if (r == nullptr) return {};
  const std::uint32_t at = r->blocks().at(v.position).run().first;
  const std::uint64_t reach = std::uint64_t{neighbourhood} * request.pages;
  const std::uint64_t first = at - std::min<std::uint64_t>(at, reach);
  const std::uint64_t end = std::min<std::uint64_t>(s.arena().pages(), at + reach);
  return {static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(end - std::min(first, end))};
}

/// Step 4. The cheapest window of all is found in time that grows with the number of blocks. Where there are very many,
/// the cheapest around the best victim is taken instead.
bool evict_window(scheduler_state& s, const room_request& request, const core::victim& best, extent& out) noexcept {
  std::uint64_t blocks = 0;
  s.for_each_runtime([&](const runtime_state& r) { blocks += r.blocks().size(); });
  auto end = window_end::none;
  if (blocks > most_blocks_searched) end = evict_window_in(s, request, around(s, request, best), out);
  for (int attempt = 0; attempt < window_attempts && end != window_end::taken; ++attempt) {
    end = evict_window_in(s, request, {0, s.arena().pages()}, out);
    if (end == window_end::none) return false;
  }
  return end == window_end::taken;
}

/// There is a free run, but no budget for it.
bool free_for(scheduler_state& s, const room_request& request, extent& out) noexcept {
  for (int attempt = 0; attempt < claim_attempts; ++attempt) {
    s.arena().reap();
    if (s.arena().take_free(request.pages, out)) return true;
    if (!free_best(s, request, request.pages)) return false;
  }
  return false;
}

/// Steps 3 and 4, for pages that are charged already.
bool evict_for(scheduler_state& s, const room_request& request, extent& out) noexcept {
  for (int attempt = 0; attempt < claim_attempts; ++attempt) {
    const auto v = choose_victim(s, request);
    if (!v) return false;
    if (s.arena().may_be_free(request.pages))
      s.moves().request_free_run(request.pages, v->worth.idle ? effort::little : effort::all_it_takes);
    if (v->pages < request.pages)
      return evict_window(s, request, *v, out) || (s.arena().has_free_run(request.pages) && free_for(s, request, out));
    if (!evict_chosen(s, request, *v, out)) continue;
    trim(s, out, request.pages);
    return true;
  }
  return false;
}

/// Can the request never succeed, as long as budget and share stay what they are?
result<void> check_size(scheduler_state& s, const room_request& request) noexcept {
  std::uint64_t most = s.budget_pages();
  if (request.runtime != nullptr)
    if (const auto mine = s.read(*request.runtime); mine.confined()) most = std::min(most, mine.share_pages);
  if (request.pages <= most) return {};
  return failure{
      .code = errc::too_large, .needed_bytes = s.to_bytes(request.pages), .available_bytes = s.to_bytes(most)};
}

/// Steps 5 and 6: what a demand may do that found nothing.
bool try_harder(scheduler_state& s, room_request request, extent& out) noexcept {
  const std::uint64_t version = s.table().version();
  request.every_block = true;
  request.waiting_windows = true;
  if (try_room(s, request, out)) return true;
  const bool guest = request.runtime != nullptr && s.read(*request.runtime).kind == core::holder::guest;
  if (guest || s.table().version() != version) return false;  // the scan must have seen one state of the table
  request.extreme = true;
  return try_room(s, request, out);
}

}  // namespace

bool try_room(scheduler_state& s, const room_request& request, extent& out) noexcept {
  if (!check_size(s, request)) return false;  // before anything is evicted for it
  const scheduler_state::reading inside(s);
  core::reservation mine;
  extent kept;
  if (request.runtime != nullptr) {
    mine = s.read(*request.runtime);
    if (!charge(s, request, mine, kept)) return false;
  }
  if (kept.run.count != 0) {
    out = kept;
    return true;
  }
  if (may_take_free(s, request, mine) && s.arena().take_free(request.pages, out)) return true;
  if (evict_for(s, request, out)) return true;
  if (request.runtime != nullptr) request.runtime->discharge(request.pages);
  return false;
}

result<void> await_room(scheduler_state& s, room_request request, std::uint64_t until_ns, extent& out) noexcept {
  for (;;) {
    const std::uint32_t key = s.progress().prepare();
    result<void> end = s.halted() ? result<void>(s.why_halted()) : check_size(s, request);
    const bool done = end && (try_room(s, request, out) || try_harder(s, request, out));
    if (end && !done && s.now_ns() >= until_ns) end = no_victim(s, request.pages);
    if (done || !end) {
      s.progress().cancel();
      s.moves().withdraw_compaction(request);
      return end;
    }
    request.write_back = true;
    s.arena().reap();
    s.moves().request_compaction(request);
    s.await(key, until_ns);
  }
}

failure no_victim(const scheduler_state& s, std::uint64_t pages) noexcept {
  const auto& budget = s.arena().budget();
  return {.code = errc::no_victim,
          .needed_bytes = s.to_bytes(pages),
          .available_bytes = s.to_bytes(budget.capacity() - budget.load().sum())};
}

void return_room(scheduler_state& s, const room_request& request, const extent& unused) noexcept {
  free_pages(s, unused);
  if (request.runtime != nullptr) request.runtime->discharge(request.pages);
  s.progress().notify();
}

}  // namespace pinrail::residency
