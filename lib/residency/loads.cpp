#include "residency/loads.hpp"

#include <algorithm>

#include "residency/room.hpp"
#include "residency/transfers.hpp"

namespace pinrail::residency {
namespace order = core::order;

namespace {

/// The caller owns the block, and `room` is its. Hands both to the transfer thread.
void submit(scheduler_state& s, load_job* job, runtime_state& r, std::uint32_t position, const extent& room,
            bool prefetch) noexcept {
  job->runtime = &r;
  job->position = position;
  job->room = room;
  job->prefetch = prefetch;
  job->demanded.store(prefetch ? 0 : 1, order::relaxed);
  s.arena().set_owner(room.run, {r.index(), position});
  r.stats.hold(room.run.count);
  r.extra(position).job.store(job, order::release);
  s.trace_used();
  s.moves().submit(job);
}

/// Gives the block up before anything was submitted. Who waits tries itself: it has a deadline of its own, and may
/// take more than this request might.
void abandon(scheduler_state& s, runtime_state& r, std::uint32_t position) noexcept {
  r.at(position).word.abandon_load();
  s.progress().notify();
}

/// A block that streams takes its whole slot, so that the slot's next block finds room there.
std::uint32_t pages_for(const runtime_state& r, std::uint32_t position) noexcept {
  std::uint64_t pages = r.blocks().pages(position);
  const core::plan* plan = r.pacing().plan();
  if (plan != nullptr && plan->slot[position] != core::plan::stays)
    pages = std::max(pages, plan->slot_pages[plan->slot[position]]);
  return static_cast<std::uint32_t>(pages);
}

room_request request_for(scheduler_state& s, runtime_state& r, std::uint32_t position) noexcept {
  const scheduler_state::reading inside(s);  // the plan
  return {.runtime = &r, .pages = pages_for(r, position)};
}

/// The caller has won the block.
result<void> begin_demanded(scheduler_state& s, runtime_state& r, std::uint32_t position,
                            std::uint64_t until_ns) noexcept {
  r.extra(position).failure.store(0, order::release);
  const room_request request = request_for(s, r, position);
  extent room;
  result<void> found = await_room(s, request, until_ns, room);
  load_job* job = found ? s.moves().take_job() : nullptr;
  while (found && job == nullptr) {  // hundreds of loads under way: wait for one to end
    const std::uint32_t key = s.progress().prepare();
    job = s.moves().take_job();
    if (job != nullptr || s.halted() || s.now_ns() >= until_ns) {
      s.progress().cancel();
      if (job == nullptr) found = s.halted() ? s.why_halted() : failure{.code = errc::timed_out};
      break;
    }
    s.await(key, until_ns);
  }
  if (found) {
    submit(s, job, r, position, room, false);
  } else {
    if (room.run.count != 0) return_room(s, request, room);
    abandon(s, r, position);
  }
  return found;
}

/// What the load that someone else did has failed with, if it has.
result<void> shared_outcome(runtime_state& r, std::uint32_t position) noexcept {
  const std::uint64_t packed = r.extra(position).failure.load(order::acquire);
  if (packed == 0) return {};
  return failure{.code = static_cast<errc>(packed >> 32), .native_code = static_cast<std::int32_t>(packed)};
}

}  // namespace

result<void> await_resident(scheduler_state& s, runtime_state& r, std::uint32_t position,
                            std::uint64_t until_ns) noexcept {
  auto& word = r.at(position).word;
  bool waited = false;
  for (;;) {
    const std::uint32_t key = s.progress().prepare();
    const auto seen = word.load();
    result<void> end = s.halted() ? result<void>(s.why_halted()) : result<void>();
    if (end && seen.resident()) {
      s.progress().cancel();
      return {};
    }
    if (end && waited && seen.absent()) end = shared_outcome(r, position);
    if (end && seen.loading() && s.now_ns() >= until_ns) {
      const bool placed = r.extra(position).job.load(order::acquire) != nullptr;
      end = failure{.code = placed ? errc::timed_out : errc::no_victim,
                    .needed_bytes = s.to_bytes(r.blocks().pages(position))};
    }
    if (end && seen.loading()) {
      s.moves().promote(r, position);
      s.await(key, until_ns);
      waited = true;
      continue;
    }
    s.progress().cancel();
    if (!end) return end;
    if (!word.begin_load()) continue;
    if (const auto begun = begin_demanded(s, r, position, until_ns); !begun) return begun;
    waited = true;
  }
}

void load_in_place_of(scheduler_state& s, runtime_state& r, std::uint32_t position, std::uint32_t leaving,
                      std::uint64_t limit_pages) noexcept {
  auto& word = r.at(position).word;
  if (!word.load().absent() || s.halted() || !word.begin_load()) return;
  r.extra(position).failure.store(0, order::release);
  load_job* job = s.moves().take_job();
  extent room;
  if (job != nullptr && evict_block(s, r, leaving, core::requester::owner, eviction_cause::share, room)) {
    const std::uint32_t pages = pages_for(r, position);
    if (room.run.count >= pages && r.try_charge(pages, std::max<std::uint64_t>(limit_pages, pages))) {
      (void)s.arena().give({room.run.first + pages, room.run.count - pages}, room.fences);
      room.run.count = pages;
      s.arena().move_down(room);  // slots gather at the low end, so that free memory becomes one piece above them
      submit(s, job, r, position, room, true);
      return;
    }
    (void)s.arena().give(room.run, room.fences);
  }
  if (job != nullptr) s.moves().return_job(job);
  abandon(s, r, position);
}

void prefetch_block(scheduler_state& s, runtime_state& r, std::uint32_t position, double later_than_ns) noexcept {
  auto& word = r.at(position).word;
  if (!word.load().absent() || s.halted() || !word.begin_load()) return;
  r.extra(position).failure.store(0, order::release);
  room_request request = request_for(s, r, position);
  request.demand = false;
  request.cause = eviction_cause::prefetch;
  request.later_than_ns = later_than_ns;
  extent room;
  load_job* job = s.moves().take_job();
  if (job != nullptr && try_room(s, request, room)) {
    submit(s, job, r, position, room, true);
    return;
  }
  if (job != nullptr) s.moves().return_job(job);
  abandon(s, r, position);
}

}  // namespace pinrail::residency
