#include "aftermath.hpp"

#include <fmt/format.h>

#include <chrono>
#include <optional>
#include <thread>

#include "device/timeline.hpp"
#include "pinrail/emulated.hpp"

namespace stress {
namespace {

/// Pinrail's own thread may still be at something: waits for a condition, 10 s at most.
template <class Condition>
bool eventually(Condition&& holds) {
  for (int i = 0; i < 10000; ++i) {
    if (holds()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

void end_reservations(world& w) {
  for (std::uint32_t i = 0; i < w.slot_count(); ++i)
    if (const pinrail::runtime r = w.slot(i).handle(); r.state() != nullptr) (void)r.release_reservation();
}

std::uint64_t resident_bytes(const pinrail::statistics& s) {
  std::uint64_t sum = 0;
  for (const auto& r : s.runtimes) sum += r.resident_bytes;
  return sum;
}

/// Figures when nothing is under way: only resident blocks use bytes.
void check_figures(world& w, const watcher& watched) {
  pinrail::statistics s;
  const bool agree = eventually([&] {
    s = w.sched().statistics();
    return s.used_bytes == resident_bytes(s);
  });
  if (!agree)
    w.report(check::leak,
             fmt::format("{} bytes are used, but runtimes have {} when all is quiet", s.used_bytes, resident_bytes(s)));
  if (s.reserved_bytes != 0)
    w.report(check::leak, fmt::format("{} bytes are reserved after everything has ended", s.reserved_bytes));
  for (const auto& r : s.runtimes)
    if (r.guards != 0) w.report(check::leak, fmt::format("{} has {} guards after they have ended", r.name, r.guards));
  if (s.peak_used_bytes > w.plan().most_budget_bytes() || s.peak_used_bytes < watched.most_used_bytes())
    w.report(check::budget, fmt::format("the peak of used bytes is {}; {} were seen, the arena is {}",
                                        s.peak_used_bytes, watched.most_used_bytes(), w.plan().most_budget_bytes()));
}

/// With nothing else going on a guest is let in, and its blocks leave with it.
void check_guest(world& w, dice& d) {
  runtime_slot& slot = w.slot(static_cast<std::uint32_t>(d.below(w.slot_count())));
  const pinrail::runtime r = slot.handle();
  if (r.state() == nullptr) return;
  auto scope = r.as_guest();
  {
    auto pass = r.managed_forward(w.stream(0));
    for (const pinrail::block_index b : {0u, slot.block_count() - 1}) (void)pass.use(b);
  }
  scope.end();
  w.synchronize();
  std::uint64_t left = 0;
  if (!eventually([&] { return (left = r.statistics().resident_blocks) == 0; }))
    w.report(check::leak, fmt::format("{} blocks of {} are still there after its guest scope", left, slot.name()));
}

void remove(world& w, runtime_slot& slot) {
  const pinrail::runtime r = slot.handle();
  try {
    w.sched().remove_runtime(r);
    w.count(r.statistics());
    slot.forget_handle();
    if (const auto wrong = slot.compare_source()) w.report(check::lost_bytes, *wrong);
  } catch (const pinrail::error& e) {
    w.report(check::leak, fmt::format("{} can't be removed after everything has ended: {}", slot.name(), e.what()));
  }
}

/// Some are left to the scheduler, which writes back at its end.
void remove_runtimes(world& w, bool all, dice& d) {
  for (std::uint32_t i = 0; i < w.slot_count(); ++i)
    if (w.slot(i).handle().state() != nullptr && (all || d.chance(50))) remove(w, w.slot(i));
  if (!all) return;
  std::uint64_t used_bytes = 0;
  if (!eventually([&] { return (used_bytes = w.sched().statistics().used_bytes) == 0; }))
    w.report(check::leak, fmt::format("{} bytes are used after all runtimes were removed", used_bytes));
}

/// Handles that outlive their scheduler guard nothing, and end.
struct late_handles {
  std::optional<pinrail::residency_guard> guard;
  std::optional<pinrail::reservation> reservation;
  std::optional<pinrail::byte_reservation> bytes;
};

void take_late_handles(world& w, late_handles& late) {
  if (auto bytes = w.sched().budget().try_reserve_bytes(1, "late")) late.bytes = std::move(*bytes);
  const pinrail::runtime r = w.slot(0).handle();
  if (r.state() == nullptr) return;
  if (auto guard = r.try_keep_resident()) late.guard = std::move(*guard);
  if (auto reserved = r.try_reserve_for_resident({.allow_partial = true})) late.reservation = std::move(*reserved);
}

void check_device(world& w) {
  const auto left = pinrail::emulated::live_resources(w.device());
  const std::uint64_t kept_bytes = w.device().timeline().pinned_bytes();  // completion words stay with the device
  if (left.arena_bytes != 0 || left.pinned_bytes != kept_bytes || left.streams != 0)
    w.report(check::leak, fmt::format("the device has {} bytes of arenas, {} of pinned memory and {} streams left",
                                      left.arena_bytes, left.pinned_bytes, left.streams));
  // A stream number keeps its events for the next stream of that number.
  constexpr std::uint64_t events_of_a_stream = 1024;
  constexpr std::uint64_t own_streams = 8;
  if (left.events > events_of_a_stream * (w.plan().streams + own_streams))
    w.report(check::leak, fmt::format("the device has {} events", left.events));
}

}  // namespace

void check_aftermath(world& w, const watcher& watched, activity& mine, dice d) {
  const doing now(mine, "aftermath", 60'000'000'000);  // several waits of 10 s
  for (std::uint32_t i = 0; i < w.slot_count(); ++i) w.slot(i).stop_faults();
  end_reservations(w);
  w.synchronize();
  w.sched().synchronize();
  check_figures(w, watched);
  check_guest(w, d);
  remove_runtimes(w, d.chance(60), d);
  late_handles late;
  if (d.chance(50)) take_late_handles(w, late);
  for (std::uint32_t i = 0; i < w.slot_count(); ++i)
    if (const auto& r = w.slot(i).handle(); r.state() != nullptr) w.count(r.statistics());
  w.end_scheduler();
  late = {};
  for (std::uint32_t i = 0; i < w.slot_count(); ++i)
    if (const auto wrong = w.slot(i).compare_source()) w.report(check::lost_bytes, *wrong);
  w.end_streams();
  w.check_order();
  check_device(w);
}

}  // namespace stress
