// Block word and runtime word: pins, protections, looks and guards against evictors, loaders, movers and write-back.
#include "core/block_word.hpp"

#include "core/claim.hpp"
#include "core/runtime_word.hpp"
#include "explore/explore.hpp"

namespace pinrail::explore {
namespace {

using core::eviction;
using core::pin_outcome;
using core::requester;

/// A resident block whose memory holds 1.
template <class A, class Suite, unsigned threads>
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
  void load_again() {
    if (!word.begin_load()) return;
    memory($) = 1;
    word.publish();
  }
};

template <class A>
struct pins_against_an_evictor : block_suite<A, pins_against_an_evictor<A>, 3> {
  void thread(unsigned i) {
    if (i == 0) {
      this->evict();
    } else {
      this->use_if_held();
    }
  }
};
PINRAIL_EXPLORE(pins_against_an_evictor, complete, "what is pinned is not overwritten");
PINRAIL_FINDS(pins_against_an_evictor, unpin_relaxed);

template <class A>
struct two_evictors : block_suite<A, two_evictors<A>, 3> {
  rl::atomic<int> done;
  void before() {
    block_suite<A, two_evictors<A>, 3>::before();
    done.store(0, rl::mo_relaxed, $);
  }
  void thread(unsigned i) {
    if (i == 2) {
      this->use_if_held();
    } else if (this->evict()) {
      done.fetch_add(1, rl::mo_relaxed, $);
    }
  }
  void after() { RL_ASSERT(done.load(rl::mo_relaxed, $) <= 1); }
};
PINRAIL_EXPLORE(two_evictors, complete, "one block is taken by one evictor at most");

/// A pin that leaves the claim puts the word back to what it was when it ends.
template <class A>
struct a_claim_does_not_survive_a_pin : rl::test_suite<a_claim_does_not_survive_a_pin<A>, 2> {
  core::block_word<A> word;
  core::runtime_word<A> rules;
  rl::atomic<int> uses;
  void before() {
    uses.store(0, rl::mo_relaxed, $);
    (void)word.begin_load();
    word.publish();
  }
  void thread(unsigned i) {
    if (i == 0) {
      if (word.pin() == pin_outcome::held) uses.store(1, rl::mo_relaxed, $);
      word.unpin();
      return;
    }
    int seen = 0;
    if (core::evict(word, rules, requester::other, [&] { seen = uses.load(rl::mo_relaxed, $); }) == eviction::done)
      RL_ASSERT(uses.load(rl::mo_relaxed, $) == seen);
  }
};
PINRAIL_EXPLORE(a_claim_does_not_survive_a_pin, complete,
                "an evictor that took the block knows every use that was before it");
PINRAIL_FINDS(a_claim_does_not_survive_a_pin, pin_keeps_claim);

/// A first evictor claims and is stopped; a pin takes the claim away, notes a use and ends; a second evictor claims.
template <class A>
struct another_evictors_claim : rl::test_suite<another_evictors_claim<A>, 3> {
  core::block_word<A> word;
  core::runtime_word<A> rules;
  rl::atomic<int> uses;
  void before() {
    uses.store(0, rl::mo_relaxed, $);
    (void)word.begin_load();
    word.publish();
  }
  void thread(unsigned i) {
    if (i == 0) {
      if (word.pin() == pin_outcome::held) uses.store(1, rl::mo_relaxed, $);
      word.unpin();
      return;
    }
    int seen = 0;
    if (core::evict(word, rules, requester::other, [&] { seen = uses.load(rl::mo_relaxed, $); }) == eviction::done)
      RL_ASSERT(uses.load(rl::mo_relaxed, $) == seen);
  }
};
PINRAIL_EXPLORE(another_evictors_claim, preemptions(4), "an evictor can't take a block by another evictor's claim");
PINRAIL_FINDS(another_evictors_claim, claim_keeps_version);

template <class A>
struct a_look_under_a_guard : block_suite<A, a_look_under_a_guard<A>, 2> {
  void thread(unsigned i) {
    if (i == 0) {
      this->evict();
      return;
    }
    RL_ASSERT(this->rules.guard());
    if (this->word.seen_resident()) RL_ASSERT(this->memory($) == 1);
    this->rules.unguard();
  }
};
PINRAIL_EXPLORE(a_look_under_a_guard, complete, "what is seen resident under a guard stays until the guard ends");
PINRAIL_FINDS(a_look_under_a_guard, look_keeps_claim);
PINRAIL_FINDS(a_look_under_a_guard, rules_read_before_claim);
PINRAIL_FINDS(a_look_under_a_guard, rules_not_read);

/// Under a guard nobody takes the block, not even for a moment: a look must not find it absent.
template <class A>
struct a_guarded_block_is_never_absent : block_suite<A, a_guarded_block_is_never_absent<A>, 2> {
  void before() {
    block_suite<A, a_guarded_block_is_never_absent<A>, 2>::before();
    RL_ASSERT(this->rules.guard());
  }
  void thread(unsigned i) {
    if (i == 0) {
      RL_ASSERT(!this->evict());
    } else {
      RL_ASSERT(this->word.seen_resident());
      RL_ASSERT(this->memory($) == 1);
    }
  }
};
PINRAIL_EXPLORE(a_guarded_block_is_never_absent, complete, "a guarded block is not taken, not even to be put back");
PINRAIL_FINDS(a_guarded_block_is_never_absent, claim_in_one_phase);

template <class A>
struct two_guards_and_the_owner : block_suite<A, two_guards_and_the_owner<A>, 3> {
  void thread(unsigned i) {
    if (i == 0) {
      this->evict(requester::owner);
      return;
    }
    RL_ASSERT(this->rules.guard());
    if (this->word.seen_resident()) RL_ASSERT(this->memory($) == 1);
    this->rules.unguard();
  }
};
PINRAIL_EXPLORE(two_guards_and_the_owner, preemptions(3),
                "the end of one guard leaves the other's protection, against the owner too");

template <class A>
struct protections_against_an_evictor : block_suite<A, protections_against_an_evictor<A>, 3> {
  void thread(unsigned i) {
    if (i == 0) {
      this->evict();
      return;
    }
    core::block_bits seen;
    RL_ASSERT(this->word.protect(seen));
    if (this->word.load().resident()) RL_ASSERT(this->memory($) == 1);
    this->word.unprotect();
  }
};
PINRAIL_EXPLORE(protections_against_an_evictor, preemptions(3), "a protected block that is resident stays");

/// Two protections, one after the other, against one claim: only what clears the claim makes the take fail.
template <class A>
struct a_claim_does_not_survive_a_protection : rl::test_suite<a_claim_does_not_survive_a_protection<A>, 2> {
  core::block_word<A> word;
  core::runtime_word<A> rules;
  rl::atomic<int> looks;
  void before() {
    looks.store(0, rl::mo_relaxed, $);
    (void)word.begin_load();
    word.publish();
  }
  void thread(unsigned i) {
    if (i == 0) {
      core::block_bits seen;
      RL_ASSERT(word.protect(seen));
      if (seen.resident()) looks.store(1, rl::mo_relaxed, $);
      word.unprotect();
      return;
    }
    int before = 0;
    if (core::evict(word, rules, requester::other, [&] { before = looks.load(rl::mo_relaxed, $); }) == eviction::done)
      RL_ASSERT(looks.load(rl::mo_relaxed, $) == before);
  }
};
PINRAIL_EXPLORE(a_claim_does_not_survive_a_protection, complete,
                "an eviction between whose claim and take a protection came fails");
PINRAIL_FINDS(a_claim_does_not_survive_a_protection, protect_keeps_claim);

template <class A>
struct one_load_for_all : rl::test_suite<one_load_for_all<A>, 3> {
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
PINRAIL_EXPLORE(one_load_for_all, preemptions(3), "an absent block is loaded once for all who need it");
PINRAIL_FINDS(one_load_for_all, publish_relaxed);
PINRAIL_FINDS(one_load_for_all, begin_load_in_two_steps);

template <class A>
struct a_waiter_is_not_robbed : rl::test_suite<a_waiter_is_not_robbed<A>, 3> {
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
PINRAIL_EXPLORE(a_waiter_is_not_robbed, preemptions(3), "a pin that waits counts from the block's publication");

template <class A>
struct a_failed_load_is_shared : rl::test_suite<a_failed_load_is_shared<A>, 2> {
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
PINRAIL_EXPLORE(a_failed_load_is_shared, complete, "a block's fields pass from one loader to the next");

template <class A>
struct evicted_and_loaded_again : block_suite<A, evicted_and_loaded_again<A>, 2> {
  void thread(unsigned i) {
    if (i == 0) {
      if (this->evict()) this->load_again();
    } else {
      this->use_if_held();
      this->use_if_held();
    }
  }
};
PINRAIL_EXPLORE(evicted_and_loaded_again, complete, "a claim does not survive a pin and its unpin (ABA)");

/// The fields of a block belong to its next loader as soon as it is taken.
template <class A>
struct fields_after_the_take : block_suite<A, fields_after_the_take<A>, 2> {
  rl::var<int> extent;
  void before() {
    block_suite<A, fields_after_the_take<A>, 2>::before();
    extent($) = 1;
  }
  void thread(unsigned i) {
    if (i == 0) {
      int captured = 0;
      if (core::evict(this->word, this->rules, requester::other, [&] { captured = extent($); }) == eviction::done)
        RL_ASSERT(captured == 1);
    } else if (this->word.begin_load()) {
      extent($) = 2;
      this->word.publish();
    }
  }
};
PINRAIL_EXPLORE(fields_after_the_take, complete, "an evictor reads the block's fields before anyone can load it again");
PINRAIL_FINDS(fields_after_the_take, capture_after_take);

template <class A>
struct a_move_against_pins : block_suite<A, a_move_against_pins<A>, 3> {
  void thread(unsigned i) {
    if (i == 0) {
      if (this->word.begin_move()) {
        this->memory($) = 0;
        this->memory($) = 1;
        this->word.publish();
      }
    } else if (i == 1) {
      this->use_if_held();
    } else {
      this->evict();
    }
  }
};
PINRAIL_EXPLORE(a_move_against_pins, preemptions(3), "a block moves only while no one uses it");
PINRAIL_FINDS(a_move_against_pins, move_ignores_pins);

template <class A>
struct a_move_against_looks_under_a_guard : block_suite<A, a_move_against_looks_under_a_guard<A>, 3> {
  void thread(unsigned i) {
    if (i == 0) {
      if (this->word.begin_move()) this->word.publish();
    } else if (i == 1) {
      this->evict();
    } else {
      RL_ASSERT(this->rules.guard());
      if (this->word.seen_resident()) RL_ASSERT(this->word.seen_resident());
      this->rules.unguard();
    }
  }
};
PINRAIL_EXPLORE(a_move_against_looks_under_a_guard, preemptions(3),
                "what was seen resident under a guard is seen so while it is moved");
PINRAIL_FINDS(a_move_against_looks_under_a_guard, move_hides_block);

template <class A>
struct dirty_blocks_are_not_lost : block_suite<A, dirty_blocks_are_not_lost<A>, 3> {
  rl::var<int> host;
  void before() {
    block_suite<A, dirty_blocks_are_not_lost<A>, 3>::before();
    host($) = 1;
  }
  void thread(unsigned i) {
    if (i == 0) {  // changes the block
      if (this->word.pin() == pin_outcome::held) {
        this->memory($) = 3;
        this->word.mark_dirty();
      }
      this->word.unpin();
    } else if (i == 1) {  // writes it back
      if (this->word.begin_write_back()) {
        host($) = static_cast<int>(this->memory($));
        this->word.end_write_back(true);
      }
    } else if (core::evict(this->word, this->rules, requester::other, [] {}) == eviction::done) {
      RL_ASSERT(host($) == static_cast<int>(this->memory($)));
    }
  }
};
PINRAIL_EXPLORE(dirty_blocks_are_not_lost, preemptions(3), "what is evicted is on the host");

/// The bytes are two atomics here: on a device a copy may run beside a kernel that changes the block again.
template <class A>
struct dirtied_during_its_write_back : rl::test_suite<dirtied_during_its_write_back<A>, 2> {
  core::block_word<A> word;
  core::runtime_word<A> rules;
  rl::atomic<int> device;
  rl::atomic<int> host;
  void before() {
    device.store(1, rl::mo_relaxed, $);
    host.store(0, rl::mo_relaxed, $);
    (void)word.begin_load();
    word.publish();
    word.mark_dirty();
  }
  void thread(unsigned i) {
    if (i == 0) {
      if (word.pin() == pin_outcome::held) {
        device.store(2, rl::mo_relaxed, $);
        word.mark_dirty();
      }
      word.unpin();
    } else if (word.begin_write_back()) {
      host.store(device.load(rl::mo_relaxed, $), rl::mo_relaxed, $);
      word.end_write_back(true);
    }
  }
  void after() {
    if (!word.load().dirty()) RL_ASSERT(host.load(rl::mo_relaxed, $) == device.load(rl::mo_relaxed, $));
  }
};
PINRAIL_EXPLORE(dirtied_during_its_write_back, complete, "what is dirtied during its write-back is dirty after it");
PINRAIL_FINDS(dirtied_during_its_write_back, write_back_cleans_at_end);

template <class A>
struct a_write_back_against_who_changes_the_block : block_suite<A, a_write_back_against_who_changes_the_block<A>, 3> {
  void before() {
    block_suite<A, a_write_back_against_who_changes_the_block<A>, 3>::before();
    this->word.mark_dirty();
  }
  void thread(unsigned i) {
    if (i == 0) {
      if (this->word.begin_write_back()) {
        RL_ASSERT(this->memory($) != 0);
        this->word.end_write_back(true);
      }
    } else {
      if (this->word.pin() == pin_outcome::held && !this->word.load().writing_back() && i == 1) {
        this->memory($) = 3;
        this->word.mark_dirty();
      }
      this->word.unpin();
    }
  }
};
PINRAIL_EXPLORE(a_write_back_against_who_changes_the_block, complete,
                "no one changes bytes that are being written back");
PINRAIL_FINDS(a_write_back_against_who_changes_the_block, write_back_ignores_pins);

template <class A>
struct a_failed_write_back_is_dirty : block_suite<A, a_failed_write_back_is_dirty<A>, 2> {
  void before() {
    block_suite<A, a_failed_write_back_is_dirty<A>, 2>::before();
    this->word.mark_dirty();
  }
  void thread(unsigned i) {
    if (i == 0) {
      if (this->word.begin_write_back()) this->word.end_write_back(false);
    } else {
      RL_ASSERT(!this->evict());
    }
  }
};
PINRAIL_EXPLORE(a_failed_write_back_is_dirty, complete, "a block whose write-back failed is never seen clean");
PINRAIL_FINDS(a_failed_write_back_is_dirty, failed_write_back_cleans);

/// Everything at once; too much to be searched whole.
template <class A>
struct everything_on_one_block : block_suite<A, everything_on_one_block<A>, 4> {
  void thread(unsigned i) {
    switch (i) {
      case 0:
        if (this->evict()) this->load_again();
        break;
      case 1:
        this->use_if_held();
        if (this->evict(requester::owner)) this->load_again();
        break;
      case 2:
        RL_ASSERT(this->rules.guard());
        if (this->word.seen_resident()) RL_ASSERT(this->memory($) == 1);
        this->rules.unguard();
        this->use_if_held();
        break;
      default: {
        core::block_bits seen;
        RL_ASSERT(this->word.protect(seen));
        if (this->word.load().resident()) RL_ASSERT(this->memory($) == 1);
        this->word.unprotect();
        if (this->evict()) this->load_again();
      }
    }
  }
  void after() {
    RL_ASSERT(this->word.load().pins() == 0);
    RL_ASSERT(this->word.load().protections() == 0);
    RL_ASSERT(!this->word.load().loading());
  }
};
PINRAIL_EXPLORE(everything_on_one_block, random_schedules(300'000),
                "pins, guards, protections, evictions and loads of four threads");
PINRAIL_FINDS(everything_on_one_block, rules_not_read);
PINRAIL_FINDS(everything_on_one_block, unpin_relaxed);

}  // namespace
}  // namespace pinrail::explore
