// Runtimes come and go.
#include <fmt/format.h>

#include <thread>

#include "actor.hpp"

namespace stress {
namespace {

constexpr int removal_attempts = 5;
constexpr auto between_attempts = std::chrono::milliseconds(4);

}  // namespace

void actor::replace_runtime() {
  runtime_slot& slot = a_slot();
  if (!slot.begin_change()) return;
  if (slot.handle().state() != nullptr && remove_runtime(slot) && dice_.chance(60)) add_runtime(slot);
  slot.end_change();
}

void actor::bring_back_runtime() {
  for (std::uint32_t i = 0; i < world_->slot_count(); ++i) {
    runtime_slot& slot = world_->slot(i);
    if (slot.handle().state() != nullptr || !slot.begin_change()) continue;
    if (slot.handle().state() == nullptr) add_runtime(slot);
    slot.end_change();
  }
}

/// Asks others to let go of it first, and tries a few times.
bool actor::remove_runtime(runtime_slot& slot) {
  const pinrail::runtime r = slot.handle();
  const std::uint64_t deadline_ns = as_ns(world_->plan().scheduler.load_deadline);
  const auto remove = [&] { return world_->sched().remove_runtime(r), true; };
  slot.want_out(dice_.chance(90));
  let_go_of_wanted();
  std::optional<bool> removed;
  for (int i = 0; i < removal_attempts && !removed; ++i) {
    std::this_thread::sleep_for(between_attempts);
    if (slot.is_wanted_out()) (void)r.release_reservation();  // one may have outlived its handle
    removed = attempt(operation::remove_runtime, deadline_ns, slot.number(), doing::nothing, remove,
                      [&] { return pinrail::result<bool>(remove()); });
  }
  slot.want_out(false);
  if (!removed) return false;
  if (const auto wrong = slot.compare_source()) world_->report(check::lost_bytes, *wrong);
  if (r.try_keep_resident().code() != pinrail::errc::closed)
    world_->report(check::handles, fmt::format("{}: a removed runtime is not closed", name_of_this_step()));
  world_->count(r.statistics());
  slot.forget_handle();
  return true;
}

void actor::add_runtime(runtime_slot& slot) {
  try {
    const doing now(mine_, "add runtime", 0, slot.number());
    slot.add_to(world_->sched());
    done(operation::add_runtime);
  } catch (const pinrail::error& e) {
    refused(operation::add_runtime, e.why(), e.what());
  }
}

}  // namespace stress
