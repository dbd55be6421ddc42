#include "actor.hpp"

#include <fmt/format.h>

#include <exception>
#include <numeric>
#include <span>
#include <thread>

namespace stress {

using pinrail::errc;

// The mix. Most of the work is passes; what ties memory up is rare, and ends about as often as it begins.
const actor::action actor::actions[] = {
    {300, &actor::walk},
    {90, &actor::write_block},
    {40, &actor::start_pass},
    {60, &actor::end_use},
    {50, &actor::end_pass},
    {20, &actor::prefetch},
    {40, &actor::keep},
    {40, &actor::protect},
    {80, &actor::end_protection},
    {60, &actor::look},
    {30, &actor::reserve},
    {30, &actor::release},
    {20, &actor::enter_guest},
    {60, &actor::leave_guest},
    {25, &actor::take_bytes},
    {25, &actor::give_bytes},
    {6, &actor::change_budget},
    {15, &actor::read_figures},
    {4, &actor::replace_runtime},
    {8, &actor::bring_back_runtime},
    {40, &actor::delay},
    {10, &actor::unwind},
    {10, &actor::reversed_finish},
    {2, &actor::brief_stream},
    {20, &actor::leave_something},
    {20, &actor::take_something},
    {10, &actor::misuse},
    {50, &actor::catch_up},
};

actor::actor(stage& s, std::uint32_t thread, activity& mine)
    : stage_(s), thread_(thread), mine_(mine), hands_(s.worlds.size()) {}

void actor::run(std::uint64_t steps, const std::atomic<bool>& stop) {
  for (std::uint64_t i = 0; i < steps && !stop.load(std::memory_order_relaxed); ++i) {
    try {
      step(i);
    } catch (const std::exception& e) {
      world_->report(check::errors, fmt::format("{}: {}", name_of_this_step(), e.what()));
    }
    stage_.steps_done.fetch_add(1, std::memory_order_relaxed);
  }
  end_everything();
}

void actor::step(std::uint64_t number) {
  step_ = number;
  mine_.set_step(number);
  dice_ = dice(stage_.seed, stage_.round, thread_, number);
  const std::size_t device = dice_.below(stage_.worlds.size());
  world_ = stage_.worlds[device].get();
  hand_ = &hands_[device];
  static const unsigned all = std::accumulate(std::begin(actions), std::end(actions), 0u,
                                              [](unsigned sum, const action& a) { return sum + a.weight; });
  std::uint64_t at = dice_.below(all);
  const action* chosen = actions;
  while (at >= chosen->weight) at -= (chosen++)->weight;
  let_go_of_wanted();
  (this->*chosen->act)();
}

/// Ends what is in the way of a runtime that is to be removed.
void actor::let_go_of_wanted() {
  std::erase_if(hand_->held, [](const holding& h) {
    const runtime_slot* const slot = slot_of(h);
    return slot != nullptr && slot->is_wanted_out();
  });
}

void actor::end_everything() {
  for (std::size_t i = 0; i < hands_.size(); ++i) {
    const doing now(mine_, "end of everything held");
    auto& held = hands_[i].held;
    dice d(stage_.seed, stage_.round, thread_, UINT64_MAX - i);
    while (!held.empty()) {
      std::swap(held[d.below(held.size())], held.back());
      held.pop_back();
    }
  }
}

// ---- tools --------------------------------------------------------------------------------------------------------

runtime_slot& actor::a_slot(std::optional<std::uint32_t> preferred) {
  for (int tries = 0;; ++tries) {
    auto number = static_cast<std::uint32_t>(dice_.below(world_->slot_count()));
    if (preferred && *preferred < world_->slot_count() && tries == 0 && dice_.chance(85)) number = *preferred;
    runtime_slot& slot = world_->slot(number);
    const bool there = slot.handle().state() != nullptr && !slot.is_wanted_out();
    if (there || tries == 8 || dice_.chance(1)) return slot;
  }
}

void actor::refused(operation what, const pinrail::failure& why, const char* text) {
  ++tally_.of(what).refused[static_cast<std::size_t>(why.code)];
  if (!is_documented(what, why.code))
    world_->report(check::errors,
                   fmt::format("{}: '{}' was refused with {} ({}), which it doesn't document", name_of_this_step(),
                               to_string(what), pinrail::to_string(why.code), text));
  const bool counts =
      why.code == errc::no_victim || why.code == errc::insufficient_headroom || why.code == errc::too_large;
  if (counts && why.needed_bytes == 0)
    world_->report(check::errors,
                   fmt::format("{}: '{}' was refused with {} and no number of bytes ({})", name_of_this_step(),
                               to_string(what), pinrail::to_string(why.code), text));
}

void actor::refused(operation what, const pinrail::failure& why, const char* text, const doing& now) {
  refused(what, why, text);
  if ((why.code == errc::no_victim || why.code == errc::timed_out) && now.is_early())
    world_->report(check::errors,
                   fmt::format("{}: '{}' was refused with {} before its deadline ({})", name_of_this_step(),
                               to_string(what), pinrail::to_string(why.code), text));
}

std::string actor::name_of_this_step() const { return fmt::format("thread {} step {}", thread_, step_); }

}  // namespace stress
