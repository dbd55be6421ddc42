#include "stalled/core_world.hpp"

namespace pinrail::test {
namespace {

using world = core_world;
using actor = core_actor;
using core::eviction;
using core::holder;
using core::requester;
using core::verdict;

void nothing(world&, actor&) {}

// ---- blocks --------------------------------------------------------------------------------------------------

bool load(world& w, actor& a) {
  auto& b = a.block(w);
  if (!b.word.begin_load()) return b.word.load().resident();
  const auto pages = static_cast<std::uint32_t>(a.blocks(w).pages(a.position));
  const core::page_run run = w.map.take_best(pages);
  if (run.count == 0) return b.word.abandon_load(), false;
  if (!w.budget.take(pages)) return w.map.give(run), b.word.abandon_load(), false;
  b.set_run(run);
  b.ready.store(0, core::order::relaxed);
  b.uses.clear();
  if (b.word.publish().candidate()) a.blocks(w).offer(a.position);
  return true;
}

bool evict(world& w, actor& a) {
  auto& b = a.block(w);
  core::page_run run;
  if (core::evict(b.word, a.rules(w), requester::owner, [&] { run = b.run(); }) != eviction::done)
    return b.word.load().absent();
  a.blocks(w).withdraw(a.position);
  w.map.give(run);
  w.budget.give(run.count);
  return true;
}

bool write_back(world& w, actor& a) {
  auto& b = a.block(w);
  if (!b.word.begin_write_back()) return !b.word.load().dirty();
  b.word.end_write_back(true);
  return true;
}
/// Threads that came before may have left it dirty, because others held it.
void be_resident(world& w, actor& a) {
  (void)write_back(w, a);
  (void)load(w, a);
}
void be_absent(world& w, actor& a) {
  (void)write_back(w, a);
  (void)evict(w, a);
}

bool pin(world& w, actor& a) { return a.held = a.block(w).word.pin() == core::pin_outcome::held; }
bool unpin(world& w, actor& a) { return a.block(w).word.unpin(), true; }
void be_pinned(world& w, actor& a) {
  be_resident(w, a);
  (void)pin(w, a);
}

bool protect(world& w, actor& a) {
  core::block_bits seen;
  if (!a.block(w).word.protect(seen)) return false;
  if (seen.candidate()) a.blocks(w).withdraw(a.position);
  return true;
}
bool unprotect(world& w, actor& a) {
  a.block(w).word.unprotect();
  if (a.block(w).word.load().candidate()) a.blocks(w).offer(a.position);
  return true;
}

bool move(world& w, actor& a) {
  auto& b = a.block(w);
  if (!b.word.begin_move()) return false;
  b.set_run(b.run());
  if (b.word.publish().candidate()) a.blocks(w).offer(a.position);
  return true;
}

void end_dirty(world& w, actor& a) {
  (void)unpin(w, a);
  (void)write_back(w, a);
}
bool mark_dirty(world& w, actor& a) {
  if (a.held) a.block(w).word.mark_dirty();
  return a.held;
}

core::ticket use_of(const actor& a) { return {a.thread + 1, 7}; }
bool note_use(world& w, actor& a) {
  return a.held && a.block(w).uses.note(use_of(a), [](core::ticket t) { return t.lane() != 1; });
}
bool is_noted(const world& w, const actor& a) {
  for (std::size_t i = 0; i < core::last_uses<world::A>::capacity; ++i)
    if (a.block(w).uses.read(i) == use_of(a)) return true;
  return false;
}

bool fail_to_load(world& w, actor& a) {
  if (!a.block(w).word.begin_load()) return !a.block(w).word.load().loading();
  a.block(w).word.abandon_load();
  return true;
}

// ---- selection -----------------------------------------------------------------------------------------------

bool choose(world& w, actor& a) {
  const auto inside = w.gate.enter(a.thread);
  core::selection<world::A> best;
  for (std::uint32_t r = 0; r < world::runtimes; ++r)
    if (!w.table.rules(2 * r).load().forbids(requester::owner)) best.consider(r, w.blocks[r]);
  w.gate.leave(inside);
  return best.best().has_value();
}

bool set_bit(world& w, actor& a) {
  w.bits.set(a.bit() + a.thread);
  return w.bits.next(a.bit() + a.thread, w.bits.size()) == a.bit() + a.thread;
}
bool clear_bit(world& w, actor& a) {
  w.bits.clear(a.bit() + a.thread);
  return !w.bits.test(a.bit() + a.thread);
}

/// A superfluous bit of the block, while it is absent.
bool withdraw(world& w, actor& a) { return a.blocks(w).withdraw(a.position), true; }
bool offer(world& w, actor& a) { return a.blocks(w).offer(a.position), true; }

// ---- tables --------------------------------------------------------------------------------------------------

bool reserve(world& w, actor& a, holder kind, std::uint64_t pages) {
  a.ruling = w.table.reserve(a.reserved(), kind, pages, pages);
  return a.ruling.what == verdict::granted;
}
void be_reserved(world& w, actor& a) { (void)reserve(w, a, holder::primary, 20); }
void end_reservation(world& w, actor& a) { w.table.release(a.reserved()); }
/// Whatever others did since, the entry is mine or has gone on from it.
bool reservation_counts(const world& w, const actor& a) {
  const core::reservation now = w.table.read(a.reserved());
  return now == a.ruling.now || now.epoch > a.ruling.now.epoch;
}

bool enter_guest(world& w, actor& a) {
  a.ruling = w.table.enter_guest(a.guest(), 10, 30);
  return a.did = a.ruling.what == verdict::granted;
}
bool leave_guest(world& w, actor& a) { return w.table.leave_guest(a.guest()).what == verdict::granted; }

bool take_pages(world& w, actor& a) {
  a.run = a.object == 0 ? core::page_run{60, 8} : core::page_run{124, 8};  // over the border of two words
  if (!w.map.take(a.run)) a.run = {};
  return a.run.count != 0;
}
bool take_best_pages(world& w, actor& a) {
  a.run = w.map.take_best(3);
  return a.run.count != 0;
}
bool give_pages(world& w, actor& a) { return w.map.give(a.run), true; }
bool holds_pages(const world& w, const actor& a) {
  for (std::uint32_t p = a.run.first; p < a.run.end(); ++p)
    if (!w.map.taken(p)) return false;
  return true;
}

bool spend(world& w, actor& a) { return a.did = w.budget.exchange({.used = 2, .set_aside = 3}); }
void save(world& w, actor& a) {
  if (a.did) (void)w.budget.exchange({.used = -2, .set_aside = -3});
}
bool exchange(world& w, actor&) { return w.budget.exchange({.used = 1, .set_aside = -1}); }

// ---- passes and readers --------------------------------------------------------------------------------------

bool open_pass(world& w, actor& a) {
  core::pass_cursor c{};
  c.live = true;
  a.slot = a.blocks(w).live_passes().open(c, nullptr, 1000);
  a.blocks(w).note_pass_begin(c.now);
  return a.slot != core::passes<world::A>::none;
}
bool advance_pass(world& w, actor& a) {
  core::pass_cursor c{};
  c.live = true;
  c.done = 9;
  a.blocks(w).live_passes().advance(a.slot, c);
  a.blocks(w).live_passes().set_pace(a.slot, 2000);
  return true;
}
bool close_pass(world& w, actor& a) {
  a.blocks(w).note_pass_end(1, 1000);
  a.blocks(w).live_passes().close(a.slot);
  return true;
}

bool enter_gate(world& w, actor& a) { return a.token = w.gate.enter(a.thread), true; }
bool leave_gate(world& w, actor& a) { return w.gate.leave(a.token), true; }
/// A whole grace period, if no one of the old phase is inside. Never waits for them.
bool reclaim(world& w, actor&) {
  if (w.reclaiming.exchange(1, core::order::acquire) != 0) return false;
  bool over = w.gate.drained();
  if (over) {
    w.gate.flip();
    over = w.gate.drained();
  }
  w.reclaiming.store(0, core::order::release);
  return over;
}

template <bool (*Act)(world&, actor&)>
void part(world& w, actor& a) {
  (void)Act(w, a);
}

constexpr auto bytes = "waits for the bytes";
constexpr auto room = "waits for room";
constexpr auto in_use = "the block is in use";
constexpr auto reader = "what a reader may have found is freed after it has left";

/// A block that one thread loads or moves.
const std::vector<refusal> loading{{"pin", bytes},  {"evict", bytes},      {"load", bytes},    {"failed load", bytes},
                                   {"move", bytes}, {"mark dirty", bytes}, {"note use", bytes}};
const std::vector<refusal> pinned{{"evict", in_use}, {"move", in_use}, {"write back", in_use}};
const std::vector<refusal> protected_or_kept{{"evict", "the block is protected"}};
const std::vector<refusal> read{{"reclaim", reader, true}};

void be_dirty(world& w, actor& a) {
  be_pinned(w, a);
  (void)mark_dirty(w, a);
  (void)unpin(w, a);
}
bool look(world& w, actor& a) {
  (void)a.block(w).word.seen_resident();
  return true;
}
bool guard(world& w, actor& a) { return a.rules(w).guard(); }
bool unguard(world& w, actor& a) { return a.rules(w).unguard(), true; }
template <std::uint32_t guards>
bool has_guards(const world& w, const actor& a) {
  return a.rules(w).load().guards() == guards;
}
template <std::uint32_t guests>
bool has_guests(const world& w, const actor& a) {
  return w.table.read(a.guest()).guests == guests;
}
bool reserve_primary(world& w, actor& a) { return reserve(w, a, holder::primary, 20); }
bool replace_by_secondary(world& w, actor& a) { return reserve(w, a, holder::secondary, 30); }
bool release_by_handle(world& w, actor& a) { return w.table.release(a.reserved(), a.ruling.now.epoch), true; }
bool is_released(const world& w, const actor& a) { return w.table.read(a.reserved()).kind == holder::none; }
void save_exchanged(world& w, actor&) { (void)w.budget.exchange({.used = -3, .set_aside = -2}); }

}  // namespace

const std::vector<core_operation>& core_operations() {
  static const std::vector<core_operation> all{
      {"pin", be_resident, pin, part<unpin>},
      {"unpin", be_pinned, unpin, nothing, pinned},
      {"protect", be_resident, protect, part<unprotect>, protected_or_kept},
      {"unprotect", part<protect>, unprotect, nothing, protected_or_kept},
      {"look", be_resident, look, nothing},
      {"guard", nothing, guard, part<unguard>, {}, has_guards<1>},
      {"unguard", part<guard>, unguard, nothing, protected_or_kept, has_guards<0>},
      {.name = "evict", .prepare = be_resident, .act = evict, .finish = be_resident, .may_be_refused = true},
      {"choose", nothing, choose, nothing, read},
      {"offer", be_absent, offer, be_resident},
      {"withdraw", be_absent, withdraw, be_resident},
      {"set bit", nothing, set_bit, part<clear_bit>},
      {"clear bit", part<set_bit>, clear_bit, nothing},
      {"load", be_absent, load, nothing, loading},
      {"failed load", be_absent, fail_to_load, be_resident, loading},
      {"move", be_resident, move, nothing, loading},
      {"mark dirty", be_pinned, mark_dirty, end_dirty, pinned},
      {"write back",
       be_dirty,
       write_back,
       part<write_back>,
       {{"evict", room}, {"move", room}, {"write back", "the write-back under way must end first"}}},
      {"note use", be_pinned, note_use, part<unpin>, pinned, is_noted},
      {"reserve", nothing, reserve_primary, end_reservation, {}, reservation_counts},
      {"replace", be_reserved, replace_by_secondary, end_reservation, {}, reservation_counts},
      {"release", be_reserved, release_by_handle, nothing, {}, is_released},
      {"guest in", nothing, enter_guest, part<leave_guest>, {}, has_guests<1>},
      {"guest out", part<enter_guest>, leave_guest, nothing, {}, has_guests<0>},
      {"spend", nothing, spend, save},
      {"exchange", part<spend>, exchange, save_exchanged},
      {"take pages", nothing, take_pages, part<give_pages>, {{"take pages", room}}, holds_pages},
      {"take best pages", nothing, take_best_pages, part<give_pages>, {}, holds_pages},
      {"give pages", part<take_pages>, give_pages, nothing, {{"take pages", room}}},
      {"open pass", nothing, open_pass, part<close_pass>},
      {"advance pass", part<open_pass>, advance_pass, part<close_pass>},
      {"close pass", part<open_pass>, close_pass, nothing},
      {"enter gate", nothing, enter_gate, part<leave_gate>, read},
      {"leave gate", part<enter_gate>, leave_gate, nothing, read},
      {"reclaim", nothing, reclaim, nothing, {{"reclaim", "one grace period at a time", true}}},
  };
  return all;
}

// ---- the world -----------------------------------------------------------------------------------------------

core_world::core_world() {
  for (unsigned object = 0; object < runtimes; ++object) {
    core_actor setup(0, object);
    for (const std::uint32_t p : {3u, 5u, 40u, 70u}) {
      setup.position = p;
      (void)load(*this, setup);
    }
  }
}

std::vector<std::string> core_world::faults() {
  std::vector<std::string> found;
  const auto expect = [&](bool holds, std::string what) {
    if (!holds) found.push_back(std::move(what));
  };
  std::vector<int> owners(arena_pages, 0);
  std::uint64_t used = 0;
  for (std::uint32_t r = 0; r < runtimes; ++r) {
    for (std::uint32_t p = 0; p < blocks[r].size(); ++p) {
      auto& b = blocks[r].at(p);
      if (b.word.begin_write_back()) b.word.end_write_back(true);  // could not be, as long as others held it
      const auto word = b.word.load();
      const std::string name = fmt::format("block {} of runtime {}", p, r);
      expect(word.pins() == 0, fmt::format("{} has {} pins", name, word.pins()));
      expect(word.protections() == 0, fmt::format("{} has {} protections", name, word.protections()));
      expect(!word.claimed() && !word.loading() && !word.dirty() && !word.writing_back(),
             fmt::format("{} is left in the state {:#x}", name, word.packed() >> 32 & 0xff));
      if (!word.resident()) continue;
      used += b.run().count;
      expect(b.run().count == blocks[r].pages(p), name + " has the wrong number of pages");
      for (std::uint32_t page = b.run().first; page < b.run().end(); ++page) ++owners[page];
      const auto& members = *blocks[r].bits().classes()[p % 2].members;
      expect(members.next(p, p + 1) == p && members.previous(p + 1, p) == p,
             name + " is a candidate that no search finds");
    }
    expect(blocks[r].live_passes().live() == 0, "a pass is left");
    for (const std::uint32_t entry : {2 * r, 2 * r + 1}) {
      const auto now = table.read(entry);
      expect(now.kind == core::holder::none && now.share_pages == 0, fmt::format("entry {} still holds", entry));
      expect(table.rules(entry).load().packed() >> core::runtime_bits::epoch_shift == now.epoch &&
                 !table.rules(entry).load().primary() && !table.rules(entry).load().secondary(),
             fmt::format("the runtime word of entry {} is behind", entry));
      expect(table.rules(entry).load().guards() == 0, "a guard is left");
    }
  }
  for (std::uint32_t page = 0; page < arena_pages; ++page)
    expect(owners[page] == (map.taken(page) ? 1 : 0), fmt::format("page {} has {} owners", page, owners[page]));
  expect(budget.load().used == used && budget.load().set_aside == 0, "the budget is off");
  expect(table.granted_pages() == 0, "shares are left");
  expect(bits.next(0, bits.size()) == core::bitset<A>::none, "a bit is left");
  for (int phase = 0; phase < 2; ++phase, gate.flip()) expect(gate.drained(), "a reader is left");
  return found;
}

}  // namespace pinrail::test
