/* One absent block that several threads demand at once: one load, its success or failure, deadlines, and retries.
 *
 * Invariants, in words:
 *   F1  One thread or load at a time owns the block; two demanders share one copy.
 *   F2  A demander whose wait succeeds holds a resident block until it unpins.
 *   F3  The failure of a copy is the failure of all who waited for it: none of them begins another load. (Unless one
 *       has begun since: then they wait for that one.)
 *   F4  When a load is given up its bytes have been given back before.
 *   F5  A demander fails for want of room only at its own deadline, not at that of who loads for it.
 *   Q1  When nothing can happen any more, no one waits, and nothing has leaked.
 *
 * Code: begin_use and wait_for_block (lib/residency/pass_control.cpp); await_resident, begin_demanded, submit, abandon,
 * shared_outcome, prefetch_block (lib/residency/loads.cpp); await_room, try_room as one step (room.cpp);
 * transfers::publish, give_up (lib/residency/transfers.cpp); evict (lib/core/claim.hpp).
 * Waiting is until something changes or the deadline passes: event_count.pml shows that no wake-up is missed. A
 * deadline passes at any time.
 *
 * @invariant F1_one_copy
 * @invariant F2_resident
 * @invariant F3_one_failure
 * @invariant F4_given_back
 * @invariant F5_own_deadline
 * @invariant Q1_nothing_left
 * @config two      | safety | -DDEMANDERS=2 -DATTEMPTS=2 -DCLOCKS=2 -DOTHERS=1 -DEVICTORS=1 -DFAILURES=1 -DPREFETCHERS=0 | 2 demanders twice, deadlines, 1 page that others may take, 1 failing copy, an evictor
 * @config three    | safety | -DDEMANDERS=3 -DATTEMPTS=1 -DCLOCKS=0 -DOTHERS=0 -DEVICTORS=1 -DFAILURES=2 -DPREFETCHERS=0 | 3 demanders without deadline, 2 failing copies, an evictor
 * @config prefetch | safety | -DDEMANDERS=2 -DATTEMPTS=1 -DCLOCKS=2 -DOTHERS=1 -DEVICTORS=1 -DFAILURES=2 -DPREFETCHERS=1 | 2 demanders and a prefetch, deadlines, 1 page that others may take, 2 failing copies, an evictor
 * @mutant LOAD_IN_TWO_STEPS     | two | F1_one_copy     | who finds the block absent loads it, whoever else does
 * @mutant WAIT_WITHOUT_PIN      | two | F2_resident     | a demander waits without its pin
 * @mutant FAILURE_NOT_SHARED    | two | F3_one_failure  | who waited for a copy that failed tries again
 * @mutant ABANDON_FIRST         | two | F4_given_back   | the block is absent again before the bytes are given back
 * @mutant IMPATIENCE_SHARED     | two | F5_own_deadline | the loader's own deadline is told as the failure of the load
 * @mutant BYTES_KEPT            | two | Q1_nothing_left | a load that is given up keeps its bytes
 */
#include "invariant.pml"
#include "block_word.pml"

invariant_name F1_one_copy, F2_resident, F3_one_failure, F4_given_back, F5_own_deadline, Q1_nothing_left;

#define NO_FAILURE 0
#define IO_ERROR 1
#define NO_VICTIM 2

byte failure;            /* block_extra::failure */
byte room = 1;           /* pages that are free or can be evicted elsewhere; another holder may give one */
byte charged;
bool late[DEMANDERS];    /* its deadline has passed */
chan jobs = [1] of { bit };

/* Ghosts. */
byte owners;
byte waiting;            /* a bit for each demander that has seen or begun the load under way */
byte told;               /* those of them whose load has failed, until another one begins */
byte failures;
byte held;               /* pages that the load has */
byte users;

#define begin_owning() check(F1_one_copy, owners == 0); owners++; told = 0
#define check_take() check(F2_resident, users == 0)

/* abandon_load; `tells`: with a failure that those who waited share. */
#define give_block_up(tells) \
  abandon_load(owners--; check(F4_given_back, held == 0); told = (tells -> waiting : 0); waiting = 0)

/* begin_demanded: the block is won. `outcome` is a failure, or none and the job is submitted. */
inline begin_demanded(me) {
  failure = NO_FAILURE;
  if  /* await_room */
  :: d_step { room > 0 -> room--; charged++; held++; waiting = waiting | 1 << me }; jobs ! 0
  :: room == 0 && late[me] ->
     outcome = NO_VICTIM;
#ifdef MUTANT_IMPATIENCE_SHARED
     failure = NO_VICTIM;
#endif
     give_block_up(false)
  fi
}

