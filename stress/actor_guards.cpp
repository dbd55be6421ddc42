// Protection.
#include "actor.hpp"

#include <algorithm>
#include <numeric>

namespace stress {
namespace {

constexpr std::size_t most_protections = 4;

}  // namespace

std::unique_ptr<protection> actor::begin_keep(runtime_slot& slot, bool load) {
  auto leave = world_->tied_up().ask(slot.footprint_bytes(), greedy());
  const pinrail::runtime r = slot.handle();
  if (!leave || r.state() == nullptr) return nullptr;
  const std::uint64_t deadline_ns = load ? as_ns(world_->plan().scheduler.load_deadline) : 0;
  const auto throwing = [&] { return r.keep_resident({.load = load}); };
  auto guard = attempt(load ? operation::keep_load : operation::keep, deadline_ns, slot.number(), doing::nothing,
                       throwing, [&] { return load ? pinrail::result(throwing()) : r.try_keep_resident(); });
  if (!guard) return nullptr;
  std::vector<pinrail::block_index> all(slot.block_count());
  std::iota(all.begin(), all.end(), 0u);
  if (load)
    for (const pinrail::block_index b : all)
      if (!r.is_resident(b))
        world_->report(check::protection, "keep_resident({.load = true}) returned with a block absent");
  return std::unique_ptr<protection>(
      new protection{*world_, slot, r, std::move(*leave), std::move(all), std::move(*guard)});
}

void actor::keep() {
  if (count_held<protection>() >= most_protections) return end_protection();
  runtime_slot& slot = a_slot();
  const bool load = dice_.chance(25);
  auto begun = begin_keep(slot, load);
  if (begun != nullptr) begun->look();
  hold(std::move(begun));
}

void actor::protect() {
  if (count_held<protection>() >= most_protections) return end_protection();
  runtime_slot& slot = a_slot();
  std::vector<pinrail::block_index> blocks(dice_.between(1, std::min<std::uint32_t>(4, slot.block_count())));
  std::uint64_t bytes = 0;
  for (auto& b : blocks) {
    b = static_cast<pinrail::block_index>(dice_.below(slot.block_count()));
    bytes += slot.size_bytes(b);
  }
  auto leave = world_->tied_up().ask(bytes, greedy());
  const pinrail::runtime r = slot.handle();
  if (!leave || r.state() == nullptr) return;
  auto guard = attempt(
      operation::protect, 0, slot.number(), blocks.front(), [&] { return r.protect_blocks(blocks); },
      [&] { return r.try_protect_blocks(blocks); });
  if (!guard) return;
  auto begun = std::unique_ptr<protection>(
      new protection{*world_, slot, r, std::move(*leave), std::move(blocks), std::move(*guard)});
  begun->look();
  hold(std::move(begun));
}

void actor::end_protection() {
  const doing now(mine_, "end protection");
  (void)take_out<protection>();
}

void actor::look() {
  const doing now(mine_, "look");
  for (holding& h : hand_->held) {
    if (auto* const p = std::get_if<std::unique_ptr<protection>>(&h)) (*p)->look();
    if (auto* const r = std::get_if<std::unique_ptr<reserved_share>>(&h)) (*r)->look();
  }
  done(operation::look);
}

}  // namespace stress
