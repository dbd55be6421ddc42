// Block word and runtime word: pins, protections, looks and guards against evictors, loaders, movers and write-back.
#include "explore/explore.hpp"

#include "core/block_word.hpp"
#include "core/claim.hpp"
#include "core/runtime_word.hpp"
#include "core/ticket.hpp"

namespace pinrail::explore {
namespace {

using core::eviction;
using core::pin_outcome;
using core::requester;

/// A resident block whose memory holds 1.
template <class Suite, unsigned threads>
struct block_suite : rl::test_suite<Suite, threads> {
  core::block_word<A> word;
  core::runtime_word<A> rules;
  rl::var<int> memory;

  void before() {
    (void)word.begin_load();
    memory($) = 1;
    word.publish();
  }
  void use_if_held(int expected = 1) {
    if (word.pin() == pin_outcome::held) RL_ASSERT(memory($) == expected);
    word.unpin();
  }
  /// Evicts and uses the memory for something else.
  bool evict(requester who = requester::other) {
    if (core::evict(word, rules, who, [] {}) != eviction::done) return false;
    memory($) = 2;
    return true;
  }
};

struct pins_against_an_evictor : block_suite<pins_against_an_evictor, 3> {
  void thread(unsigned i) {
    if (i == 0) {
      evict();
    } else {
      use_if_held();
    }
  }
};
PINRAIL_EXPLORE(pins_against_an_evictor, "what is pinned is not overwritten");

struct two_evictors : block_suite<two_evictors, 3> {
  rl::atomic<int> done;
  void before() {
    block_suite::before();
    done.store(0, rl::mo_relaxed, $);
  }
  void thread(unsigned i) {
    if (i == 2) {
      use_if_held();
    } else if (evict()) {
      done.fetch_add(1, rl::mo_relaxed, $);
    }
  }
  void after() { RL_ASSERT(done.load(rl::mo_relaxed, $) <= 1); }
};
PINRAIL_EXPLORE(two_evictors, "one block is taken by one evictor at most");

struct last_use_is_seen : block_suite<last_use_is_seen, 2> {
  core::last_uses<A> uses;
  rl::atomic<int> used;
  void before() {
    block_suite::before();
    used.store(0, rl::mo_relaxed, $);
  }
  void thread(unsigned i) {
    if (i == 0) {
      if (word.pin() == pin_outcome::held) {
        used.store(1, rl::mo_relaxed, $);
        RL_ASSERT(uses.note(core::ticket(1, 7), [](core::ticket) { return false; }));
      }
      word.unpin();
      return;
    }
    core::ticket seen;
    const auto outcome = core::evict(word, rules, requester::other, [&] { seen = uses.read(0); });
    // Whoever evicts after a use has begun knows the use's ticket.
    if (outcome == eviction::done && word.load().pins() == 0 && used.load(rl::mo_seq_cst, $) == 1)
      RL_ASSERT(seen == core::ticket(1, 7));
  }
};
PINRAIL_EXPLORE(last_use_is_seen, "an eviction knows every use that was before it");

struct a_claim_between_two_looks : block_suite<a_claim_between_two_looks, 3> {
  core::last_uses<A> uses;
  rl::atomic<int> used;
  void before() {
    block_suite::before();
    used.store(0, rl::mo_relaxed, $);
  }
  void thread(unsigned i) {
    if (i == 0) {
      if (word.pin() == pin_outcome::held) {
        RL_ASSERT(uses.note(core::ticket(1, 7), [](core::ticket) { return false; }));
        used.store(1, rl::mo_relaxed, $);
      }
      word.unpin();
      return;
    }
    core::ticket seen;
    if (core::evict(word, rules, requester::other, [&] { seen = uses.read(0); }) != eviction::done) return;
    if (used.load(rl::mo_relaxed, $) == 1) RL_ASSERT(seen == core::ticket(1, 7));
  }
};
PINRAIL_EXPLORE_BOUNDED(a_claim_between_two_looks, 4, "an evictor can't take a block by another evictor's claim (version)");

struct two_uses_on_two_lanes : block_suite<two_uses_on_two_lanes, 2> {
  core::last_uses<A> uses;
  void thread(unsigned i) {
    (void)word.pin();
    RL_ASSERT(uses.note(core::ticket(i + 1, 5), [](core::ticket) { return false; }));
    word.unpin();
  }
  void after() {
    unsigned lanes = 0;
    for (std::size_t s = 0; s < uses.capacity; ++s)
      if (uses.read(s)) lanes |= 1u << uses.read(s).lane();
    RL_ASSERT(lanes == 0b110);
  }
};
PINRAIL_EXPLORE_BOUNDED(two_uses_on_two_lanes, 4, "no use's ticket is overwritten by another lane's");

struct a_look_under_a_guard : block_suite<a_look_under_a_guard, 2> {
  void thread(unsigned i) {
    if (i == 0) {
      evict();
      return;
    }
    RL_ASSERT(rules.guard());
    if (word.seen_resident()) RL_ASSERT(memory($) == 1);
    rules.unguard();
  }
};
PINRAIL_EXPLORE(a_look_under_a_guard, "what is seen resident under a guard stays until the guard ends");

struct two_guards_and_the_owner : block_suite<two_guards_and_the_owner, 3> {
  void thread(unsigned i) {
    if (i == 0) {
      evict(requester::owner);
      return;
    }
    RL_ASSERT(rules.guard());
    if (word.seen_resident()) RL_ASSERT(memory($) == 1);
    rules.unguard();
  }
};
PINRAIL_EXPLORE_BOUNDED(two_guards_and_the_owner, 3, "the end of one guard leaves the other's protection, against the owner too");

struct protections_against_an_evictor : block_suite<protections_against_an_evictor, 3> {
  void thread(unsigned i) {
    if (i == 0) {
      evict();
      return;
    }
    core::block_bits seen;
    RL_ASSERT(word.protect(seen));
    if (word.load().resident()) RL_ASSERT(memory($) == 1);
    word.unprotect();
  }
};
PINRAIL_EXPLORE_BOUNDED(protections_against_an_evictor, 3, "a protected block that is resident stays");

struct one_load_for_all : rl::test_suite<one_load_for_all, 3> {
  core::block_word<A> word;
  rl::var<int> memory;
  rl::atomic<int> loads;
  void before() { loads.store(0, rl::mo_relaxed, $); }
  void thread(unsigned) {
    const bool held = word.pin() == pin_outcome::held;
    if (!held && word.begin_load()) {
      loads.fetch_add(1, rl::mo_relaxed, $);
      memory($) = 1;
      word.publish();
    }
    if (held || word.load().resident()) RL_ASSERT(memory($) == 1);
    word.unpin();
  }
  void after() {
    RL_ASSERT(loads.load(rl::mo_relaxed, $) == 1);
    RL_ASSERT(word.load().pins() == 0);
  }
};
PINRAIL_EXPLORE_BOUNDED(one_load_for_all, 3, "an absent block is loaded once for all who need it");

struct a_waiter_is_not_robbed : rl::test_suite<a_waiter_is_not_robbed, 3> {
  core::block_word<A> word;
  core::runtime_word<A> rules;
  rl::var<int> memory;
  void thread(unsigned i) {
    if (i == 0) {
      if (word.begin_load()) {
        memory($) = 1;
        word.publish();
      }
    } else if (i == 1) {
      if (core::evict(word, rules, requester::other, [] {}) == eviction::done) memory($) = 2;
    } else {
      const bool held = word.pin() == pin_outcome::held;
      if (held || word.load().resident()) RL_ASSERT(memory($) == 1);
      word.unpin();
    }
  }
};
PINRAIL_EXPLORE_BOUNDED(a_waiter_is_not_robbed, 3, "a pin that waits counts from the block's publication");

struct a_failed_load_is_shared : rl::test_suite<a_failed_load_is_shared, 2> {
  core::block_word<A> word;
  rl::var<int> fields;
  void thread(unsigned) {
    (void)word.pin();
    if (word.begin_load()) {
      fields($) = 1;
      word.abandon_load();
    }
    word.unpin();
  }
  void after() {
    RL_ASSERT(word.load().absent());
    RL_ASSERT(word.load().pins() == 0);
  }
};
PINRAIL_EXPLORE(a_failed_load_is_shared, "a block's fields pass from one loader to the next");

struct evicted_and_loaded_again : block_suite<evicted_and_loaded_again, 2> {
  void thread(unsigned i) {
    if (i == 0) {
      if (evict() && word.begin_load()) {
        memory($) = 1;
        word.publish();
      }
    } else {
      use_if_held();
      use_if_held();
    }
  }
};
PINRAIL_EXPLORE(evicted_and_loaded_again, "a claim does not survive a pin and its unpin (ABA)");

struct a_move_against_pins : block_suite<a_move_against_pins, 3> {
  void thread(unsigned i) {
    if (i == 0) {
      if (word.begin_move()) {
        memory($) = 0;
        memory($) = 1;
        word.publish();
      }
    } else if (i == 1) {
      use_if_held();
    } else {
      evict();
    }
  }
};
PINRAIL_EXPLORE_BOUNDED(a_move_against_pins, 3, "a block moves only while no one uses it");

struct dirty_blocks_are_not_lost : block_suite<dirty_blocks_are_not_lost, 3> {
  rl::var<int> host;
  void before() {
    block_suite::before();
    host($) = 1;
  }
  void thread(unsigned i) {
    if (i == 0) {  // changes the block
      if (word.pin() == pin_outcome::held) {
        memory($) = 3;
        word.mark_dirty();
      }
      word.unpin();
    } else if (i == 1) {  // writes it back
      if (word.begin_write_back()) {
        host($) = static_cast<int>(memory($));
        word.end_write_back(true);
      }
    } else if (core::evict(word, rules, requester::other, [] {}) == eviction::done) {
      RL_ASSERT(host($) == static_cast<int>(memory($)));
    }
  }
};
PINRAIL_EXPLORE_BOUNDED(dirty_blocks_are_not_lost, 3, "what is evicted is on the host");

struct a_failed_write_back_is_dirty : block_suite<a_failed_write_back_is_dirty, 2> {
  void before() {
    block_suite::before();
    word.mark_dirty();
  }
  void thread(unsigned i) {
    if (i == 0) {
      if (word.begin_write_back()) word.end_write_back(false);
    } else {
      RL_ASSERT(!evict());
    }
  }
};
PINRAIL_EXPLORE(a_failed_write_back_is_dirty, "a block whose write-back failed is never seen clean");

}  // namespace
}  // namespace pinrail::explore
