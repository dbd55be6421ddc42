/* Waiting for progress: the event count, its futex, and no time limit on the wait.
 *
 * Invariants, in words:
 *   V1  No wake-up is missed: when nothing can happen any more, every waiter whose condition holds has gone on.
 *   V2  The count of waiters is exact when all is quiet.
 *
 * Without a time limit this needs four orders: the change before the notifier's look at the waiters, the waiter's
 * count before its key, its key before its look at the condition, the new epoch before the wake. Each is a mutant.
 * The first is a store before a load. As the library has it, block words change with release, which on some machines
 * lets the load go first; so waits are cut to slices (event_count::slice_ns). Configuration `sliced` has that weaker
 * order and a wait that may end by itself, and V1 holds again.
 *
 * Code: event_count::prepare, cancel, wait, notify, wake (lib/residency/event_count.hpp and .cpp).
 *
 * @invariant V1_none_missed
 * @invariant V2_count
 * @config exact  | safety | -DWAITERS=2 -DNOTIFIERS=2 -DSLICED=0 | 2 waiters, 2 notifiers, no time limit
 * @config more   | safety | -DWAITERS=3 -DNOTIFIERS=2 -DSLICED=0 | 3 waiters, 2 notifiers, no time limit
 * @config sliced | safety | -DWAITERS=2 -DNOTIFIERS=2 -DSLICED=1 -DMUTANT_LOOK_BEFORE_CHANGE | 2 waiters, 2 notifiers, changes by release, waits in slices
 * @mutant LOOK_BEFORE_CHANGE | exact | V1_none_missed | the notifier looks for waiters before its change can be seen (release only)
 * @mutant KEY_AFTER_LOOK     | exact | V1_none_missed | the waiter reads the epoch after it looked at the condition
 * @mutant COUNT_AFTER_LOOK   | exact | V1_none_missed | the waiter counts itself after it looked at the condition
 * @mutant NO_CANCEL          | exact | V2_count       | a waiter that does not have to wait stays counted
 * @mutant WAKE_SAME_EPOCH    | exact | V1_none_missed | the notifier wakes without a new epoch
 */
#include "invariant.pml"

invariant_name V1_none_missed, V2_count;

byte epoch;
byte waiters;
byte changes;              /* the condition of waiter w: at least 1 + w % 2 of these */
bool asleep[WAITERS];
byte ended;                /* ghost: a bit for each waiter */

#define holds (changes > (w & 1))

proctype waiter(byte w) {
  byte key;
  bool seen;
  do
  ::
#ifdef MUTANT_COUNT_AFTER_LOOK
     key = epoch;
     seen = holds;
     waiters++;
#else
     waiters++;                                                        /* prepare */
#ifdef MUTANT_KEY_AFTER_LOOK
     seen = holds;
     key = epoch;
#else
     key = epoch;
     seen = holds;
#endif
#endif
     if
     :: seen ->
#ifndef MUTANT_NO_CANCEL
        waiters--;                                                     /* cancel */
#endif
        break
     :: else ->
        /* FUTEX_WAIT: asleep if the epoch is still the key, in one step with that look. */
        d_step { asleep[w] = epoch == key };
        if
        :: !asleep[w]
#if SLICED
        :: asleep[w] -> asleep[w] = false
#endif
        fi;
        waiters--
     fi
  od;
  atomic { key = 0; seen = false; ended = ended | 1 << w }
}

proctype notifier() {
  byte seen, i;
#ifdef MUTANT_LOOK_BEFORE_CHANGE
  seen = waiters;
  changes++;
#else
  changes++;
  seen = waiters;                                                      /* notify */
#endif
  if
  :: seen != 0 ->
#ifndef MUTANT_WAKE_SAME_EPOCH
     epoch++;                                                          /* wake */
#endif
     d_step { for (i : 0 .. WAITERS - 1) { asleep[i] = false } i = 0 } /* FUTEX_WAKE, all */
  :: else
  fi
}

init {
  byte i;
  atomic {
    start(WAITERS, waiter(i));
    start(NOTIFIERS, notifier())
  }
  timeout;
  check(V1_none_missed, ended == (1 << WAITERS) - 1);
  check(V2_count, waiters == 0)
}
