#include "residency/workspace_state.hpp"

#include <algorithm>

#include "pinrail/units.hpp"
#include "residency/refusals.hpp"
#include "residency/room.hpp"
#include "residency/say.hpp"

namespace pinrail::residency {
namespace order = core::order;

namespace {

std::uint32_t reserve_entry(scheduler_state& s, const std::string& name, std::uint64_t pages) {
  const std::string what = say("workspace '{}', a share of {}", name, format_bytes(s.to_bytes(pages)));
  if (s.halted()) refuse(s, s.why_halted(), what);
  const auto entry = s.claim_byte_entry(name);
  if (!entry) refuse(s, at_limit(scheduler_state::byte_entries), what);
  const auto granted = s.table().grow(*entry, pages);
  if (granted.what == core::verdict::granted) return *entry;
  s.free_byte_entry(*entry);
  refuse(s,
         {.code = errc::insufficient_headroom,
          .needed_bytes = s.to_bytes(pages),
          .available_bytes = s.to_bytes(granted.free_pages)},
         what);
}

}  // namespace

workspace_state::workspace_state(std::shared_ptr<scheduler_state> s, const workspace_options& o)
    : scheduler_(std::move(s)),
      name_(o.name),
      deadline_ns_(static_cast<std::uint64_t>(
          std::max<std::int64_t>(0, o.deadline.value_or(owner().options().load_deadline).count()))),
      limit_pages_(o.limit_bytes == 0 ? UINT64_MAX : owner().arena().grid().whole_pages(o.limit_bytes)),
      share_pages_(owner().arena().pages_for(o.share_bytes)),
      streams_(owner().timeline()),
      lengths_(std::make_unique<core::atomic<std::uint32_t>[]>(owner().arena().pages())) {
  entry_ = reserve_entry(owner(), name_, share_pages_);
}

workspace_state::~workspace_state() {
  scheduler_state& s = owner();
  if (const std::uint64_t out = used_bytes(); out != 0 && !s.halted()) {
    s.keep_error(log_level::error,
                 say("workspace '{}' ended while {} of it were out; they stay reserved", name_, format_bytes(out)));
    return;
  }
  s.table().release(entry_);
  s.free_byte_entry(entry_);
  s.progress().notify();
}

// ---- what is reserved ---------------------------------------------------------------------------------------

std::uint64_t workspace_state::most_pages() const noexcept { return std::min(limit_pages_, owner().budget_pages()); }

std::uint64_t workspace_state::beyond_share(std::uint64_t before, std::uint64_t after) const noexcept {
  return std::max(share_pages_, after) - std::max(share_pages_, before);
}

result<void> workspace_state::admit(std::uint64_t pages) noexcept {
  auto& table = owner().table();
  std::uint64_t used = used_.load(order::relaxed);
  std::uint64_t grown = 0;
  for (;;) {
    const std::uint64_t needed = beyond_share(used, used + pages);
    std::uint64_t available = limit_pages_ - std::min(limit_pages_, used);
    bool granted = pages <= available;
    if (granted && needed > grown) {
      const core::ruling more = table.grow(entry_, needed - grown);
      granted = more.what == core::verdict::granted;
      available = more.free_pages;
      if (granted) grown = needed;
    }
    if (!granted) {
      if (grown > 0) table.shrink(entry_, grown);
      return failure{.code = errc::out_of_memory,
                     .needed_bytes = owner().to_bytes(pages),
                     .available_bytes = owner().to_bytes(available)};
    }
    if (!used_.compare_exchange_weak(used, used + pages, order::acq_rel, order::relaxed)) continue;
    if (grown > needed) table.shrink(entry_, grown - needed);  // others gave back meanwhile
    std::uint64_t peak = peak_.load(order::relaxed);
    while (peak < used + pages && !peak_.compare_exchange_weak(peak, used + pages, order::relaxed, order::relaxed)) {
    }
    return {};
  }
}

void workspace_state::dismiss(std::uint64_t pages) noexcept {
  const std::uint64_t used = used_.fetch_sub(pages, order::acq_rel);
  if (const std::uint64_t grown = beyond_share(used - pages, used); grown > 0) owner().table().shrink(entry_, grown);
  owner().progress().notify();
}

// ---- memory -------------------------------------------------------------------------------------------------

result<void*> workspace_state::allocate(std::uint64_t size_bytes, std::uint32_t stream) noexcept {
  scheduler_state& s = owner();
  const scheduler_state::working call(s);
  if (!call) return s.why_halted();
  if (size_bytes == 0) return nullptr;
  const std::uint64_t pages = s.arena().pages_for(size_bytes);
  if (pages > most_pages())
    return failure{.code = errc::too_large, .needed_bytes = size_bytes, .available_bytes = s.to_bytes(most_pages())};
  if (const auto admitted = admit(pages); !admitted) return admitted.why();
  const auto room = take(pages, stream);
  if (!room) {
    dismiss(pages);
    failure why = room.why();
    if (why.code == errc::no_victim) why.code = errc::out_of_memory;  // it may be there later
    return why;
  }
  lengths_[room->run.first].store(room->run.count, order::release);
  s.trace_used();
  return s.arena().address(room->run.first);
}

/// Room that work on the stream may write to, from now on.
result<extent> workspace_state::take(std::uint64_t pages, std::uint32_t stream) noexcept {
  scheduler_state& s = owner();
  const room_request request{.pages = static_cast<std::uint32_t>(pages), .cause = eviction_cause::budget};
  const std::uint64_t now_ns = s.now_ns();
  extent room;
  if (const auto found = await_room(s, request, now_ns + std::min(deadline_ns_, UINT64_MAX - now_ns), room); !found)
    return found.why();
  for (const ticket t : room.fences.view()) {
    const auto ordered = s.timeline().wait(stream, t);
    if (ordered) continue;
    s.note_device_failure(ordered.why(), "ordering a workspace");
    return_room(s, request, room);
    return ordered.why();
  }
  s.backend().note_discard(s.timeline().handle(stream), s.arena().address(room.run.first), s.to_bytes(pages));
  return room;
}

result<void> workspace_state::deallocate(void* memory, std::uint64_t size_bytes, std::uint32_t stream) noexcept {
  scheduler_state& s = owner();
  const scheduler_state::working call(s);
  if (!call || (memory == nullptr && size_bytes == 0)) return {};
  const auto run = find(memory, size_bytes);
  if (!run) return run.why();
  s.backend().note_discard(s.timeline().handle(stream), memory, s.to_bytes(run->count));
  fence_set last_use;
  if (const auto recorded = s.timeline().record(stream)) {
    last_use.assign(*recorded);
  } else {
    // The work can't be waited for on the device. If the CPU can, that will do.
    s.note_device_failure(recorded.why(), "freeing a workspace");
    if (const auto drained = s.timeline().drain(stream); !drained) {
      s.note_device_failure(drained.why(), "freeing a workspace");
      s.keep_error(log_level::error, say("workspace '{}': the last use of {} could not be recorded; they stay reserved",
                                         name_, format_bytes(s.to_bytes(run->count))));
      return drained.why();
    }
  }
  (void)s.arena().give(*run, last_use);  // one fence is not joined, so it is not refused
  dismiss(run->count);
  s.trace_used();
  return {};
}

/// Takes it out of what is out, so that it is found once.
result<page_run> workspace_state::find(const void* memory, std::uint64_t size_bytes) noexcept {
  const auto& arena = owner().arena();
  const auto page = arena.page_at(memory);
  if (!page) return failure{.code = errc::invalid_argument, .needed_bytes = size_bytes};
  const std::uint64_t pages = arena.pages_for(size_bytes);
  auto length = static_cast<std::uint32_t>(std::min<std::uint64_t>(pages, UINT32_MAX));
  if (length == 0 || !lengths_[*page].compare_exchange_strong(length, 0, order::acq_rel, order::acquire))
    return failure{
        .code = errc::invalid_argument, .needed_bytes = size_bytes, .available_bytes = owner().to_bytes(length)};
  return page_run{*page, static_cast<std::uint32_t>(pages)};
}

}  // namespace pinrail::residency
