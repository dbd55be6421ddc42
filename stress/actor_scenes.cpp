// Scenes: exceptions, finish orders, hand-over, misuse.
#include <fmt/format.h>

#include <stdexcept>
#include <thread>

#include "actor.hpp"
#include "kernels.hpp"

namespace stress {

using pinrail::errc;

namespace {

struct scene_ended : std::runtime_error {
  scene_ended() : std::runtime_error("thrown by the stress itself") {}
};

}  // namespace

void actor::delay() {
  const std::uint64_t kind = dice_.below(4);
  if (kind == 0) std::this_thread::sleep_for(std::chrono::microseconds(dice_.below(1000)));
  if (kind == 1) std::this_thread::yield();
  if (kind == 2)
    launch_delay(world_->stream(world_->own_stream(thread_, dice_)), std::chrono::microseconds(dice_.below(500)));
  if (kind == 3)
    for (std::uint64_t i = dice_.below(20); i > 0; --i) std::this_thread::yield();
}

/// Waits for a stream, so that the device is not ever further behind.
void actor::catch_up() {
  const doing now(mine_, "synchronize");
  world_->stream(world_->any_stream(thread_, dice_)).synchronize();
}

/// An exception ends a guard, a pass and its uses.
void actor::unwind() {
  try {
    runtime_slot& slot = a_slot();
    const auto guard = dice_.chance(40) ? begin_keep(slot, false) : nullptr;
    const auto pass = begin_pass(slot, world_->own_stream(thread_, dice_));
    if (pass == nullptr) return;
    for (std::uint64_t i = dice_.between(1, 3); i > 0; --i) {
      auto held = begin_use(*pass, pass->next_block(dice_), slot.writable() && dice_.chance(30));
      if (held != nullptr) pass->uses.push_back(std::move(held));
    }
    throw scene_ended();
  } catch (const scene_ended&) {
    done(operation::unwind);
  }
}

/// One block is used on two streams, and the use that is recorded last is done first.
void actor::reversed_finish() {
  runtime_slot& slot = a_slot();
  const std::uint32_t first = 2 * thread_;
  const auto block = static_cast<pinrail::block_index>(dice_.below(slot.block_count()));
  gate early;
  gate late;
  const auto one = begin_pass(slot, first);
  const auto two = begin_pass(slot, first + 1);
  if (one == nullptr || two == nullptr) return;
  early.hold(world_->stream(first));
  (void)begin_use(*one, block, false);
  late.hold(world_->stream(first + 1));
  (void)begin_use(*two, block, false);
  late.open();
  std::this_thread::yield();
  early.open();
  done(operation::reversed_finish);
}

/// A stream that ends at once: what was noted of its uses stays complete.
void actor::brief_stream() {
  runtime_slot& slot = a_slot();
  const pinrail::runtime r = slot.handle();
  if (r.state() == nullptr) return;
  const doing now(mine_, "a brief stream", as_ns(world_->plan().scheduler.load_deadline));
  const pinrail::stream brief = world_->device().create_stream();
  const auto block = static_cast<pinrail::block_index>(dice_.below(slot.block_count()));
  const auto access = block_access::to_read(slot.record(block), 2 * thread_);
  if (!access) return;
  try {
    auto pass = r.managed_forward(brief, {.prefetch_blocks = 0});
    const pinrail::use held = pass.use(block);
    launch_check(brief, {static_cast<const std::byte*>(held.device_ptr()), held.size_bytes()},
                 {world_, slot.owner_of(block), access->version(), fmt::format("block {} on a brief stream", block)});
    done(operation::brief_stream);
  } catch (const pinrail::error& e) {
    refused(e.code() == errc::closed ? operation::open_pass : operation::use, e.why(), e.what());
  }
  brief.synchronize();  // a later writer doesn't know this stream
}

void actor::leave_something() {
  auto& held = hand_->held;
  if (held.empty()) return;
  std::swap(held[dice_.below(held.size())], held.back());
  const auto device = static_cast<std::size_t>(hand_ - hands_.data());
  if (!stage_.lobbies[device]->leave(held.back())) return;
  held.pop_back();
  done(operation::hand_over);
}

/// Ends what another thread began, or goes on with it.
void actor::take_something() {
  const doing now(mine_, "take over");
  const auto device = static_cast<std::size_t>(hand_ - hands_.data());
  auto taken = stage_.lobbies[device]->take(dice_);
  if (taken && dice_.chance(40)) hand_->held.push_back(std::move(*taken));
}

void actor::misuse() {
  runtime_slot& slot = a_slot();
  const pinrail::runtime r = slot.handle();
  const auto expect = [this](errc expected, const char* call, const auto& answer) {
    if (!answer && (answer.code() == expected || answer.code() == errc::closed)) return done(operation::misuse);
    world_->report(check::errors,
                   fmt::format("{}: {} was answered with {} instead of {}", name_of_this_step(), call,
                               answer ? "success" : pinrail::to_string(answer.code()), pinrail::to_string(expected)));
  };
  if (r.state() == nullptr) return;
  const doing now(mine_, "misuse");
  switch (dice_.below(4)) {
    case 0:
      return expect(errc::invalid_argument, "protect_blocks of a block that isn't there",
                    r.try_protect_blocks({0, slot.block_count()}));
    case 1:
      return expect(errc::too_large, "reserve_bytes of more than the arena",
                    world_->sched().budget().try_reserve_bytes(world_->plan().most_budget_bytes() + 1, "too much"));
    case 2:
      return expect(errc::too_large, "set_vram_budget beyond the arena",
                    world_->sched().try_set_vram_budget(2 * world_->plan().most_budget_bytes()));
    default:
      break;
  }
  if (open_pass* const p = one_held<open_pass>())
    expect(errc::invalid_argument, "use of a block that isn't there", p->pass.try_use(p->slot.block_count()));
}

}  // namespace stress