/* await_resident: the caller has a pin. */
inline await_resident(me) {
  do
  :: d_step {
       seen = W;
       users = users + (is_resident(seen) -> 1 : 0);
       waiting = waiting | ((seen & LOADING) != 0) << me
     };
     if
     :: is_resident(seen) -> break
     :: else
     fi;
     if
#ifndef MUTANT_FAILURE_NOT_SHARED
     :: waited && is_absent(seen) -> outcome = failure
#endif
     :: else
     fi;
     if
     :: outcome != NO_FAILURE -> break
     :: (seen & LOADING) != 0 && late[me] -> outcome = NO_VICTIM; break
     :: (seen & LOADING) != 0 && !late[me] -> (W & LOADING) == 0 || late[me]; waited = true
     :: outcome == NO_FAILURE && is_absent(seen) ->
        begin_load(won, check(F3_one_failure, (told & 1 << me) == 0); begin_owning());
        if
        :: won ->
           won = false;
           begin_demanded(me);
           waited = true
        :: else
        fi;
        if
        :: outcome != NO_FAILURE -> break
        :: else
        fi
     fi
  od
}

/* begin_use, end_use, and again. */
proctype demander(byte me) {
  short seen;
  byte attempts, outcome;
  bool waited, won;
  do
  :: attempts == ATTEMPTS -> break
  :: else ->
     attempts++;
     pin(seen, users = users + (is_resident(seen) -> 1 : 0));
     if
     :: is_resident(seen)
     :: else ->
#ifdef MUTANT_WAIT_WITHOUT_PIN
        unpin(skip);
#endif
        await_resident(me)
#ifdef MUTANT_WAIT_WITHOUT_PIN
        ;
        skip;
        pin(seen, skip)
#endif
     fi;
     if
     :: outcome == NO_FAILURE ->
        check(F2_resident, is_resident(W));
        unpin(check(F2_resident, is_resident(W)); users--; waiting = waiting & ~(1 << me); told = told & ~(1 << me))
     :: else ->
        check(F5_own_deadline, outcome != NO_VICTIM || late[me]);
        unpin(waiting = waiting & ~(1 << me); told = told & ~(1 << me))
     fi;
     atomic { seen = 0; outcome = NO_FAILURE; waited = false }
  od
}

/* prefetch_block */
proctype prefetcher() {
  bool won;
  begin_load(won, begin_owning());
  if
  :: won ->
     failure = NO_FAILURE;
     if
     :: d_step { room > 0 -> room--; charged++; held++ }; jobs ! 0
     :: room == 0 -> give_block_up(false)
     fi
  :: else
  fi
}

#define give_room() room++; d_step { charged--; held-- }

/* The transfer thread: publish, or give_up. */
proctype transfers() {
end:
  do
  :: jobs ? 0 ->
     if
     :: publish(owners--; held--; waiting = 0)
     :: failures < FAILURES ->
        failures++;
#ifdef MUTANT_BYTES_KEPT
        d_step { held-- };
#elif !defined MUTANT_ABANDON_FIRST
        give_room();
#endif
        failure = IO_ERROR;
        give_block_up(true)
#ifdef MUTANT_ABANDON_FIRST
        ;
        give_room()
#endif
     fi
  od
}

proctype evictor() {
  short seen;
  bool done;
end:
  do
  :: atomic { is_evictable(W); seen = W };
     claim(seen, skip);
     if
     :: seen != 0 ->
        take(seen, done, check_take());
        if
        :: done -> charged--; room++
        :: else -> unclaim(seen)
        fi
     :: else
     fi;
     atomic { seen = 0; done = false }
  od
}

/* Others: the room is theirs for a while, or for good. Deadlines pass, when they like. */
proctype others() {
  if
  :: d_step { room > 0 -> room-- };
     if
     :: room++
     :: skip
     fi
  :: skip
  fi
}

proctype clock(byte d) { late[d] = true }

init {
  byte i;
  atomic {
    W = 0;
    run transfers();
    start(EVICTORS, evictor());
    start(OTHERS, others());
    start(DEMANDERS, demander(i));
    start(CLOCKS, clock(i));
    start(PREFETCHERS, prefetcher())
  }
  timeout;  /* nothing can happen any more */
  check(Q1_nothing_left, _nr_pr == 2 + EVICTORS && empty(jobs));
  check(Q1_nothing_left, (W & (PIN_MASK | CLAIM | LOADING)) == 0 && users == 0 && owners == 0);
  check(Q1_nothing_left, charged == (is_resident(W) -> 1 : 0))
}
