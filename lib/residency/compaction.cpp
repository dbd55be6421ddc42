#include "residency/compaction.hpp"

#include <algorithm>

#include "residency/say.hpp"
#include "residency/snapshot.hpp"
#include "residency/transfers.hpp"

namespace pinrail::residency {
namespace order = core::order;
using kind = span_of_pages::kind;

namespace {

constexpr std::uint64_t free_run_bit = std::uint64_t{1} << 63;
constexpr std::uint64_t all_it_takes_bit = std::uint64_t{1} << 62;
/// Copies within the device are some twenty times as fast as those to it, and read and write the memory kernels use.
constexpr double moved_for_little = 12;      // pages, for each that becomes free in one piece
constexpr std::uint64_t free_run_rest = 20;  // times as long as it took

std::uint64_t pack(const room_request& r) noexcept {
  const std::uint64_t runtime = r.runtime != nullptr ? r.runtime->index() + std::uint64_t{1} : 0;
  return runtime << 32 | r.pages;
}

}  // namespace

void compaction::request(const room_request& r) noexcept { wanted_.store(pack(r), order::release); }

void compaction::request_free_run(std::uint32_t pages, effort most) noexcept {
  const std::uint64_t all = most == effort::all_it_takes ? all_it_takes_bit : 0;
  std::uint64_t seen = wanted_.load(order::relaxed);
  if (seen == 0 || (all != 0 && (seen & (free_run_bit | all_it_takes_bit)) == free_run_bit))
    wanted_.compare_exchange_strong(seen, free_run_bit | all | pages, order::release, order::relaxed);
}

void compaction::withdraw(const room_request& r) noexcept {
  std::uint64_t mine = pack(r);
  wanted_.compare_exchange_strong(mine, 0, order::acq_rel, order::relaxed);
}

bool compaction::step() noexcept {
  if (const std::uint64_t seen = wanted_.load(order::relaxed); seen == 0 || (seen & free_run_bit && is_resting()))
    return false;
  const std::uint64_t wanted = wanted_.exchange(0, order::acq_rel);
  if (wanted == 0) return false;
  const scheduler_state::reading inside(state_);
  if (wanted & free_run_bit)
    return make_free_run(static_cast<std::uint32_t>(wanted),
                         wanted & all_it_takes_bit ? effort::all_it_takes : effort::little);
  room_request r{
      .pages = static_cast<std::uint32_t>(wanted), .cause = eviction_cause::compaction, .waiting_windows = true};
  if (wanted >> 32 != 0) {
    r.runtime = state_.runtime_at(static_cast<std::uint32_t>(wanted >> 32) - 1);
    if (r.runtime == nullptr) return false;
  }
  return make_room(r, effort::all_it_takes);
}

bool compaction::is_resting() const noexcept { return state_.now_ns() < free_run_not_before_ns_; }

bool compaction::make_free_run(std::uint32_t pages, effort most) noexcept {
  const std::uint64_t began_ns = state_.now_ns();
  room_request r{.pages = pages,
                 .cause = eviction_cause::compaction,
                 .from = room_request::victims::nobody,
                 .quiet = most == effort::little};
  bool made = make_room(r, most);
  if (!made && most == effort::all_it_takes) {
    r.from = room_request::victims::idle_runtimes;
    made = make_room(r, most);
  }
  const std::uint64_t ended_ns = state_.now_ns();
  free_run_not_before_ns_ = ended_ns + free_run_rest * (ended_ns - began_ns);
  if (made && most == effort::little) request_free_run(2 * pages, most);  // there will be more such loads
  return made;
}

bool compaction::make_room(const room_request& r, effort most) noexcept {
  const auto& spans = snapshot(state_, r);
  if (cheapest_window(spans, r.pages)) return false;  // who waits can help itself
  std::uint64_t available = 0;
  for (const span_of_pages& s : spans)
    if (s.what == kind::free || s.what == kind::evictable) available += s.run.count;
  if (available < r.pages) return false;  // not for want of contiguous memory
  const auto w = cheapest_slide(spans, r.pages);
  if (w && most == effort::little && w->cost > moved_for_little * r.pages) return false;
  bool changed = w ? slide(spans, *w, r) : relocate(spans, r);
  if (!changed && most == effort::all_it_takes && r.from != room_request::victims::anyone) changed = gather(spans, r);
  if (changed) {
    state_.progress().notify();
  } else if (r.from == room_request::victims::anyone) {
    write_back_all();
  }
  return changed;
}

/// Dirty blocks don't move. All are written back, also those that the request may not evict: these can move then.
void compaction::write_back_all() noexcept {
  state_.for_each_runtime([this](runtime_state& r) {
    for (std::uint32_t p = 0; p < r.blocks().size(); ++p)
      if (r.at(p).word.load().dirty()) state_.moves().request_write_back(r, p);
  });
}

bool compaction::slide(const std::vector<span_of_pages>& spans, const window& w, const room_request& r) noexcept {
  hole h;
  bool changed = false;
  for (std::size_t i = w.first; i <= w.last && h.run.count < r.pages; ++i) {
    if (h.run.count == 0) h.run.first = spans[i].run.first;
    const bool movable = spans[i].what == kind::movable;
    if (movable && h.run.count == 0) continue;
    if (!(movable ? move_down(h, spans[i]) : widen(h, spans[i], r))) break;
    changed = changed || spans[i].what != kind::free;
  }
  (void)state_.arena().give(h.run, h.fences);
  return changed;
}

bool compaction::gather(const std::vector<span_of_pages>& spans, const room_request& r) noexcept {
  bool changed = false;
  std::uint64_t gathered = 0;
  for (std::size_t first = 0; first < spans.size() && gathered < r.pages; ++first) {
    bool worth_it = false;
    std::uint64_t available = 0;
    std::size_t end = first;
    for (; end < spans.size() && spans[end].what != kind::fixed; ++end) {
      const bool below_a_hole = end > first && spans[end].what == kind::movable && spans[end - 1].what == kind::free;
      worth_it = worth_it || below_a_hole || spans[end].what == kind::evictable;
      if (spans[end].what != kind::movable) available += spans[end].run.count;
    }
    if (worth_it) {
      changed |= slide(spans, {.first = first, .last = end - 1, .run = {}, .cost = 0}, r);
      gathered += available;
    }
    first = end;
  }
  return changed;
}

bool compaction::widen(hole& h, const span_of_pages& span, const room_request& r) noexcept {
  extent part;
  if (span.what == kind::free) {
    if (!state_.arena().take_exact(span.run, part)) return false;
  } else {
    runtime_state* owner = state_.runtime_at(span.runtime, span.position);
    if (owner == nullptr || !evict_block(state_, *owner, span.position, r.relation_to(*owner), r.cause, part))
      return false;
  }
  bool fits = part.run.first == h.run.end();
  for (const ticket t : part.fences.view()) fits = fits && state_.arena().absorb(h.fences, t).has_value();
  if (!fits) {
    (void)state_.arena().give(part.run, part.fences);
    return false;
  }
  h.run.count += part.run.count;
  return true;
}

bool compaction::move_down(hole& h, const span_of_pages& span) noexcept {
  runtime_state* r = state_.runtime_at(span.runtime, span.position);
  if (r == nullptr || span.run.first != h.run.end() || !r->at(span.position).word.begin_move()) return false;
  const page_run from = r->at(span.position).run();
  if (from != span.run) {  // it was evicted and loaded elsewhere since the snapshot
    let_go(*r, span.position);
    return false;
  }
  const page_run to{h.run.first, from.count};
  if (!wait_for_block_too(h, r->at(span.position))) {
    let_go(*r, span.position);
    return false;
  }
  const auto moved = move_block(*r, span.position, from, {to, h.fences});
  // The hole is now above the block. After a failure the block is gone, and the hole is all of it.
  h.run = moved ? page_run{to.end(), h.run.count} : page_run{h.run.first, h.run.count + from.count};
  if (moved) h.fences.assign(*moved);
  return moved.has_value();
}

bool compaction::wait_for_block_too(hole& h, const core::block<native_atomics>& block) noexcept {
  fence_set tickets;
  read_fences(block, tickets);
  for (const ticket t : tickets.view())
    if (!state_.arena().absorb(h.fences, t)) return false;
  return true;
}

bool compaction::relocate(const std::vector<span_of_pages>& spans, const room_request& r) noexcept {
  // The stretch between fixed spans that lacks the fewest pages.
  window best;
  std::uint64_t most = 0;
  for (std::size_t first = 0; first < spans.size(); ++first) {
    std::uint64_t available = 0;
    std::uint64_t all = 0;
    std::size_t last = first;
    for (; last < spans.size() && spans[last].what != kind::fixed; ++last) {
      all += spans[last].run.count;
      if (spans[last].what != kind::movable) available += spans[last].run.count;
    }
    if (all >= r.pages && available >= most) {
      most = available;
      best = {first, last - 1, {spans[first].run.first, static_cast<std::uint32_t>(all)}};
    }
    first = last;
  }
  if (best.run.count == 0) return false;
  bool changed = false;
  for (std::size_t i = best.first; i <= best.last && most < r.pages; ++i) {
    if (spans[i].what != kind::movable || !relocate_one(spans, spans[i], best, r)) continue;
    most += spans[i].run.count;
    changed = true;
  }
  return changed;
}

bool compaction::relocate_one(const std::vector<span_of_pages>& spans, const span_of_pages& span, const window& stretch,
                              const room_request& r) noexcept {
  runtime_state* owner = state_.runtime_at(span.runtime, span.position);
  if (owner == nullptr) return false;
  for (const span_of_pages& s : spans) {
    const bool outside = s.run.end() <= stretch.run.first || s.run.first >= stretch.run.end();
    if (!outside || s.run.count < span.run.count || (s.what != kind::free && s.what != kind::evictable)) continue;
    hole to{{s.run.first, 0}, {}};
    if (!widen(to, s, r)) continue;
    if (!owner->at(span.position).word.begin_move()) {
      (void)state_.arena().give(to.run, to.fences);
      return false;
    }
    const page_run from = owner->at(span.position).run();
    const page_run dest{to.run.first, from.count};
    if (from != span.run || !wait_for_block_too(to, owner->at(span.position))) {
      let_go(*owner, span.position);
      (void)state_.arena().give(to.run, to.fences);
      return false;
    }
    const auto moved = move_block(*owner, span.position, from, {dest, to.fences});
    (void)state_.arena().give({dest.end(), to.run.count - dest.count}, to.fences);
    if (moved) to.fences.assign(*moved);
    (void)state_.arena().give(from, to.fences);
    if (!moved) (void)state_.arena().give(dest, to.fences);
    return moved.has_value();
  }
  return false;
}

result<core::ticket> compaction::move_block(runtime_state& r, std::uint32_t position, page_run from,
                                            const extent& to) noexcept {
  auto& block = r.at(position);
  devices::status done = enqueue(from, to, r.size_bytes(position));
  result<core::ticket> ticket = done ? state_.timeline().record(stream_) : result<core::ticket>(done.why());
  if (!ticket) {
    // Part of the bytes may have moved over others. The source still has them: the block is absent from now on.
    state_.note_device_failure(ticket.why(), "moving a block");
    if (const auto drained = state_.timeline().drain(stream_); !drained)
      state_.note_device_failure(drained.why(), "moving a block");
    state_.arena().clear_owner(from);
    r.blocks().withdraw(position);
    r.discharge(from.count);
    r.stats.drop(from.count);
    r.stats.resident_blocks.fetch_sub(1, order::relaxed);
    block.word.abandon_load();
    state_.keep_error(log_level::error,
                      say("block {} of {} was lost while it was moved; it will be loaded again", position, r.name()));
    return ticket;
  }
  state_.arena().clear_owner(from);
  state_.arena().set_owner(to.run, {r.index(), position});
  block.set_run(to.run);
  block.ready.store(ticket->packed(), order::relaxed);
  block.uses.clear();
  count(r.stats.moves);
  state_.trace(trace_kind::moved, &r, position, 0, state_.to_bytes(to.run.count));
  let_go(r, position);
  return ticket;
}

/// Ends the ownership of a block, moved or not. Whoever met it meanwhile took its candidate bit away, or waits for it.
void compaction::let_go(runtime_state& r, std::uint32_t position) noexcept {
  if (r.at(position).word.publish().candidate()) r.blocks().offer(position);
  state_.progress().notify();
}

devices::status compaction::enqueue(page_run from, const extent& to, std::uint64_t size_bytes) noexcept {
  auto& timeline = state_.timeline();
  devices::status ok;
  for (const ticket t : to.fences.view())
    if (ok) ok = timeline.wait(stream_, t);
  const auto stream = timeline.handle(stream_);
  auto& arena = state_.arena();
  const bool overlap = to.run.end() > from.first && from.end() > to.run.first;
  const std::uint64_t step =
      overlap ? static_cast<std::uint64_t>(arena.address(from.first) - arena.address(to.run.first)) : size_bytes;
  for (std::uint64_t at = 0; ok && at < size_bytes; at += step)
    ok = state_.backend().copy(stream, devices::direction::device_to_device, arena.address(to.run.first) + at,
                               arena.address(from.first) + at, std::min(step, size_bytes - at));
  return ok;
}

}  // namespace pinrail::residency
