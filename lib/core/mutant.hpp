// Mistakes on purpose: one switch per plausible error in the protocol. A check that can't tell a broken core from a
// whole one proves nothing, so every mutant must be found (tests/explore, tests/model, stress).
//
// An atomics policy names its mistake in `broken`; a policy without that member has none. In the shipped library
// `is_broken` is false at compile time, and nothing of a switch is left. -DPINRAIL_MUTANT=name breaks a whole build.
#pragma once

#include <cstdint>

namespace pinrail::core {

enum class mutant : std::uint8_t {
  none,
  // Block word
  pin_keeps_claim,           ///< a pin leaves an evictor's claim alone
  protect_keeps_claim,       ///< so does a protection
  look_keeps_claim,          ///< so does a look under a guard
  claim_keeps_version,       ///< a claim doesn't change the version
  unpin_relaxed,             ///< the end of a pin publishes nothing
  publish_relaxed,           ///< the publication of a load publishes nothing
  begin_load_in_two_steps,   ///< looks, then takes
  move_ignores_pins,         ///< moves a block in use
  move_hides_block,          ///< a block that is being moved is not seen resident
  write_back_ignores_pins,   ///< writes back what someone may be changing
  write_back_cleans_at_end,  ///< what is dirtied during a write-back is clean after it
  failed_write_back_cleans,  ///< a failed write-back shows the block clean for a moment
  // Eviction
  rules_read_before_claim,  ///< the runtime word is read before the claim only
  rules_not_read,           ///< or not at all
  claim_in_one_phase,       ///< takes at once, and undoes it if the runtime word forbids it
  capture_after_take,       ///< reads the block's fields when it is no longer the owner
  // Last uses
  note_takes_any_slot,  ///< overwrites an incomplete ticket of another lane
  // Candidate bits
  withdraw_without_second_look,
  summary_without_second_look,
  set_trusts_earlier_setter,  ///< an earlier setter of the same word is trusted to set the summary
  // Reservation table
  release_ignores_epoch,
  replace_counts_twice,        ///< a replaced share is not taken off first
  predecessor_not_finished,    ///< the operation before is not brought to its end
  finish_without_second_look,  ///< an operation's record is used although the ledger moved on
  record_freed_at_once,        ///< an operation's record is used again while the ledger names it
  rules_follow_any_epoch,      ///< a late helper sets an older state
  reads_show_nothing,          ///< a read leaves it to others to let what it saw show elsewhere
  rules_lose_guards,           ///< guards that came meanwhile are overwritten
  // Budget, pages, readers
  admission_in_two_steps,  ///< checks, then takes
  take_pages_in_two_steps,
  take_keeps_part,            ///< a failed take keeps what it had
  enter_without_second_look,  ///< a reader doesn't look at the phase again
};

template <class A>
[[nodiscard]] consteval bool is_broken(mutant m) noexcept {
  if constexpr (requires { A::broken; }) {
    return A::broken == m;
  } else {
    return false;
  }
}

}  // namespace pinrail::core
