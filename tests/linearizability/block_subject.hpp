// The blocks of one runtime with its runtime word, candidate bits and selection, and what they do one call at a time.
#pragma once

#include <array>
#include <random>
#include <vector>

#include "core/claim.hpp"
#include "core/runtime_blocks.hpp"
#include "core/selection.hpp"
#include "support/linearizability.hpp"

namespace pinrail::test {

using core::eviction;
using core::requester;

struct block_spec {
  static constexpr std::uint32_t blocks = 3;
  static constexpr std::uint32_t none = UINT32_MAX;

  struct block {
    std::uint32_t pins = 0;
    std::uint32_t protections = 0;
    bool resident = false;
    bool loading = false;
    bool moving = false;
    bool dirty = false;
    bool writing_back = false;
    std::uint32_t run = 0;  ///< where its bytes are, a number for each load
    bool operator==(const block&) const = default;

    [[nodiscard]] bool evictable() const {
      return resident && pins == 0 && protections == 0 && !dirty && !writing_back;
    }
  };
  struct state {
    std::array<block, blocks> all;
    std::uint32_t guards = 0;
    bool primary = false;
    bool secondary = false;
    bool operator==(const state&) const = default;

    /// Rules 1, 4 and 5.
    [[nodiscard]] bool forbids(requester who) const {
      if (guards > 0) return true;
      if (who == requester::owner) return false;
      return primary || (secondary && who != requester::other_extreme);
    }
  };

  enum class call {
    pin,
    unpin,
    protect,
    unprotect,
    look,
    read,  // users of a block
    guard,
    unguard,
    follow,
    rules,  // the runtime word
    evict,
    choose,  // evictors
    begin_load,
    begin_move,
    publish,
    abandon,  // loaders and movers
    mark_dirty,
    begin_write_back,
    end_write_back,  // write-back
  };

  struct operation {
    call what = call::read;
    std::uint32_t index = 0;
    requester who = requester::other;
    bool primary = false, secondary = false;  ///< for follow
    bool succeeds = true;                     ///< for end_write_back
    bool quiet = false;                       ///< for choose: no one else calls anything
    std::uint32_t run = 0;                    ///< that a load has brought, or that was found
    // How it ended.
    bool yes = false;
    core::block_bits seen = {};
    core::runtime_bits rules = {};
    eviction evicted = eviction::busy;
    std::uint32_t victim = none;
  };

  [[nodiscard]] std::size_t hash(const state& s) const {
    std::uint64_t h = s.guards * 4 + s.primary * 2u + s.secondary;
    for (const block& b : s.all)
      h = (h ^ (b.pins | b.protections << 8 | std::uint64_t{b.resident} << 16 | std::uint64_t{b.loading} << 17 |
                std::uint64_t{b.moving} << 20 | std::uint64_t{b.dirty} << 18 | std::uint64_t{b.writing_back} << 19 |
                std::uint64_t{b.run} << 21)) *
          0x9e3779b97f4a7c15;
    return static_cast<std::size_t>(h ^ h >> 32);
  }

  template <class Visit>
  void after(const state& now, const operation& o, Visit&& visit) const {
    state next = now;
    if (apply(next, o)) visit(next);
  }

  [[nodiscard]] std::string text(const operation& o) const;

 private:
  /// False if the call can't have ended as it did.
  [[nodiscard]] static bool apply(state& s, const operation& o) {
    block& b = s.all[o.index];
    switch (o.what) {
      case call::pin:
        ++b.pins;
        return o.yes == b.resident && (!b.resident || o.run == b.run);
      case call::unpin:
        --b.pins;
        return !b.resident || o.run == 0 || o.run == b.run;
      case call::protect:
        return o.seen.resident() == b.resident && shows(o.seen, b) && ++b.protections > 0;
      case call::unprotect:
        return o.seen.resident() == b.resident && shows(o.seen, b) && b.protections-- > 0;
      case call::look:
        return o.yes == (b.resident || b.moving);
      case call::read:
        return shows(o.seen, b);
      case call::guard:
        ++s.guards;
        return true;
      case call::unguard:
        --s.guards;
        return true;
      case call::follow:
        s.primary = o.primary;
        s.secondary = o.secondary;
        return true;
      case call::rules:
        return o.rules.guards() == s.guards && o.rules.primary() == s.primary && o.rules.secondary() == s.secondary;
      case call::evict:
        return evict(s, b, o);
      case call::choose:
        return o.quiet ? o.victim == farthest(s) : o.victim == none || s.all[o.victim].evictable();
      case call::begin_load:
        if (!o.yes) return true;  // an evictor that has not taken the block yet is reason enough
        if (b.resident || b.loading) return false;
        b.loading = true;
        return true;
      case call::begin_move:
        if (!o.yes) return true;  // as above
        if (!b.resident || b.pins > 0 || b.dirty || b.writing_back) return false;
        b.resident = false;
        b.loading = b.moving = true;
        return true;
      case call::publish:
        b.loading = b.moving = false;
        b.resident = true;
        b.run = o.run;
        return shows(o.seen, b);
      case call::abandon:
        b.loading = b.moving = false;
        return true;
      case call::mark_dirty:
        b.dirty = true;
        return b.resident;
      case call::begin_write_back:
        if (o.yes != (b.resident && b.dirty && !b.writing_back && b.pins == 0)) return false;
        if (o.yes) b.dirty = false, b.writing_back = true;
        return true;
      case call::end_write_back:
        b.writing_back = false;
        b.dirty |= !o.succeeds;
        return true;
    }
    return false;
  }

