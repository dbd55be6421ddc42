#include "residency/pass_control.hpp"

#include <algorithm>
#include <thread>

#include "residency/loads.hpp"
#include "residency/planned_loads.hpp"
#include "residency/refusals.hpp"
#include "residency/say.hpp"

namespace pinrail::residency {
namespace order = core::order;
using core::pass_kind;

namespace {

constexpr std::uint64_t pace_period_uses = 16;

core::pass_cursor first_cursor(const runtime_state& r, const pass_options& o) noexcept {
  core::pass_cursor c{};
  c.live = true;
  c.window = static_cast<std::uint8_t>(o.prefetch_blocks);
  switch (o.order.type()) {
    case pinrail::order::kind::forward:
      break;
    case pinrail::order::kind::reverse:
      c.now = core::heading::reverse;
      break;
    case pinrail::order::kind::listed:
      c.kind = pass_kind::listed;
      break;
    case pinrail::order::kind::data_dependent:
      c.kind = pass_kind::data_dependent;
      break;
  }
  c.next = r.blocks().expected_after(c.now);
  return c;
}

core::walk walk_of(const runtime_state& r, const core::pass_cursor& c) noexcept {
  return {.length = r.blocks().size(), .done = c.done, .now = c.now, .next = c.next};
}

/// Puts the cursor before `position` (`behind` false) or behind it.
void move_cursor(runtime_state& r, pass_state& p, std::uint32_t position, bool behind) noexcept {
  core::pass_cursor& c = p.cursor;
  if (c.kind == pass_kind::ordered) {
    c.done = core::walk::rank(position, r.blocks().size(), c.now) + behind;
  } else if (c.kind == pass_kind::listed && p.list->contains(position)) {
    const std::uint32_t length = p.list->length();
    c.done = (c.done % length + p.list->distance(position, c.done % length)) % length + behind;
  }
}

void show_cursor(runtime_state& r, pass_state& p) noexcept { r.blocks().live_passes().advance(p.slot, p.cursor); }

void measure_pace(scheduler_state& s, runtime_state& r, pass_state& p) noexcept {
  const std::uint64_t uses = p.uses() - p.pace_mark_uses;
  if (uses < pace_period_uses && !(uses > 0 && p.pace_ns == 0)) return;
  const std::uint64_t now_ns = s.now_ns();
  const std::uint64_t measured_ns = std::max<std::uint64_t>(1, (now_ns - p.pace_mark_ns) / uses);
  p.pace_ns = p.pace_ns == 0 ? measured_ns : (3 * p.pace_ns + measured_ns) / 4;
  p.pace_mark_ns = now_ns;
  p.pace_mark_uses += uses;
  r.blocks().live_passes().set_pace(p.slot, p.pace_ns);
}

/// Follows the runtime's plan, if there is one for this pass. True for who then need not think of streamed blocks.
bool follow_plan(scheduler_state& s, runtime_state& r, pass_state& p) noexcept {
  if (!r.pacing().samples()) return false;
  const scheduler_state::reading inside(s);
  const core::plan* plan = followed_plan(r, p);
  if (plan == nullptr) return false;
  load_along_plan(s, r, p, *plan);
  return true;
}

bool is_streamed(scheduler_state& s, const runtime_state& r, std::uint32_t position) noexcept {
  const scheduler_state::reading inside(s);
  const core::plan* plan = r.pacing().plan();
  return plan != nullptr && plan->slot[position] != core::plan::stays;
}

/// Loads what lies in the near window, nearest first.
void prefetch_ahead(scheduler_state& s, runtime_state& r, pass_state& p) noexcept {
  const core::pass_cursor& c = p.cursor;
  const bool planned = follow_plan(s, r, p);
  if (c.window == 0 || c.kind == pass_kind::data_dependent || r.blocks().size() == 0) return;
  const core::walk w = walk_of(r, c);
  const std::uint32_t length = c.kind == pass_kind::listed ? p.list->length() : w.length;
  for (std::uint32_t ahead = 0; ahead < c.window; ++ahead) {
    if (!p.wraps && c.done + std::uint64_t{ahead} >= length) return;
    const std::uint32_t position =
        c.kind == pass_kind::listed ? p.list->block_at(c.done + ahead) : w.position_at(ahead);
    if (!r.at(position).word.load().absent()) continue;
    if (planned && is_streamed(s, r, position)) continue;
    prefetch_block(s, r, position, (ahead + 1.0) * static_cast<double>(std::max<std::uint64_t>(1, p.pace_ns)));
  }
}

/// The block is not resident; the caller's pin waits on it.
result<void> wait_for_block(scheduler_state& s, runtime_state& r, pass_state& p, std::uint32_t position,
                            std::uint64_t trace_id) noexcept {
  const std::uint64_t began_ns = s.now_ns();
  s.trace(trace_kind::stall_begin, &r, position, trace_id);
  move_cursor(r, p, position, false);
  p.cursor.waiting = true;
  show_cursor(r, p);
  const std::uint64_t until_ns = p.deadline_ns > UINT64_MAX - began_ns ? UINT64_MAX : began_ns + p.deadline_ns;
  const result<void> loaded = await_resident(s, r, position, until_ns);
  p.cursor.waiting = false;
  show_cursor(r, p);
  count(r.stats.misses);
  count(r.stats.stall_ns, s.now_ns() - began_ns);
  s.trace(trace_kind::stall_end, &r, position, trace_id);
  return loaded;
}

/// Orders the stream after the bytes. A ticket that is complete is taken out of the block, so that the next use
/// asks nothing.
result<void> order_stream(scheduler_state& s, core::block<core::native_atomics>& block, std::uint32_t stream) noexcept {
  std::uint64_t ready = block.ready.load(order::acquire);
  if (ready == 0) [[likely]]
    return {};
  if (!s.timeline().is_complete(ticket(ready))) return s.timeline().wait(stream, ticket(ready));
  block.ready.compare_exchange_strong(ready, 0, order::acq_rel, order::relaxed);
  return {};
}

/// In a capture the stream can't wait for what was recorded outside it: the CPU waits until the bytes are there.
result<void> await_bytes(scheduler_state& s, const core::block<core::native_atomics>& block,
                         std::uint64_t deadline_ns) noexcept {
  const std::uint64_t began_ns = s.now_ns();
  while (!s.timeline().is_complete(ticket(block.ready.load(order::acquire)))) {
    if (s.halted()) return s.why_halted();
    if (s.now_ns() - began_ns >= deadline_ns) return failure{.code = errc::timed_out};
    std::this_thread::yield();
  }
  return {};
}

/// Every slot holds an incomplete ticket of another lane: one of them and ours become one.
result<void> note_by_joining(scheduler_state& s, core::block<core::native_atomics>& block, ticket used) noexcept {
  for (std::size_t i = 0;; i = (i + 1) % block.uses.capacity) {
    const ticket other = block.uses.read(i);
    const auto both = s.arena().join(other, used);
    if (!both) return both.why();
    if (block.uses.replace(i, other, *both)) return {};
  }
}

/// Later uses, and the write-back, wait for the new bytes; and for those that uses on other streams have changed.
result<void> make_ready(scheduler_state& s, core::block<core::native_atomics>& block, ticket used) noexcept {
  std::uint64_t seen = block.ready.load(order::acquire);
  for (;;) {
    ticket all = used;
    const ticket before(seen);
    const bool covered = before.lane() == used.lane() && before.sequence() < used.sequence();
    if (!covered && !s.timeline().is_complete(before)) {
      const auto both = s.arena().join(before, used);
      if (!both) return both.why();
      all = *both;
    }
    if (block.ready.compare_exchange_strong(seen, all.packed(), order::acq_rel, order::acquire)) return {};
  }
}

/// Records the event that covers a use, then notes it in the block: in this order.
result<ticket> record_last_use(scheduler_state& s, core::block<core::native_atomics>& block,
                               std::uint32_t stream) noexcept {
  const auto used = s.timeline().record(stream);
  if (!used) return used;
  const auto is_complete = [&s](ticket t) { return s.timeline().is_complete(t); };
  if (!block.uses.note(*used, is_complete))
    if (const auto joined = note_by_joining(s, block, *used); !joined) return joined.why();
  return used;
}

result<void> record_use(scheduler_state& s, runtime_state& r, std::uint32_t position, pass_state& p,
                        bool dirty) noexcept {
  auto& block = r.at(position);
  const auto used = record_last_use(s, block, p.stream);
  if (!used) return used.why();
  if (r.pacing().samples()) p.samples.add(position, *used);
  if (!dirty) return {};
  const auto ready = make_ready(s, block, *used);
  if (ready) block.word.mark_dirty();
  return ready;
}

void note_access(scheduler_state& s, runtime_state& r, std::uint32_t position, std::uint32_t stream,
                 devices::access how) noexcept {
  s.backend().note_access(s.timeline().handle(stream), s.arena().address(r.at(position).run().first),
                          r.size_bytes(position), how);
}

/// A list that was shown in a slot: a selector may still read it.
bool retire_list(scheduler_state& s, std::shared_ptr<const core::list_order>& list) noexcept {
  if (list == nullptr) return true;
  try {
    s.retire(list);
    list.reset();
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

}  // namespace

result<pass_state*> open_pass(runtime_state& r, stream_ref stream, const pass_options& o,
                              std::shared_ptr<const core::list_order> list) noexcept {
  scheduler_state& s = r.owner();
  if (stream.device() != &s.device() || o.prefetch_blocks > 64)
    return failure{.code = errc::invalid_argument, .needed_bytes = o.prefetch_blocks, .available_bytes = 64};
  const scheduler_state::working call(s);
  if (!call) return s.why_halted();
  core::pass_cursor c = first_cursor(r, o);
  if (c.kind == pass_kind::listed && (list == nullptr || list->length() == 0)) c.kind = pass_kind::data_dependent;
  auto& passes = r.blocks().live_passes();
  const std::uint32_t slot = passes.open(c, list.get(), r.blocks().pace_ns());
  if (slot == passes.none) return at_limit(passes.capacity);
  if (r.state.load() != runtime_state::phase::live) {
    passes.close(slot);
    (void)retire_list(s, list);
    return failure{.code = errc::closed};
  }
  pass_state& p = r.pass(slot);
  if (!retire_list(s, p.list)) {  // of the slot's last pass
    passes.close(slot);
    (void)retire_list(s, list);
    return failure{.code = errc::out_of_memory};
  }
  p.slot = slot;
  p.stream = stream.index();
  p.cursor = c;
  p.list = std::move(list);
  p.wraps = o.wraps;
  p.deadline_ns = static_cast<std::uint64_t>(
      std::max<std::int64_t>(0, o.load_deadline.value_or(s.options().load_deadline).count()));
  p.pace_ns = r.blocks().pace_ns();
  p.pace_mark_ns = s.now_ns();
  p.pace_mark_uses = p.uses();
  if (c.kind == pass_kind::ordered) r.blocks().note_pass_begin(c.now);
  r.leaving.store(runtime_state::departure::none, order::release);
  prefetch_ahead(s, r, p);
  return &p;
}

void close_pass(runtime_state& r, pass_state& p) noexcept {
  scheduler_state& s = r.owner();
  if (p.open_uses() != 0) {
    s.keep_error(log_level::error, say("a forward pass of {} ended before {} of its uses; its slot stays taken",
                                       r.name(), p.open_uses()));
    return;
  }
  r.blocks().note_pass_end(s.now_ns(), p.pace_ns);
  r.blocks().live_passes().close(p.slot);
  s.progress().notify();
}

result<void> begin_use(runtime_state& r, pass_state& p, std::uint32_t position, open_use& opened) noexcept {
  scheduler_state& s = r.owner();
  p.activity.fetch_add(pass_state::one_use + 1, order::seq_cst);
  result<void> outcome = s.halted() ? result<void>(s.why_halted()) : result<void>();
  if (s.tracing()) opened.trace_id = s.next_trace_id();
  auto& block = r.at(position);
  if (outcome) {
    s.pump();
    opened.captured = s.backend().is_capturing(s.timeline().handle(p.stream));
    const auto pinned = block.word.pin();
    if (pinned == core::pin_outcome::waiting && opened.captured) {
      outcome = failure{.code = errc::not_supported, .needed_bytes = r.size_bytes(position)};
    } else if (pinned == core::pin_outcome::waiting) {
      outcome = wait_for_block(s, r, p, position, opened.trace_id);
    }
    if (p.cursor.kind == pass_kind::data_dependent) r.blocks().reuse().note_use(position);
    if (pinned == core::pin_outcome::refused) {
      outcome = at_limit(core::block_bits::too_many_pins);
    } else {
      if (outcome) outcome = opened.captured ? await_bytes(s, block, p.deadline_ns) : order_stream(s, block, p.stream);
      if (!outcome) block.word.unpin();
    }
  }
  if (!outcome) {
    s.note_device_failure(outcome.why(), "a use");
    p.activity.fetch_sub(pass_state::one_use + 1, order::release);
    s.progress().notify();
    return outcome;
  }
  s.trace(trace_kind::use_begin, &r, position, opened.trace_id);
  move_cursor(r, p, position, true);
  show_cursor(r, p);
  if (opened.captured) return {};  // nothing runs now, so there is no pace; and what leaves now may be in the graph
  measure_pace(s, r, p);
  prefetch_ahead(s, r, p);
  return {};
}

namespace {

/// On success the device knows what still uses the block, or nothing does.
result<void> end_on_device(scheduler_state& s, runtime_state& r, std::uint32_t position, pass_state& p,
                           bool dirty) noexcept {
  // Kernels from before the capture may run, and an event that is recorded now would be one of the graph.
  if (s.backend().is_capturing(s.timeline().handle(p.stream))) return failure{.code = errc::not_supported};
  note_access(s, r, position, p.stream, dirty ? devices::access::write : devices::access::read);
  result<void> noted = record_use(s, r, position, p, dirty);
  if (noted) return noted;
  s.note_device_failure(noted.why(), "recording a use");
  // The kernels of this use can't be waited for on the device. If the CPU can, that will do.
  noted = s.timeline().drain(p.stream);
  if (noted && dirty) r.at(position).word.mark_dirty();
  if (!noted) s.note_device_failure(noted.why(), "recording a use");
  return noted;
}

}  // namespace

void end_use(runtime_state& r, pass_state& p, std::uint32_t position, bool dirty, const open_use& opened) noexcept {
  scheduler_state& s = r.owner();
  // What was captured runs when the graph is launched, and who launches it holds the block then.
  const result<void> noted = opened.captured ? result<void>() : end_on_device(s, r, position, p, dirty);
  s.trace(trace_kind::use_end, &r, position, opened.trace_id);
  if (noted) {
    r.at(position).word.unpin();
  } else if (noted.code() == errc::not_supported) {
    r.leave_pin();
    s.keep_error(log_level::error,
                 say("a use of block {} of {} began before the capture of its stream and ended in it; "
                     "the block stays where it is",
                     position, r.name()));
  } else {
    r.leave_pin();
    s.keep_error(log_level::error, say("the end of a use of block {} of {} could not be recorded: {} (native code {}); "
                                       "the block stays where it is",
                                       position, r.name(), to_string(noted.code()), noted.why().native_code));
  }
  if (!opened.captured) (void)follow_plan(s, r, p);
  p.activity.fetch_sub(1, order::release);
  s.progress().notify();
}

result<void> order_after_load(runtime_state& r, std::uint32_t position, std::uint32_t stream) noexcept {
  scheduler_state& s = r.owner();
  const auto ordered =
      s.backend().is_capturing(s.timeline().handle(stream))
          ? await_bytes(s, r.at(position), static_cast<std::uint64_t>(s.options().load_deadline.count()))
          : order_stream(s, r.at(position), stream);
  if (!ordered) s.note_device_failure(ordered.why(), "ordering a stream");
  return ordered;
}

result<void> note_use(runtime_state& r, std::uint32_t position, std::uint32_t stream) noexcept {
  scheduler_state& s = r.owner();
  if (s.backend().is_capturing(s.timeline().handle(stream))) return failure{.code = errc::not_supported};
  note_access(s, r, position, stream, devices::access::read);
  const auto used = record_last_use(s, r.at(position), stream);
  if (used) return {};
  s.note_device_failure(used.why(), "recording a use");
  return used.why();
}

void prefetch(runtime_state& r, pass_state& p, std::span<const block_index> positions) noexcept {
  const scheduler_state::working call(r.owner());
  if (!call) return;
  double ahead = 0;
  for (const block_index b : positions)
    if (b < r.blocks().size()) {
      if (p.cursor.kind == pass_kind::data_dependent) r.blocks().reuse().expect_soon(b);
      prefetch_block(r.owner(), r, b, ++ahead * static_cast<double>(std::max<std::uint64_t>(1, p.pace_ns)));
    }
}

result<void> await_write_back(runtime_state& r, pass_state& p, std::uint32_t position) noexcept {
  scheduler_state& s = r.owner();
  const std::uint64_t until_ns = s.now_ns() + std::min(p.deadline_ns, UINT64_MAX / 2);
  for (;;) {
    const std::uint32_t key = s.progress().prepare();
    if (!r.at(position).word.load().writing_back()) {
      s.progress().cancel();
      return {};
    }
    if (s.now_ns() >= until_ns || s.halted()) {
      s.progress().cancel();
      return s.halted() ? s.why_halted() : failure{.code = errc::timed_out};
    }
    s.await(key, until_ns);
  }
}

}  // namespace pinrail::residency
