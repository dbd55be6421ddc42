/* Uses that change a block, on several streams; its write-back; its eviction.
 *
 * Invariants, in words:
 *   D4  A use that begins after a use that changed the block has ended finds the changed bytes, on whatever stream.
 *   D5  Who takes a block leaves nothing behind: the host has every byte that a use changed, also what a failed
 *       write-back did not write.
 *   D6  A write-back reads no bytes that kernels may be changing (W5).
 *   S4  An event is recorded again only when no incomplete ticket names it.
 *   Q1  When nothing can happen any more, no one waits and nobody holds the block.
 *
 * Two uses may change a block at the same time if they change different parts of it; here each user has its part.
 *
 * Code: use::mark_dirty with await_write_back, begin_use, order_stream, end_use, record_use
 * (lib/residency/pass_control.cpp); write_backs::request, copy_out, write_copied, end (lib/residency/write_back.cpp);
 * block_word::mark_dirty, begin_write_back, end_write_back (lib/core/block_word.hpp); evict (lib/core/claim.hpp);
 * arena::join; timeline (lib/device/timeline.cpp). Last-use slots are in last_use.pml and left out here.
 *
 * @invariant D4_later_uses
 * @invariant D5_nothing_lost
 * @invariant D6_not_torn
 * @invariant S4_ring
 * @invariant Q1_let_go
 * @config two     | safety | -DWRITERS=2 -DROUNDS=1 -DEVICTORS=1 -DREADERS=0 -DRING=2 | 2 writers on 2 streams, write-backs of which one may fail, an evictor
 * @config again   | safety | -DWRITERS=1 -DROUNDS=2 -DEVICTORS=1 -DREADERS=1 -DRING=1 | 1 writer twice, a use on another stream, write-backs of which one may fail, an evictor
 * @config readers | safety | -DWRITERS=2 -DROUNDS=1 -DEVICTORS=0 -DREADERS=1 -DRING=2 | 2 writers on 2 streams, a use on a third
 * @mutant READY_OVERWRITTEN        | readers | D4_later_uses   | the ready ticket is that of the use that ended last, whatever it replaces
 * @mutant READY_OVERWRITTEN        | two     | D6_not_torn     | the same, met by a write-back
 * @mutant COPY_OUT_AT_ONCE         | again   | D6_not_torn     | the write-back does not wait for the ready ticket
 * @mutant WRITE_BACK_IGNORES_PINS  | again   | D6_not_torn     | a write-back begins while a use may be changing the block
 * @mutant CHANGE_AT_ONCE           | again   | D6_not_torn     | a use changes the block without waiting for a write-back
 * @mutant RING_TOO_SOON            | again   | S4_ring         | an event is recorded again before it is complete
 * @mutant PIN_LEAVES_CLAIM         | again   | Q1_let_go       | a pin leaves the claim
 * @mutant EVICTABLE_WHILE_WRITTEN  | again   | D5_nothing_lost | a block may be evicted while it is written back
 * @mutant FAILURE_SEEN_CLEAN       | again   | D5_nothing_lost | a failed write-back ends before the block is dirty again
 */
#define PARTS 2
#define BACK WRITERS
#define JOINS (WRITERS + 1)
#define READS (WRITERS + 2)
#define STREAMS (WRITERS + 2 + READERS)
#define LANES 1
#define CHANGE 1
#define COPY_OUT 2
#define READ 3
#include "invariant.pml"
invariant_name D4_later_uses, D5_nothing_lost, D6_not_torn, S4_ring, Q1_let_go;

/* A version for each part. */
byte memory[PARTS];
byte slab[PARTS];
byte host[PARTS];
byte enqueued_changes[PARTS];  /* ghost: the version that a part will have when all is done */
byte ended_changes[PARTS];     /* ghost: the version of the last use that has ended */

#define HAS_AN_END(kind) (kind == COPY_OUT)
#define check_copy_out() \
  check(D6_not_torn, memory[0] == enqueued_changes[0] && memory[1] == enqueued_changes[1])
#define begin_work(kind, argument)                                                                    \
  if                                                                                                  \
  :: kind == CHANGE -> memory[argument]++                                                             \
  :: kind == COPY_OUT -> check_copy_out()                                                             \
  :: kind == READ -> check(D4_later_uses, memory[0] >= (argument & 3) && memory[1] >= argument >> 2)  \
  fi
#define end_work(kind, argument) slab[0] = memory[0]; slab[1] = memory[1]; check_copy_out()

