// Eviction of one block, in the three steps of the protocol.
//
//   1  claim    W: evictable -> claimed, version + 1
//   2  read R   does the runtime forbid it? then unclaim
//      capture  copy what the evictor needs (extent, tickets); W3 makes this safe if step 3 succeeds
//   3  take     W: claimed, unchanged -> absent
//
// The eviction takes effect at step 2. Whatever pins, protects or looks at the block between 1 and 3 changes W,
// so step 3 fails. The block is absent at once and can be loaded again by anyone: nobody waits for the evictor,
// which holds the extent privately.
//
// Progress: wait-free; one attempt.
#pragma once

#include "core/block_word.hpp"
#include "core/runtime_word.hpp"

namespace pinrail::core {

enum class eviction : std::uint8_t {
  done,
  busy,       ///< not evictable, or someone touched the block meanwhile
  forbidden,  ///< the runtime word forbids it
};

/// The mutant claim_in_one_phase.
template <class A, class Capture>
[[nodiscard]] eviction evict_in_one_phase(block_word<A>& word, const runtime_word<A>& rules, requester who,
                                          block_bits claimed, Capture&& capture) noexcept {
  capture();
  if (!word.take(claimed)) return eviction::busy;
  if (!rules.load().forbids(who)) return eviction::done;
  if (word.begin_load()) word.publish();
  return eviction::forbidden;
}

template <class A, class Capture>
[[nodiscard]] eviction evict(block_word<A>& word, const runtime_word<A>& rules, requester who,
                             Capture&& capture) noexcept {
  block_bits seen = word.load();
  if constexpr (is_broken<A>(mutant::rules_read_before_claim)) {
    if (rules.load().forbids(who)) return eviction::forbidden;
  }
  if (!seen.evictable() || !word.claim(seen)) return eviction::busy;
  if constexpr (is_broken<A>(mutant::claim_in_one_phase)) return evict_in_one_phase(word, rules, who, seen, capture);
  if (!is_broken<A>(mutant::rules_not_read) && !is_broken<A>(mutant::rules_read_before_claim) &&
      rules.load().forbids(who)) {
    word.unclaim(seen);
    return eviction::forbidden;
  }
  if constexpr (!is_broken<A>(mutant::capture_after_take)) capture();
  if (word.take(seen)) {
    if constexpr (is_broken<A>(mutant::capture_after_take)) capture();
    return eviction::done;
  }
  word.unclaim(seen);
  return eviction::busy;
}

}  // namespace pinrail::core
