#include "fuzz/api/actor.hpp"

#include <algorithm>
#include <thread>

namespace pinrail::fuzz {

namespace {

constexpr errc no_room[] = {errc::no_victim, errc::timed_out, errc::too_large};

/// The element that `which` names; none if there is none.
template <class List>
typename List::value_type* pick(List& from, std::uint8_t which) {
  if (from.empty()) return nullptr;
  auto at = from.begin();
  std::advance(at, which % from.size());
  return &*at;
}

/// Removes and returns the element that `which` names.
template <class Deque>
std::optional<typename Deque::value_type> take(Deque& from, std::uint8_t which) {
  if (from.empty()) return std::nullopt;
  const auto at = from.begin() + static_cast<std::ptrdiff_t>(which % from.size());
  std::optional<typename Deque::value_type> taken(std::move(*at));
  from.erase(at);
  return taken;
}

}  // namespace

actor::~actor() {
  end_uses();
  while (!passes_.empty()) end_pass(passes_.front());
  while (auto g = take(guards_, 0)) end_guard(*g);
  while (auto g = take(block_guards_, 0)) end_guard(*g);
  while (auto r = take(reservations_, 0)) release(*r);
  while (auto g = take(guests_, 0)) leave_guest(*g);
  while (auto b = take(bytes_, 0)) return_bytes(*b);
}

void actor::run(const call& c) {
  if (world_.closing()) end_uses();  // the end of the scheduler waits for them
  dispatch(c);
  world_.expect_budget();
}

// clang-format off
void actor::dispatch(const call& c) {
  switch (c.what) {
    case action::open_pass: return open_pass(c);
    case action::end_pass:
      if (live_pass* p = pass_of(c)) end_pass(*p);
      return;
    case action::use:
      if (live_pass* p = pass_of(c)) begin_use(*p, c.b & 15, false, c.b & 16);
      return;
    case action::use_and_write:
      if (live_pass* p = pass_of(c)) begin_use(*p, c.b & 15, true, c.b & 16);
      return;
    case action::end_use:
      if (live_pass* p = pass_of(c); p != nullptr && !p->uses.empty()) end_use(*p, c.b % p->uses.size());
      return;
    case action::walk:
      if (live_pass* p = pass_of(c)) walk(*p, c);
      return;
    case action::prefetch:
      if (live_pass* p = pass_of(c)) {
        const std::array<block_index, 3> blocks{c.b & 15u, (c.b >> 4) & 15u, c.b % 7u};
        p->handle.prefetch(blocks);
      }
      return;
    case action::slow_kernel:
      (void)world_.attempt({}, [&] {
        const std::chrono::microseconds length(c.b % 16 * 100);
        emulated::launch(world_.stream(c.a), [length] { std::this_thread::sleep_for(length); });
      });
      return;
    case action::keep: return keep(c);
    case action::end_keep:
      if (auto g = take(guards_, c.a)) end_guard(*g);
      return;
    case action::protect: return protect(c);
    case action::end_protect:
      if (auto g = take(block_guards_, c.a)) end_guard(*g);
      return;
    case action::reserve: return reserve(c);
    case action::release:
      if (held_reservation* r = pick(reservations_, c.a)) release(*r);
      return;
    case action::release_by_runtime: return release_by_runtime(c);
    case action::enter_guest: return enter_guest(c);
    case action::leave_guest:
      if (auto g = take(guests_, c.a)) leave_guest(*g);
      return;
    case action::reserve_bytes: return reserve_bytes(c);
    case action::return_bytes:
      if (auto b = take(bytes_, c.a)) return_bytes(*b);
      return;
    case action::set_budget: return set_budget(c);
    case action::add_runtime: return world_.add_runtime(world_.model(c.a));
    case action::remove_runtime: return world_.remove_runtime(world_.model(c.a));
    case action::hand_over: return hand_over(c);
    case action::synchronize:
      if (c.b & 1)
        world_.with_scheduler([](scheduler& s) { s.synchronize(); });
      else
        (void)world_.attempt({}, [&] { world_.stream(c.a).synchronize(); });
      return;
    case action::look: return look(c);
    case action::inject_fault: return inject_fault(c);
    case action::clear_faults: return world_.clear_faults();
    case action::break_source: return world_.break_source(c.a & 3, c.b & 3);
    case action::end_scheduler:
      end_uses();
      return world_.end_scheduler();
  }
}
// clang-format on

runtime actor::handle_of(tested_model& m, bool former) const {
  const std::lock_guard lock(m.mutex);
  return former ? m.former : m.now;
}

live_pass* actor::pass_of(const call& c) { return pick(passes_, c.a); }

// ---- passes and uses ----------------------------------------------------------------------------------------------

void actor::open_pass(const call& c) {
  tested_model& m = world_.model(c.a);
  const runtime r = some_handle(c);
  const std::size_t stream = (c.b >> 2) % world::streams;
  const block_index n = r.block_count();
  live_pass opened{.handle = {}, .model = &m, .stream = stream, .order = {}, .uses = {}};
  for (block_index b = 0; b < n; ++b) opened.order.push_back(b);
  pass_options options{.prefetch_blocks = (c.b >> 4) & 3u, .wraps = (c.b & 64) != 0};
  switch (c.b & 3) {
    case 0:
      break;
    case 1:
      options.order = order::reverse;
      std::reverse(opened.order.begin(), opened.order.end());
      break;
    case 2:
      options.order = order::data_dependent;
      break;
    default:
      opened.order.clear();
      for (block_index i = 0; n != 0 && i < n + 2; ++i) opened.order.push_back((i * 3 + c.a / 7u) % n);
      options.order = opened.order;
  }
  const bool done = world_.attempt({errc::invalid_argument},
                                   [&] { opened.handle = r.managed_forward(world_.stream(stream), options); });
  if (!done) return;
  if (passes_.size() == most_handles) end_pass(passes_.front());
  passes_.push_back(std::move(opened));
}

void actor::end_pass(live_pass& p) {
  while (!p.uses.empty()) end_use(p, 0);
  p.handle.end();
  passes_.remove_if([&](const live_pass& x) { return &x == &p; });
}

void actor::begin_use(live_pass& p, block_index block, bool write, bool hold) {
  const auto n = static_cast<block_index>(p.model->blocks.size());
  if (block >= n) {
    const bool done = world_.attempt({errc::invalid_argument}, [&] { (void)p.handle.use(block); });
    return expect(!done, "block {} of {} was used", block, n);
  }
  tested_block& b = p.model->blocks[block];
  if (!world_.enter(b)) return;
  held_use held{.handle = {}, .block = &b};
  if (!world_.attempt({no_room[0], no_room[1], no_room[2]}, [&] { held.handle = p.handle.use(block); }))
    return world_.leave(b, p.stream);
  expect(held.handle.block() == block, "a use of block {} is one of {}", block, held.handle.block());
  world_.launch_check(b, held.handle, p.stream);
  if (write && world_.begin_write(b, p.stream)) {
    const errc denied = p.model->writable ? errc::timed_out : errc::read_only;
    if (world_.attempt({denied}, [&] { held.handle.mark_dirty(); })) {
      expect(p.model->writable, "'{}' can't take blocks back, but mark_dirty passed", p.model->name);
      world_.launch_write(b, held.handle, p.stream);
      world_.launch_check(b, held.handle, p.stream);
    } else {
      world_.cancel_write(b);
    }
  }
  p.uses.push_back(std::move(held));
  if (!hold || p.uses.size() > most_handles) end_use(p, p.uses.size() - 1);
}

void actor::end_use(live_pass& p, std::size_t which) {
  auto held = take(p.uses, static_cast<std::uint8_t>(which));
  held->handle.end();
  world_.leave(*held->block, p.stream);
}

void actor::end_uses() {
  for (live_pass& p : passes_)
    while (!p.uses.empty()) end_use(p, 0);
}

void actor::walk(live_pass& p, const call& c) {
  const std::vector<block_index> blocks = p.order;
  for (const block_index b : blocks) {
    if (world_.closing()) return;
    begin_use(p, b, c.b & 1, c.b & 2);
  }
}

// ---- protection ---------------------------------------------------------------------------------------------------

void actor::keep(const call& c) {
  held_guard g{.handle = {}, .kept = {some_handle(c), {}}};
  const runtime& target = g.kept.target;
  const runtime caller = handle_of(world_.model(c.b), false);
  const keep_options options{.load = (c.b & 64) != 0};
  if (!world_.attempt({errc::invalid_argument, no_room[0], no_room[1], no_room[2]},
                      [&] { g.handle = caller.keep_resident(target, options); }))
    return;
  expect(g.handle.active() == (target.block_count() != 0), "a guard of {} blocks", target.block_count());
  for (const block_index b : target.blocks())
    if (target.is_resident(b)) g.kept.resident.push_back(b);
  if (guards_.size() == most_handles)
    if (auto oldest = take(guards_, 0)) end_guard(*oldest);
  guards_.push_back(std::move(g));
}

void actor::protect(const call& c) {
  held_blocks g{.handle = {}, .kept = {some_handle(c), {}}};
  const runtime& target = g.kept.target;
  std::vector<block_index> blocks;
  for (block_index b = 0; b < 7; ++b)
    if (c.b >> b & 1) blocks.push_back(b);
  const bool beyond = !blocks.empty() && blocks.back() >= target.block_count();
  const bool done = world_.attempt({errc::invalid_argument}, [&] { g.handle = target.protect_blocks(blocks); });
  expect(!done || !beyond, "block {} of {} is protected", blocks.empty() ? 0 : blocks.back(), target.block_count());
  if (!done) return;
  for (const block_index b : blocks)
    if (target.is_resident(b)) g.kept.resident.push_back(b);
  if (block_guards_.size() == most_handles)
    if (auto oldest = take(block_guards_, 0)) end_guard(*oldest);
  block_guards_.push_back(std::move(g));
}

template <class Held>
void actor::end_guard(Held& g) {
  expect_kept(g.kept);
  g.handle.end();
}

/// Rule 1. Compaction may move a block meanwhile, which takes it away for a moment.
void actor::expect_kept(const kept_blocks& kept) {
  world_.with_scheduler([&](scheduler& s) {
    if (world_.faulty() || world_.closing()) return;
    for (const block_index b : kept.resident) {
      for (int tries = 0; !kept.target.is_resident(b); ++tries) {
        expect(tries < 1000, "block {} of '{}' was evicted under a guard", b, kept.target.name());
        s.synchronize();
        std::this_thread::sleep_for(std::chrono::microseconds(100));
      }
    }
  });
}

// ---- shares -------------------------------------------------------------------------------------------------------

void actor::reserve(const call& c) {
  static core::atomic<std::uint64_t> ids{0};
  tested_model& m = world_.model(c.a);
  held_reservation r{.handle = {}, .model = &m, .id = ids.fetch_add(1, core::order::relaxed) + 1};
  const reserve_options options{.priority = c.b & 1 ? priority::primary : priority::secondary,
                                .bytes = (c.b >> 2 & 15) * world_.setup().page_bytes,
                                .allow_partial = (c.b & 2) != 0};
  const runtime target = some_handle(c);
  const runtime caller = handle_of(world_.model(c.a / 7u), false);
  if (!world_.attempt({errc::invalid_argument, errc::insufficient_headroom, errc::too_large, errc::conflict},
                      [&] { r.handle = caller.reserve_for_resident(target, options); }))
    return;
  if (world_.in_turns()) {
    m.reservation.store(r.id, core::order::relaxed);
    expect(r.handle.active() || world_.faulty(), "a new reservation of '{}' is not active", m.name);
  }
  if (reservations_.size() == most_handles) reservations_.pop_front();  // it outlives the handle
  reservations_.push_back(std::move(r));
}

void actor::release(held_reservation& r) {
  const bool newest = r.model->reservation.load(core::order::relaxed) == r.id;
  if (world_.in_turns() && !world_.faulty())
    expect(r.handle.active() == newest, "a {} handle of '{}' is{} active", newest ? "live" : "stale", r.model->name,
           newest ? " not" : "");
  const bool ended = r.handle.release();
  if (!world_.in_turns()) return;
  expect(ended == newest, "a {} handle of '{}' ended {}", newest ? "live" : "stale", r.model->name,
         ended ? "a reservation" : "nothing");
  if (newest) r.model->reservation.store(0, core::order::relaxed);
}

void actor::release_by_runtime(const call& c) {
  tested_model& m = world_.model(c.a);
  const runtime target = some_handle(c);
  const bool ended = target.release_reservation();
  if (!world_.in_turns()) return;
  const bool expected = m.reservation.load(core::order::relaxed) != 0 && target == handle_of(m, false);
  expect(ended == expected, "release_reservation of '{}' ended {}", m.name, ended ? "a reservation" : "nothing");
  if (ended) m.reservation.store(0, core::order::relaxed);
}

void actor::enter_guest(const call& c) {
  tested_model& m = world_.model(c.a);
  held_guest g{.handle = {}, .model = &m};
  const runtime target = some_handle(c);
  const runtime caller = handle_of(world_.model(c.b), false);
  const std::uint64_t headroom = world_.pages(world_.budget().headroom_bytes());
  if (!world_.attempt({errc::invalid_argument, errc::insufficient_headroom, errc::too_large, errc::conflict},
                      [&] { g.handle = caller.as_guest(target); }))
    return;
  if (world_.in_turns()) {
    const std::uint64_t most = std::max<std::uint64_t>(1, m.footprint_pages);
    const std::uint64_t share = world_.pages(g.handle.share_bytes());
    expect(m.guests.load(core::order::relaxed) != 0 || share == std::min(most, headroom),
           "a guest of {} pages was granted {} of {}", m.footprint_pages, share, headroom);
    m.guests.fetch_add(1, core::order::relaxed);
  }
  if (guests_.size() == most_handles)
    if (auto oldest = take(guests_, 0)) leave_guest(*oldest);
  guests_.push_back(std::move(g));
}

void actor::leave_guest(held_guest& g) {
  g.handle.end();
  if (world_.in_turns()) g.model->guests.fetch_sub(1, core::order::relaxed);
}

void actor::reserve_bytes(const call& c) {
  held_bytes b{.handle = {}, .version = c.a};
  const std::uint64_t size = (c.a & 15) * world_.setup().page_bytes;
  const byte_options options{.with_memory = (c.b & 1) != 0};
  if (!world_.attempt({errc::insufficient_headroom, no_room[0], no_room[1], no_room[2]},
                      [&] { b.handle = world_.budget().reserve_bytes(size, "workspace", options); }))
    return;
  expect(b.handle.size_bytes() == size, "{} bytes reserved instead of {}", b.handle.size_bytes(), size);
  world_.count_reserved_bytes(static_cast<std::int64_t>(size));
  world_.with_scheduler([&](scheduler&) {  // its memory lasts as long as the scheduler
    if (b.handle.device_ptr() != nullptr)
      block_contents(0).write({static_cast<std::byte*>(b.handle.device_ptr()), size}, b.version);
  });
  if (bytes_.size() == most_handles)
    if (auto oldest = take(bytes_, 0)) return_bytes(*oldest);
  bytes_.push_back(std::move(b));
}

void actor::return_bytes(held_bytes& b) {
  const std::uint64_t size = b.handle.size_bytes();
  world_.with_scheduler([&](scheduler&) {
    if (b.handle.device_ptr() != nullptr)
      expect(block_contents(0).match({static_cast<const std::byte*>(b.handle.device_ptr()), size}, b.version),
             "reserved memory was written to");
  });
  b.handle.end();
  world_.count_reserved_bytes(-static_cast<std::int64_t>(size));
}

void actor::set_budget(const call& c) {
  const std::uint64_t pages = c.a % (world_.setup().arena_pages + 2);
  world_.with_scheduler([&](scheduler& s) {
    const std::uint64_t size = pages * world_.setup().page_bytes;
    const bool done = world_.attempt(
        {pages == 0 ? errc::invalid_argument : errc::no_victim,
         pages > world_.setup().arena_pages ? errc::too_large : errc::no_victim, errc::insufficient_headroom},
        [&] { s.set_vram_budget(size); });
    if (done && world_.in_turns())
      expect(world_.budget().total_bytes() == size, "a budget of {} and not {}", world_.budget().total_bytes(), size);
  });
}

// ---- the rest -----------------------------------------------------------------------------------------------------

void actor::hand_over(const call& c) {
  if (c.b & 1) {
    if (auto what = box_.take()) receive(std::move(*what));
    return;
  }
  const auto put = [&](auto& from) {
    if (auto what = take(from, c.b >> 1)) box_.put(std::move(*what));
  };
  switch (c.a % 5) {
    case 0:
      return put(guards_);
    case 1:
      return put(block_guards_);
    case 2:
      return put(reservations_);
    case 3:
      return put(guests_);
    default:
      return put(bytes_);
  }
}

void actor::receive(mailbox::item what) {
  std::visit(
      [this](auto&& held) {
        using kind = std::decay_t<decltype(held)>;
        if constexpr (std::is_same_v<kind, held_guard>) guards_.push_back(std::move(held));
        if constexpr (std::is_same_v<kind, held_blocks>) block_guards_.push_back(std::move(held));
        if constexpr (std::is_same_v<kind, held_reservation>) reservations_.push_back(std::move(held));
        if constexpr (std::is_same_v<kind, held_guest>) guests_.push_back(std::move(held));
        if constexpr (std::is_same_v<kind, held_bytes>) bytes_.push_back(std::move(held));
      },
      std::move(what));
}

void actor::empty_mailbox() {
  while (auto what = box_.take()) receive(std::move(*what));
}

void actor::look(const call& c) {
  const runtime r = some_handle(c);
  (void)r.statistics();
  expect(!r.is_resident(r.block_count()), "a block that there is not is resident");
  (void)world_.attempt({errc::invalid_argument}, [&] { (void)r.block(c.b & 7); });
  world_.with_scheduler([](scheduler& s) {
    for (const blocker& b : s.blockers()) expect(b.bytes != 0, "'{}' blocks with no bytes", b.name);
    (void)s.first_error();
  });
}

void actor::inject_fault(const call& c) {
  constexpr errc codes[] = {errc::device_error, errc::out_of_memory, errc::device_error, errc::device_lost};
  const auto kinds = static_cast<unsigned>(emulated::call::any) + 1;
  world_.inject({.where = static_cast<emulated::call>(c.a % kinds), .after = c.b & 15u, .code = codes[c.b >> 4 & 3]});
}

}  // namespace pinrail::fuzz