#include "block_word.pml"
#include "streams.pml"

byte ready;

/* order_stream */
inline order_stream(s) {
  seen_ready = ready;
  if
  :: seen_ready == 0
  :: else ->
     is_complete(seen_ready);
     if
     :: yes -> d_step { if :: ready == seen_ready -> ready = 0 :: else fi }
     :: else -> wait(s, seen_ready)
     fi
  fi;
  atomic { seen_ready = 0; yes = false }
}

/* make_ready: `ready` covers this use, and those on other streams that it may not have waited for. Then mark_dirty. */
inline note_change(t) {
#ifdef MUTANT_READY_OVERWRITTEN
  ready = t;
#else
  seen_ready = ready;
  do
  :: covering = t;
     if
     :: lane_of(seen_ready) == lane_of(t) && seen_ready < t
     :: else ->
        is_complete(seen_ready);
        if
        :: !yes -> wait(JOINS, seen_ready); wait(JOINS, t); record(JOINS, covering)
        :: else
        fi
     fi;
     d_step { if :: ready == seen_ready -> ready = covering; covering = 0 :: else -> seen_ready = ready fi };
     if
     :: covering == 0 -> break
     :: else
     fi
  od;
  atomic { seen_ready = 0; yes = false };
#endif
  mark_dirty(skip)
}

/* Changes its part of the block, on its stream. */
proctype writer(byte me) {
  short seen;
  byte rounds, t, seen_ready, covering, lane;
  bool yes;
  do
  :: rounds == ROUNDS -> break
  :: else ->
     rounds++;
     pin(seen, skip);
     if
     :: is_resident(seen) ->
        order_stream(me);
#ifndef MUTANT_CHANGE_AT_ONCE
        (W & WRITING_BACK) == 0;                                       /* mark_dirty of the use: await_write_back */
#endif
        d_step { queue[me] ! CHANGE, me, 0; enqueued[me]++; enqueued_changes[me]++ };
        record(me, t);
        note_change(t);
        unpin(ended_changes[me]++)
     :: else -> unpin(skip)
     fi;
     atomic { seen = 0; t = 0 }
  od
}

/* A use on a stream of its own, begun at any time. */
proctype reader() {
  short seen;
  byte before, seen_ready, lane;
  bool yes;
  pin(seen, before = ended_changes[0] | ended_changes[1] << 2);
  if
  :: is_resident(seen) ->
     order_stream(READS);
     d_step { queue[READS] ! READ, before, 0; enqueued[READS]++ }
  :: else
  fi;
  unpin(before = 0; seen = 0)
}

/* The transfer thread: a write-back whenever the block is dirty, until it is evicted. One of them may fail. */
proctype write_backs() {
  byte t, seen_ready, lane;
  bool yes, won, may_fail = true;
  do
  :: !is_resident(W) -> break
  :: atomic { is_resident(W) && (W & DIRTY) != 0; begin_write_back(won, skip) };
     if
     :: won ->
        seen_ready = ready;
#ifndef MUTANT_COPY_OUT_AT_ONCE
        wait(BACK, seen_ready);
#endif
        enqueue(BACK, COPY_OUT, 0);
        record(BACK, t);
        event_is_complete(t);
        if
        :: host[0] = slab[0]; host[1] = slab[1]; end_write_back()
        :: may_fail -> may_fail = false; fail_write_back()
        fi
     :: else
     fi;
     atomic { t = 0; seen_ready = 0; yes = false; won = false }
  od
}

proctype evictor() {
  short seen;
  bool done;
  do
  :: done -> break
  :: else ->
     atomic { is_evictable(W); seen = W }
     claim(seen, skip);
     if
     :: seen != 0 ->
        take(seen, done, check(D5_nothing_lost, host[0] == enqueued_changes[0] && host[1] == enqueued_changes[1]));
        if
        :: !done -> unclaim(seen)
        :: else
        fi
     :: else
     fi;
     seen = 0
  od
}

init {
  byte i;
  atomic {
    start(STREAMS, stream(i));
    start(WRITERS, writer(i));
    start(READERS, reader());
    start(EVICTORS, write_backs());
    start(EVICTORS, evictor())
  }
  timeout;  /* nothing can happen any more */
  check(Q1_let_go, _nr_pr == STREAMS + 1 && (W & (PIN_MASK | CLAIM | LOADING | WRITING_BACK)) == 0)
}