  [[nodiscard]] static bool evict(state& s, block& b, const operation& o) {
    if (o.evicted == eviction::busy) return true;  // others may be in the way at any time
    if (s.forbids(o.who) != (o.evicted == eviction::forbidden)) return false;
    if (o.evicted == eviction::forbidden) return true;
    if (!b.evictable() || o.run != b.run) return false;
    b.resident = false;
    return true;
  }

  /// An idle runtime gives the block first that a new pass reaches last.
  [[nodiscard]] static std::uint32_t farthest(const state& s) {
    for (std::uint32_t i = blocks; i-- > 0;)
      if (s.all[i].evictable()) return i;
    return none;
  }

  /// What the word says. A claim that no look has taken away leaves it open whether the block is resident: the eviction
  /// may have taken effect. The end of a failed write-back shows dirty before it is over.
  [[nodiscard]] static bool shows(core::block_bits word, const block& b) {
    return (word.resident() == b.resident || word.claimed()) && word.loading() == b.loading && word.pins() == b.pins &&
           word.protections() == b.protections && (word.dirty() || word.writing_back()) == (b.dirty || b.writing_back);
  }
};

/// How the calls are made, and which; flawed ones are derived from it.
struct block_calls {
  using A = core::native_atomics;
  using call = block_spec::call;
  /// Evictions several times: they are what the others are there for.
  static constexpr std::array mix{call::pin,
                                  call::unpin,
                                  call::protect,
                                  call::unprotect,
                                  call::look,
                                  call::read,
                                  call::guard,
                                  call::unguard,
                                  call::follow,
                                  call::rules,
                                  call::evict,
                                  call::choose,
                                  call::begin_load,
                                  call::begin_move,
                                  call::publish,
                                  call::abandon,
                                  call::mark_dirty,
                                  call::begin_write_back,
                                  call::end_write_back,
                                  call::evict,
                                  call::evict,
                                  call::evict,
                                  call::evict};

  core::runtime_blocks<A> blocks{std::vector<std::uint64_t>(block_spec::blocks, 1)};
  core::runtime_word<A> rules;

  eviction evict(core::block<A>& b, requester who, std::uint32_t& run) {
    return core::evict(b.word, rules, who, [&] { run = b.run().first; });
  }
  bool look(core::block<A>& b) { return b.word.seen_resident(); }
};

template <class Calls>
class block_subject {
 public:
  using spec = block_spec;
  using call = spec::call;

  explicit block_subject(std::uint64_t) {}
  [[nodiscard]] spec::state initial() const { return {}; }

  spec::operation pick(unsigned thread, std::mt19937_64& random);
  void perform(unsigned thread, spec::operation& o);

  [[nodiscard]] std::vector<spec::operation> looks() const {
    std::vector<spec::operation> all{{.what = call::rules}, {.what = call::choose, .quiet = true}};
    for (std::uint32_t i = 0; i < spec::blocks; ++i) all.push_back({.what = call::read, .index = i});
    return all;
  }

 private:
  /// What one thread holds of one block.
  struct holding {
    std::uint32_t pins = 0;
    bool usable = false;  ///< a pin was held, so the block is resident as long as any pin stays
    std::uint32_t protections = 0;
    bool loads = false;
    bool writes_back = false;
  };

  [[nodiscard]] static bool may(const holding& mine, std::uint32_t guards, unsigned thread, call what) {
    switch (what) {
      case call::unpin:
        return mine.pins > 0;
      case call::unprotect:
        return mine.protections > 0;
      case call::unguard:
        return guards > 0;
      case call::guard:
        return guards == 0;
      case call::follow:
        return thread == 0;  // one epoch after the other
      case call::publish:
      case call::abandon:
        return mine.loads;
      case call::mark_dirty:
        return mine.usable;
      case call::end_write_back:
        return mine.writes_back;
      default:
        return true;
    }
  }
  void note(unsigned thread, const spec::operation& o);

