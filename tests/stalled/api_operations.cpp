#include "stalled/api_world.hpp"

namespace pinrail::test {
namespace {

using world = api_world;
using actor = api_actor;

void nothing(world&, actor&) {}

template <bool (*Act)(world&, actor&)>
void part(world& w, actor& a) {
  (void)Act(w, a);
}

template <class T, class Kept>
bool keep(result<T> got, Kept& to) {
  if (got) to = std::move(*got);
  return static_cast<bool>(got);
}

// ---- guards --------------------------------------------------------------------------------------------------

bool guard(world& w, actor& a) { return keep(a.mine(w).kept.handle.try_keep_resident(), a.kept); }
bool unguard(world&, actor& a) { return a.kept.end(), true; }
bool protect(world& w, actor& a) { return keep(a.mine(w).kept.handle.try_protect_blocks({0, 1}), a.protection); }
bool unprotect(world&, actor& a) { return a.protection.end(), true; }
/// Under a guard "yes" stays, whatever happens to the block.
bool look(world& w, actor& a) { return a.mine(w).kept.handle.is_resident(1); }

// ---- reservations and guests ---------------------------------------------------------------------------------

bool reserve(world& w, actor& a, std::uint64_t pages, priority as) {
  return keep(a.mine(w).trimmed.handle.try_reserve_for_resident({.priority = as, .bytes = pages * rig::page_bytes}),
              a.handle);
}
bool reserve_all(world& w, actor& a) { return reserve(w, a, 3, priority::primary); }
bool reserve_less(world& w, actor& a) { return reserve(w, a, 1, priority::secondary); }
/// The suspended thread has something to trim.
void hold_more(world& w, actor& a) {
  if (a.thread == 0) w.all().run(a.mine(w).trimmed);
  (void)reserve_all(w, a);
}
bool release(world&, actor& a) { return a.handle.release(), true; }
bool release_any(world& w, actor& a) { return a.mine(w).trimmed.handle.release_reservation(), true; }
bool ask_active(world&, actor& a) { return (void)a.handle.active(), true; }

bool enter_guest(world& w, actor& a) {
  const runtime& r = a.mine(w).visitor.handle;
  return keep(r.try_as_guest(r), a.guest);
}
bool leave_guest(world&, actor& a) { return a.guest.end(), true; }
/// The suspended thread's guest has blocks that leave with it.
void be_guest(world& w, actor& a) {
  (void)enter_guest(w, a);
  if (a.thread == 0) w.all().run(a.mine(w).visitor);
}

// ---- passes and uses -----------------------------------------------------------------------------------------

bool open(world& w, actor& a, const named_runtime& r, const pass_options& options) {
  a.pass.emplace();
  return keep(r.handle.try_managed_forward(w.stream_of(a.thread), options), *a.pass);
}
bool open_pass(world& w, actor& a) { return open(w, a, a.mine(w).kept, {.prefetch_blocks = 2}); }
bool open_listed_pass(world& w, actor& a) {
  return open(w, a, a.mine(w).kept, {.order = {2, 0, 1}, .prefetch_blocks = 1});
}
bool close_pass(world&, actor& a) { return a.pass->end(), true; }
/// The next pass in its place has a list to retire.
void leave_a_list(world& w, actor& a) {
  (void)open_listed_pass(w, a);
  (void)close_pass(w, a);
}

bool begin_use(world&, actor& a) {
  a.held.emplace();
  return keep(a.pass->try_use(a.block), *a.held);
}
bool end_use(world&, actor& a) { return a.held->end(), true; }
void be_used(world& w, actor& a) {
  (void)open_pass(w, a);
  (void)begin_use(w, a);
}
void end_all(world&, actor& a) {
  if (a.held) a.held->end();
  a.pass->end();
}

/// Each thread changes a block of its own, or they would have to agree on an order.
void be_used_to_change(world& w, actor& a) {
  a.block = a.thread;
  (void)open(w, a, a.mine(w).changed, {.prefetch_blocks = 0});
  (void)begin_use(w, a);
}
bool mark_dirty(world&, actor& a) {
  if (a.held->device_ptr() == nullptr) return false;
  a.held->mark_dirty();
  a.held->end();
  return true;
}

// ---- loads and evictions -------------------------------------------------------------------------------------

/// The suspended thread loads one of the first two blocks, others load others; or the suspended thread's, to share it.
block_index absent_block(const runtime& r, bool first) {
  const block_index begin = first ? 0 : 2;
  const block_index end = first ? 2 : r.block_count();
  for (block_index b = begin; b < end; ++b)
    if (!r.is_resident(b)) return b;
  return begin;
}
void open_cycle(world& w, actor& a, bool first) {
  a.block = absent_block(a.mine(w).cycle.handle, first);
  (void)open(w, a, a.mine(w).cycle, {.prefetch_blocks = 0, .load_deadline = a.deadline()});
}
void before_load(world& w, actor& a) { open_cycle(w, a, a.thread == 0); }
void before_same_load(world& w, actor& a) { open_cycle(w, a, true); }
bool load(world& w, actor& a) {
  if (!begin_use(w, a)) return false;
  w.all().check(*a.held, a.mine(w).cycle, w.stream_of(a.thread));
  return true;
}
bool prefetch(world&, actor& a) {
  const std::array ahead{a.block};
  return a.pass->prefetch(ahead), true;
}

bool reserve_bytes(world& w, actor& a, bool with_memory) {
  return keep(w.sched().budget().try_reserve_bytes(2 * rig::page_bytes, "workspace",
                                                   {.with_memory = with_memory, .deadline = a.deadline()}),
              a.bytes);
}
bool reserve_counted_bytes(world& w, actor& a) { return reserve_bytes(w, a, false); }
bool reserve_memory(world& w, actor& a) { return reserve_bytes(w, a, true); }
bool end_bytes(world&, actor& a) { return a.bytes.end(), true; }

// ---- the scheduler -------------------------------------------------------------------------------------------

bool shrink(world& w, actor& a) {
  return static_cast<bool>(w.sched().try_set_vram_budget((world::pages - 1) * rig::page_bytes, a.deadline()));
}
void grow(world& w, actor&) { w.sched().set_vram_budget(world::pages * rig::page_bytes); }
bool add(world& w, actor& a) {
  a.added = w.sched().add_runtime("added", w.added());
  return true;
}
bool remove(world& w, actor& a) { return w.sched().remove_runtime(a.added), true; }
bool ask(world& w, actor&) {
  return w.sched().statistics().runtimes.size() >= 15 && w.sched().budget().total_bytes() > 0;
}
bool ask_blockers(world& w, actor&) { return !w.sched().blockers().empty(); }

constexpr auto bytes = "waits for the bytes";
constexpr auto one_at_a_time = "the control plane's lock";
const std::vector<refusal> registering{{"add_runtime", one_at_a_time, true, true},
                                       {"remove_runtime", one_at_a_time, true, true}};

}  // namespace

const std::vector<api_operation>& api_operations() {
  static const std::vector<api_operation> all{
      {"keep_resident", nothing, guard, part<unguard>},
      {"~residency_guard", part<guard>, unguard, nothing},
      {"protect_blocks", nothing, protect, part<unprotect>},
      {"~block_guard", part<protect>, unprotect, nothing},
      {"is_resident", nothing, look, nothing},
      {"reserve_for_resident", nothing, reserve_all, part<release>},
      {"reserve less", hold_more, reserve_less, part<release>},
      {"reservation.release", part<reserve_all>, release, nothing},
      {"release_reservation", part<reserve_all>, release_any, nothing},
      {"reservation.active", part<reserve_all>, ask_active, part<release>},
      {"as_guest", nothing, enter_guest, part<leave_guest>},
      {"~guest_guard", be_guest, leave_guest, nothing},
      {"managed_forward", nothing, open_pass, part<close_pass>},
      {"managed_forward of a list", leave_a_list, open_listed_pass, part<close_pass>},
      {"~forward_pass", part<open_pass>, close_pass, nothing},
      {"use", part<open_pass>, begin_use, end_all},
      {"~use", be_used, end_use, end_all},
      {"mark_dirty", be_used_to_change, mark_dirty, end_all},
      {"load", before_load, load, end_all, {{"load the same", bytes}}},
      {"load the same", before_same_load, load, end_all, {{"load the same", bytes}}},
      {"prefetch", before_load, prefetch, end_all, {{"load the same", bytes}}},
      {"reserve_bytes", nothing, reserve_counted_bytes, part<end_bytes>},
      {"reserve_bytes with memory", nothing, reserve_memory, part<end_bytes>},
      {"~byte_reservation", part<reserve_counted_bytes>, end_bytes, nothing},
      {"set_vram_budget", nothing, shrink, grow, {{"set_vram_budget", one_at_a_time, true, true}}},
      {"add_runtime", nothing, add, part<remove>, registering},
      {"remove_runtime", part<add>, remove, nothing, registering},
      {"statistics", nothing, ask, nothing},
      {"blockers", nothing, ask_blockers, nothing},
  };
  return all;
}

// ---- the thread that enqueues copies ---------------------------------------------------------------------------

namespace {

bool load_staged(world& w, actor& a) {
  (void)open(w, a, a.mine(w).staged, {.prefetch_blocks = 1, .load_deadline = std::chrono::seconds(20)});
  return begin_use(w, a);
}
/// The best victim is dirty: it is written back, and another one taken.
bool write_back(world& w, actor& a) {
  const bool evicted = reserve_counted_bytes(w, a);
  a.bytes.end();
  w.sched().synchronize();
  return evicted &&
         a.mine(w).written.handle.statistics().written_back + w.at(1).written.handle.statistics().written_back > 0;
}

constexpr auto copies = "waits for the bytes: they come by the suspended thread";
const std::vector<refusal> nothing_is_loaded{{"load", copies, true}, {"load the same", copies, true}};

}  // namespace

const std::vector<api_operation>& copy_operations() {
  static const std::vector<api_operation> all{
      {.name = "copies of a load",
       .prepare = before_load,
       .act = load,
       .finish = end_all,
       .refuses = nothing_is_loaded,
       .on_copy_thread = true},
      {.name = "copies through slabs",
       .prepare = nothing,
       .act = load_staged,
       .finish = end_all,
       .refuses = nothing_is_loaded,
       .on_copy_thread = true},
      {.name = "copies of a write-back",
       .prepare = nothing,
       .act = write_back,
       .finish = nothing,
       .refuses = nothing_is_loaded,
       .on_copy_thread = true},
  };
  return all;
}

// ---- the world -----------------------------------------------------------------------------------------------

api_world::api_world() {
  for (unsigned t = 0; t < threads; ++t) streams_.push_back(rig_.device().create_stream());
  for (object& o : objects_) {
    o.written = rig_.add("written", 1, rig::page_bytes, {.pinned = true, .writable = true});
    o.kept = rig_.add("kept", 3, rig::page_bytes);
    o.changed = rig_.add("changed", threads, rig::page_bytes, {.pinned = true, .writable = true});
    o.cycle = rig_.add("cycle", 6, rig::page_bytes);
    o.trimmed = rig_.add("trimmed", 3, rig::page_bytes);
    o.visitor = rig_.add("visitor", 2, rig::page_bytes);
    o.staged = rig_.add("staged", 1, rig::page_bytes, {.pinned = false});
    o.guards = {o.kept.handle.keep_resident(), o.changed.handle.keep_resident()};
    (void)o.cycle.handle.reserve_for_resident({.bytes = cycle_share * rig::page_bytes});
    for (const named_runtime& r : {o.written, o.kept, o.changed, o.cycle}) rig_.run(r);
    auto pass = o.written.handle.managed_forward(streams_[0], {.prefetch_blocks = 0});
    pass.use(0).mark_dirty();
  }
  filler_ = rig_.add("filler", pages - (sched().budget().used_bytes() / rig::page_bytes), rig::page_bytes);
  rig_.run(filler_);
}

std::vector<std::string> api_world::faults() {
  for (object& o : objects_) {
    for (residency_guard& g : o.guards) g.end();
    o.cycle.handle.release_reservation();
  }
  sched().synchronize();
  std::vector<std::string> found;
  const auto expect = [&](bool holds, std::string what) {
    if (!holds) found.push_back(std::move(what));
  };
  const auto resident_bytes = [this] {
    std::uint64_t sum = 0;
    for (const runtime_statistics& r : sched().statistics().runtimes) sum += r.resident_bytes;
    return sum;
  };
  // Pages that were freed count until the device is done with them.
  expect(eventually([&] { return sched().statistics().used_bytes == resident_bytes(); }),
         fmt::format("{} bytes are used, {} are resident", sched().statistics().used_bytes, resident_bytes()));
  const statistics s = sched().statistics();
  for (const runtime_statistics& r : s.runtimes) {
    expect(r.guards == 0, r.name + " has a guard left");
    expect(r.reservation == reservation_kind::none && r.share_bytes == 0, r.name + " has a share left");
    expect(r.failed_loads == 0, r.name + " had failed loads");
  }
  expect(s.reserved_bytes == 0, "bytes are left reserved");
  expect(s.headroom_bytes == s.budget_bytes, "headroom is lost");
  expect(s.peak_used_bytes <= pages * rig::page_bytes, "the budget was exceeded");
  if (const auto error = sched().first_error()) found.push_back(*error);
  try {  // everything can be evicted now
    auto everything = sched().budget().reserve_bytes(s.budget_bytes, "everything");
  } catch (const error& e) {
    found.push_back(e.what());
  }
  rig_.finish();
  return found;
}

}  // namespace pinrail::test
