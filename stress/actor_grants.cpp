// Reservations, guests, bytes, and the budget.
//
// To be granted most of what they ask for, runtimes have leanings: 0 is reserved primary, 1 secondary, 2 is a guest.
#include <fmt/format.h>

#include "actor.hpp"

namespace stress {

using std::chrono::milliseconds;

namespace {

constexpr std::size_t most_reservations = 2;
constexpr std::size_t most_guests = 2;
constexpr std::size_t most_bytes = 2;

}  // namespace

// ---- reservations -------------------------------------------------------------------------------------------------

void actor::reserve() {
  if (count_held<reserved_share>() >= most_reservations) return release();
  const bool primary = dice_.chance(50);
  runtime_slot& slot = a_slot(primary ? 0u : 1u);
  if (const auto now = slot.handle().statistics().reservation; now == pinrail::reservation_kind::guest && !greedy())
    return;
  pinrail::reserve_options options{.priority = primary ? pinrail::priority::primary : pinrail::priority::secondary};
  const std::uint64_t footprint = slot.footprint_bytes();
  if (dice_.chance(40)) {
    options.bytes = dice_.between(slot.largest_bytes() + world_->plan().scheduler.page_bytes, 2 * footprint);
    options.allow_partial = dice_.chance(70);
  }
  auto leave = world_->tied_up().ask(primary ? std::min(footprint, options.bytes != 0 ? options.bytes : footprint) : 0,
                                     greedy());
  const pinrail::runtime r = slot.handle();
  if (!leave || r.state() == nullptr) return;
  auto reservation = attempt(
      operation::reserve, 0, slot.number(), doing::nothing, [&] { return r.reserve_for_resident(options); },
      [&] { return r.try_reserve_for_resident(options); });
  if (!reservation) return;
  const bool whole = reservation->share_bytes() >= r.statistics().footprint_bytes;
  auto begun = std::unique_ptr<reserved_share>(
      new reserved_share{*world_, slot, r, std::move(*leave), std::move(*reservation), primary, whole});
  // Once it is all there, nothing may leave.
  if (whole && dice_.chance(40)) (void)begin_keep(slot, true);
  begun->look();
  hold(std::move(begun));
}

void actor::release() {
  const std::unique_ptr<reserved_share> ended = take_out<reserved_share>();
  if (ended == nullptr) return;
  ended->look();
  const doing now(mine_, "release", 0, ended->slot.number());
  if (dice_.chance(20)) return;  // the reservation outlives its handle
  if (dice_.chance(15)) {
    (void)ended->handle.release_reservation();
  } else {
    (void)ended->reservation.release();
  }
  if (ended->reservation.active())
    world_->report(check::handles, fmt::format("{}: a reservation is active after its release", name_of_this_step()));
  if (ended->reservation.release())
    world_->report(check::handles, fmt::format("{}: a reservation was released twice", name_of_this_step()));
  done(operation::release);
}

// ---- guests ---------------------------------------------------------------------------------------------------------

void actor::enter_guest() {
  if (count_held<guest_scope>() >= most_guests) return leave_guest();
  runtime_slot& slot = a_slot(2);
  const pinrail::runtime r = slot.handle();
  const auto kind = r.statistics().reservation;
  const bool reserved = kind == pinrail::reservation_kind::primary || kind == pinrail::reservation_kind::secondary;
  if (reserved && !greedy()) return;
  const pinrail::runtime host = world_->slot(static_cast<std::uint32_t>(dice_.below(world_->slot_count()))).handle();
  if (r.state() == nullptr || host.state() == nullptr) return;
  auto guard = attempt(
      operation::guest, 0, slot.number(), doing::nothing, [&] { return host.as_guest(r); },
      [&] { return host.try_as_guest(r); });
  if (!guard) return;
  if (guard->share_bytes() < slot.largest_bytes())
    world_->report(check::handles, fmt::format("{}: a guest was granted less than a block", name_of_this_step()));
  hold(std::unique_ptr<guest_scope>(new guest_scope{*world_, slot, std::move(*guard)}));
}

void actor::leave_guest() {
  const doing now(mine_, "leave guest");
  (void)take_out<guest_scope>();
}

// ---- bytes ----------------------------------------------------------------------------------------------------------

void actor::take_bytes() {
  if (count_held<taken_bytes>() >= most_bytes) return give_bytes();
  const bool memory = dice_.chance(60);
  const std::uint64_t size = dice_.between(1, 12 * world_->plan().scheduler.page_bytes);
  auto leave = world_->tied_up().ask(size, greedy());
  if (!leave) return;
  const pinrail::byte_options options{.with_memory = memory, .deadline = milliseconds(dice_.one_of({50, 300, 1000}))};
  pinrail::budget_control& budget = world_->sched().budget();
  auto bytes = attempt(
      memory ? operation::bytes_memory : operation::bytes, as_ns(*options.deadline), doing::nothing, doing::nothing,
      [&] { return budget.reserve_bytes(size, "stress", options); },
      [&] { return budget.try_reserve_bytes(size, "stress", options); });
  if (!bytes) return;
  if (bytes->size_bytes() < size || (bytes->device_ptr() != nullptr) != memory)
    world_->report(check::handles, fmt::format("{}: reserve_bytes gave something else", name_of_this_step()));
  auto begun = std::unique_ptr<taken_bytes>(new taken_bytes{*world_, world_->own_stream(thread_, dice_),
                                                            std::move(*leave), std::move(*bytes), world_->new_owner()});
  begun->begin();
  hold(std::move(begun));
}

void actor::give_bytes() {
  const doing now(mine_, "give bytes back");
  (void)take_out<taken_bytes>();
}

// ---- the budget
// -------------------------------------------------------------------------------------------------------

void actor::change_budget() {
  const world_plan& plan = world_->plan();
  const std::uint64_t page = plan.scheduler.page_bytes;
  const std::uint64_t wanted = dice_.between(plan.least_budget_bytes, plan.most_budget_bytes()) / page * page;
  const milliseconds deadline(dice_.one_of({100, 500}));
  pinrail::scheduler& s = world_->sched();
  budget_changes& changes = world_->budgets();
  const std::uint64_t ended_before = changes.ended();
  changes.begin();
  const std::uint64_t begun = changes.begun();
  const auto changed = attempt(
      operation::budget, as_ns(deadline), doing::nothing, doing::nothing,
      [&] { return s.set_vram_budget(wanted, deadline), true; },
      [&] {
        const auto answer = s.try_set_vram_budget(wanted, deadline);
        return answer ? pinrail::result<bool>(true) : pinrail::result<bool>(answer.why());
      });
  const std::uint64_t now = s.budget().total_bytes();
  const bool alone = begun == ended_before + 1 && changes.begun() == begun;
  changes.end();
  if (changed && alone && now != wanted)
    world_->report(check::budget,
                   fmt::format("{}: the budget is {} after it was set to {}", name_of_this_step(), now, wanted));
}

void actor::read_figures() {
  if (dice_.chance(50)) {
    const doing now(mine_, "statistics");
    const pinrail::statistics s = world_->sched().statistics();
    if (s.page_bytes != world_->plan().scheduler.page_bytes)
      world_->report(check::handles, "statistics() has another page size");
    return done(operation::statistics);
  }
  const doing now(mine_, "blockers");
  for (const pinrail::blocker& b : world_->sched().blockers())
    if (b.name.empty() || b.bytes == 0) world_->report(check::handles, "blockers() has one without a name or bytes");
  done(operation::blockers);
}

}  // namespace stress
