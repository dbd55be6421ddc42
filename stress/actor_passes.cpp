// Passes, uses and writes.
#include "actor.hpp"
#include "kernels.hpp"

namespace stress {

using pinrail::errc;
using std::chrono::milliseconds;

namespace {

constexpr std::size_t most_passes = 2;
constexpr std::size_t most_held_uses = 2;  // in a pass

pinrail::order draw_order(dice& d, std::uint32_t blocks) {
  switch (d.below(6)) {
    case 0:
    case 1:
      return pinrail::order::forward;
    case 2:
      return pinrail::order::reverse;
    case 3:
      return pinrail::order::data_dependent;
    default:
      break;
  }
  std::vector<pinrail::block_index> list(d.between(1, 2 * blocks));
  for (auto& b : list) b = static_cast<pinrail::block_index>(d.below(blocks));
  return list;
}

}  // namespace

std::unique_ptr<open_pass> actor::begin_pass(runtime_slot& slot, std::uint32_t stream) {
  pinrail::pass_options options{.order = draw_order(dice_, slot.block_count()),
                                .prefetch_blocks = static_cast<std::uint32_t>(dice_.below(3)),
                                .wraps = dice_.chance(70),
                                .load_deadline = milliseconds(dice_.one_of({30, 100, 300, 1000}))};
  const pinrail::runtime r = slot.handle();
  if (r.state() == nullptr) return nullptr;
  auto pass = attempt(
      operation::open_pass, 0, slot.number(), doing::nothing,
      [&] { return r.managed_forward(world_->stream(stream), options); },
      [&] { return r.try_managed_forward(world_->stream(stream), options); });
  if (!pass) return nullptr;
  return std::unique_ptr<open_pass>(new open_pass{*world_, slot, stream, options.order.type(), options.order.blocks(),
                                                  as_ns(*options.load_deadline), std::move(*pass)});
}

open_pass* actor::a_pass() {
  if (one_held<open_pass>() == nullptr) start_pass();
  return one_held<open_pass>();
}

void actor::start_pass() {
  if (count_held<open_pass>() >= most_passes) return end_pass();
  runtime_slot& slot = a_slot();
  hold(begin_pass(slot, world_->any_stream(thread_, dice_)));
}

void actor::end_pass() {
  const doing now(mine_, "end pass");
  if (const auto ended = take_out<open_pass>(); ended != nullptr && dice_.chance(50)) {
    for (auto& held : ended->uses) held.reset();
    ended->uses.clear();
    ended->pass.end();
    ended->pass.end();  // idempotent
  }
}

void actor::walk() {
  open_pass* const p = a_pass();
  if (p == nullptr) return;
  for (std::uint64_t i = dice_.between(1, 6); i > 0; --i) {
    auto held = begin_use(*p, p->next_block(dice_), false);
    if (held == nullptr) return;
    keep_or_end(*p, std::move(held));
  }
}

void actor::write_block() {
  open_pass* const p = a_pass();
  if (p == nullptr || !p->slot.writable()) return;
  auto held = begin_use(*p, p->next_block(dice_), true);
  if (held != nullptr) keep_or_end(*p, std::move(held));
}

void actor::end_use() {
  const doing now(mine_, "end use");
  open_pass* const p = one_held<open_pass>();
  if (p != nullptr && !p->uses.empty())
    p->uses.erase(p->uses.begin() + static_cast<std::ptrdiff_t>(dice_.below(p->uses.size())));
}

void actor::prefetch() {
  open_pass* const p = a_pass();
  if (p == nullptr) return;
  std::vector<pinrail::block_index> blocks(dice_.between(1, 4));
  for (auto& b : blocks) b = static_cast<pinrail::block_index>(dice_.below(p->slot.block_count()));
  const doing now(mine_, "prefetch", 0, p->slot.number());
  p->pass.prefetch(blocks);
  done(operation::prefetch);
}

// ---- uses -----------------------------------------------------------------------------------------------------

std::unique_ptr<held_use> actor::begin_use(open_pass& p, pinrail::block_index block, bool write) {
  block_record& record = p.slot.record(block);
  auto access = write ? block_access::to_write(record, p.stream) : block_access::to_read(record, p.stream);
  if (!access) return nullptr;  // someone else writes it, or reads it
  if (write) await_readers(*access);
  auto use = attempt(
      write ? operation::write : operation::use, p.deadline_ns, p.slot.number(), block,
      [&] { return p.pass.use(block); }, [&] { return p.pass.try_use(block); });
  if (!use) {
    give_way(p.slot);
    return nullptr;
  }
  if (dice_.chance(4)) launch_delay(world_->stream(p.stream), std::chrono::microseconds(dice_.below(400)));
  auto held = std::make_unique<held_use>(*world_, p.slot, world_->stream(p.stream), std::move(*use), std::move(*access),
                                         name_of_this_step());
  if (write) begin_write(p, *held);
  return held;
}

void actor::begin_write(open_pass& p, held_use& held) {
  const doing now(mine_, "mark dirty", p.deadline_ns, p.slot.number(), held.use().block());
  try {
    held.use().mark_dirty();
    if (dice_.chance(20)) std::this_thread::sleep_for(std::chrono::microseconds(dice_.below(200)));
    held.write();
  } catch (const pinrail::error& e) {
    if (e.code() != errc::timed_out) refused(operation::write, e.why(), e.what());
  }
}

void actor::await_readers(const block_access& access) {
  const doing now(mine_, "synchronize with readers");
  for (std::uint32_t s = 0; s < world_->plan().streams; ++s)
    if (access.streams_to_await().test(s)) world_->stream(s).synchronize();
}

/// Room is short: this thread gives back what it holds of that runtime, and perhaps some of the rest.
void actor::give_way(const runtime_slot& slot) {
  for (holding& h : hand_->held)
    if (auto* const p = std::get_if<std::unique_ptr<open_pass>>(&h); p != nullptr && &(*p)->slot == &slot)
      (*p)->uses.clear();
  if (dice_.chance(30)) (void)take_out<protection>();
}

void actor::keep_or_end(open_pass& p, std::unique_ptr<held_use> held) {
  if (!dice_.chance(20)) return;
  const auto now = p.slot.handle().statistics();
  const bool small_share =
      now.reservation != pinrail::reservation_kind::none && now.share_bytes < now.footprint_bytes / 2;
  if (small_share && !greedy()) return;  // who holds on to a block there stops all others
  if (p.uses.size() >= most_held_uses) p.uses.erase(p.uses.begin());
  p.uses.push_back(std::move(held));
}

}  // namespace stress
