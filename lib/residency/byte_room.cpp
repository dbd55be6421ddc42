#include "residency/byte_room.hpp"

#include <algorithm>

#include "residency/room.hpp"

namespace pinrail::residency {
namespace {

/// Evicts one block for the budget's sake; not while enough pages are draining already.
bool evict_for_budget(scheduler_state& s, std::uint64_t pages) noexcept {
  const scheduler_state::reading inside(s);
  if (s.arena().draining_pages() >= pages) return false;
  room_request request{.pages = 1, .cause = eviction_cause::budget};
  extent freed;
  bool evicted = evict_best(s, request, freed);
  for (int resort = 0; !evicted && resort < 2; ++resort) {
    request.every_block = request.waiting_windows = true;
    request.extreme = resort == 1;
    evicted = evict_best(s, request, freed);
  }
  if (evicted) (void)s.arena().give(freed.run, freed.fences);
  return evicted;
}

core::budget_change change_of(budget_field field, std::int64_t pages) noexcept {
  return field == budget_field::withheld ? core::budget_change{.withheld = pages}
                                         : core::budget_change{.set_aside = pages};
}

/// The caller's streams are unknown here, so the CPU waits for what used the memory before.
result<void> await_fences(scheduler_state& s, fence_set fences, std::uint64_t until_ns) noexcept {
  for (;;) {
    const std::uint32_t key = s.progress().prepare();
    fences.prune([&s](ticket t) { return s.timeline().is_complete(t); });
    const bool late = s.now_ns() >= until_ns;
    if (fences.empty() || s.halted() || late) {
      s.progress().cancel();
      if (fences.empty()) return {};
      return s.halted() ? s.why_halted() : failure{.code = errc::timed_out};
    }
    s.await(key, until_ns);
  }
}

}  // namespace

result<void> await_budget(scheduler_state& s, std::uint64_t pages, budget_field field,
                          std::uint64_t until_ns) noexcept {
  auto& budget = s.arena().budget();
  std::uint64_t have = 0;
  for (;;) {
    const std::uint32_t key = s.progress().prepare();
    // What is free is taken at once, so that no one else gets what is evicted for this.
    const std::uint64_t free = budget.capacity() - budget.load().sum();
    const std::uint64_t part = std::min(free, pages - have);
    if (budget.exchange(change_of(field, static_cast<std::int64_t>(part)))) have += part;
    if (have == pages) {
      s.progress().cancel();
      return {};
    }
    result<void> end = s.halted() ? result<void>(s.why_halted()) : result<void>();
    if (end && s.now_ns() >= until_ns) end = no_victim(s, pages);
    if (!end) {
      (void)budget.exchange(change_of(field, -static_cast<std::int64_t>(have)));
      s.progress().cancel();
      s.progress().notify();
      return end;
    }
    if (s.arena().reap() > 0 || evict_for_budget(s, pages - have)) {
      s.progress().cancel();
      continue;
    }
    s.await(key, until_ns);
  }
}

result<std::byte*> take_bytes(scheduler_state& s, std::uint32_t pages, bool with_memory,
                              std::uint64_t until_ns) noexcept {
  if (!with_memory || pages == 0) {
    const auto done = await_budget(s, pages, budget_field::set_aside, until_ns);
    if (!done) return done.why();
    return nullptr;
  }
  const room_request request{.pages = pages, .cause = eviction_cause::budget};
  extent room;
  if (const auto found = await_room(s, request, until_ns, room); !found) return found.why();
  if (const auto quiet = await_fences(s, room.fences, until_ns); !quiet) {
    return_room(s, request, room);
    return quiet.why();
  }
  return s.arena().address(room.run.first);
}

void return_bytes(scheduler_state& s, std::uint32_t pages, std::byte* memory) noexcept {
  if (memory == nullptr) {
    (void)s.arena().budget().exchange({.set_aside = -static_cast<std::int64_t>(pages)});
    return;
  }
  (void)s.arena().give({*s.arena().page_at(memory), pages}, {});
}

}  // namespace pinrail::residency