  Calls calls_;
  core::atomic<std::uint32_t> runs_{1};
  std::uint64_t epoch_ = 0;  // thread 0
  // By thread.
  std::array<std::array<holding, spec::blocks>, 8> held_{};
  std::array<std::uint32_t, 8> guards_{};
};

template <class Calls>
block_spec::operation block_subject<Calls>::pick(unsigned thread, std::mt19937_64& random) {
  const auto below = [&](std::uint64_t n) { return static_cast<std::uint32_t>(random() % n); };
  for (;;) {
    spec::operation o{.what = Calls::mix[below(Calls::mix.size())], .index = below(spec::blocks)};
    const holding& mine = held_[thread][o.index];
    if (mine.loads && below(2) == 0) o.what = below(4) == 0 ? call::abandon : call::publish;
    if (mine.pins > 0 && below(3) == 0) o.what = call::unpin;
    if (!may(mine, guards_[thread], thread, o.what)) continue;
    o.who = static_cast<requester>(below(3));
    const std::uint32_t reserved = below(3);
    o.primary = reserved == 1;
    o.secondary = reserved == 2;
    o.succeeds = below(2) == 0;
    return o;
  }
}

template <class Calls>
void block_subject<Calls>::perform(unsigned thread, spec::operation& o) {
  auto& blocks = calls_.blocks;
  auto& block = blocks.at(o.index);
  switch (o.what) {
    case call::pin:
      o.yes = block.word.pin() == core::pin_outcome::held;
      if (o.yes) o.run = block.run().first;
      break;
    case call::unpin:
      if (held_[thread][o.index].usable) o.run = block.run().first;
      block.word.unpin();
      break;
    case call::protect:
      (void)block.word.protect(o.seen);
      if (o.seen.candidate()) blocks.withdraw(o.index);
      break;
    case call::unprotect:
      o.seen = block.word.unprotect();
      if (block.word.load().candidate()) blocks.offer(o.index);
      break;
    case call::look:
      o.yes = calls_.look(block);
      break;
    case call::read:
      o.seen = block.word.load();
      break;
    case call::guard:
      (void)calls_.rules.guard();
      break;
    case call::unguard:
      calls_.rules.unguard();
      break;
    case call::follow:
      calls_.rules.follow(o.primary, o.secondary, ++epoch_);
      break;
    case call::rules:
      o.rules = calls_.rules.load();
      break;
    case call::evict:
      o.evicted = calls_.evict(block, o.who, o.run);
      if (o.evicted == eviction::done) blocks.withdraw(o.index);
      break;
    case call::choose: {
      core::selection<block_calls::A> best;
      best.consider(0, blocks);
      if (best.best()) o.victim = best.best()->position;
      break;
    }
    case call::begin_load:
      o.yes = block.word.begin_load();
      break;
    case call::begin_move:
      o.yes = block.word.begin_move();
      break;
    case call::publish:
      o.run = runs_.fetch_add(1, core::order::relaxed);
      block.set_run({o.run, 1});
      o.seen = block.word.publish();
      if (o.seen.candidate()) blocks.offer(o.index);
      break;
    case call::abandon:
      block.word.abandon_load();
      break;
    case call::mark_dirty:
      block.word.mark_dirty();
      break;
    case call::begin_write_back:
      o.yes = block.word.begin_write_back();
      break;
    case call::end_write_back:
      block.word.end_write_back(o.succeeds);
      break;
  }
  note(thread, o);
}

template <class Calls>
void block_subject<Calls>::note(unsigned thread, const spec::operation& o) {
  holding& mine = held_[thread][o.index];
  switch (o.what) {
    case call::pin:
      ++mine.pins;
      mine.usable |= o.yes;
      break;
    case call::unpin:
      if (--mine.pins == 0) mine.usable = false;
      break;
    case call::protect:
      ++mine.protections;
      break;
    case call::unprotect:
      --mine.protections;
      break;
    case call::guard:
      ++guards_[thread];
      break;
    case call::unguard:
      --guards_[thread];
      break;
    case call::begin_load:
    case call::begin_move:
      mine.loads |= o.yes;
      break;
    case call::publish:
    case call::abandon:
      mine.loads = false;
      break;
    case call::begin_write_back:
      mine.writes_back |= o.yes;
      break;
    case call::end_write_back:
      mine.writes_back = false;
      break;
    default:
      break;
  }
}

}  // namespace pinrail::test
