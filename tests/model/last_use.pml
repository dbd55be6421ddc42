/* Uses on several streams, their tickets in the block, its eviction, and the copy that overwrites its memory.
 *
 * Invariants, in words:
 *   D1  No copy overwrites bytes that a stream may still read: when it begins, every kernel that was enqueued for what
 *       is in the memory has ended. Kernels end in any order, so the last one recorded may be the first to end.
 *   D2  A kernel finds its bytes: it begins after the copy that brings them has ended, and they stay.
 *   S4  An event is recorded again only when no incomplete ticket names it.
 *   Q1  When nothing can happen any more, no one waits and nobody holds the block.
 *
 * Code: begin_use, order_stream, end_use, record_use, note_by_joining (lib/residency/pass_control.cpp); last_uses
 * (lib/core/ticket.hpp); evict (lib/core/claim.hpp), read_fences (lib/residency/victims.hpp); transfers::begin_copying,
 * submit_chunk, publish (lib/residency/transfers.cpp); arena::join; timeline (lib/device/timeline.cpp).
 * The memory is reloaded with other bytes as soon as it is evicted, by the same block: that is the fastest reuse.
 * The runtime word is left out (block.pml), and dirty blocks (write_back.pml).
 *
 * @invariant D1_no_overwrite
 * @invariant D2_bytes_there
 * @invariant S4_ring
 * @invariant Q1_let_go
 * @config two_streams | safety | -DUSERS=2 -DUSER_STREAMS=2 -DLANES=1 -DRING=1 -DSLOTS=2 -DJOINING=0 -DFIRST_ROUNDS=1 -DEVICTIONS=2 | 2 users on 2 streams, a copy stream, 2 evictions
 * @config ring        | safety | -DUSERS=2 -DUSER_STREAMS=2 -DLANES=1 -DRING=1 -DSLOTS=2 -DJOINING=0 -DFIRST_ROUNDS=2 -DEVICTIONS=1 | the same with 3 uses, so that events are recorded again, 1 eviction
 * @config long_ring   | safety | -DUSERS=1 -DUSER_STREAMS=1 -DLANES=1 -DRING=2 -DSLOTS=1 -DJOINING=0 -DFIRST_ROUNDS=3 -DEVICTIONS=2 | 1 user 3 times, 2 events a lane, 2 evictions
 * @config lanes       | safety | -DUSERS=2 -DUSER_STREAMS=1 -DLANES=2 -DRING=2 -DSLOTS=2 -DJOINING=0 -DFIRST_ROUNDS=1 -DEVICTIONS=1 | 2 users on 1 stream of 2 lanes, 2 events a lane, 1 eviction
 * @config join        | safety | -DUSERS=2 -DUSER_STREAMS=2 -DLANES=1 -DRING=1 -DSLOTS=1 -DJOINING=1 -DFIRST_ROUNDS=1 -DEVICTIONS=1 | 2 users on 2 streams, 1 last-use slot, a join stream, 1 eviction
 * @mutant UNPIN_EARLY        | two_streams | D1_no_overwrite | unpin before the last use is written
 * @mutant RECORD_AFTER_UNPIN | two_streams | D1_no_overwrite | the event is recorded after the unpin; until then it reads as complete
 * @mutant SLOT_OVERWRITTEN   | two_streams | D1_no_overwrite | the use recorded last replaces the other, which may end later
 * @mutant COPY_WITHOUT_WAIT  | two_streams | D1_no_overwrite | the copy does not wait for the last uses
 * @mutant NO_WAIT_FOR_LOAD   | two_streams | D2_bytes_there  | the use's stream does not wait for the load
 * @mutant JOIN_ONE           | join        | D1_no_overwrite | the joined ticket covers one of the two
 * @mutant LANE_SHARED        | lanes       | D1_no_overwrite | two threads record into one lane at once
 * @mutant PIN_LEAVES_CLAIM   | two_streams | Q1_let_go       | a pin leaves the claim
 * @mutant RING_TOO_SOON      | ring        | S4_ring         | an event is recorded again before it is complete
 */
#define COPIES USER_STREAMS
#define JOINS (USER_STREAMS + 1)
#if JOINING
#define STREAMS (USER_STREAMS + 2)
#else
#define STREAMS (USER_STREAMS + 1)
#endif
#define KERNEL 1
#define COPY 2
#include "invariant.pml"
invariant_name D1_no_overwrite, D2_bytes_there, S4_ring, Q1_let_go;

/* What is in the memory: 0 while it is written, else which load brought it. */
byte memory;
#define GENERATIONS (EVICTIONS + 2)
byte unread[GENERATIONS];  /* ghost: kernels that were enqueued for these bytes and have not ended */

/* A copy that begins before a kernel has ended is seen by D1, whether that kernel runs or waits: it needs no end. */
#define HAS_AN_END(kind) (kind == COPY)
#define begin_work(kind, generation)                                                                  \
  if                                                                                                  \
  :: kind == KERNEL -> check(D2_bytes_there, memory == generation); unread[generation]--              \
  :: kind == COPY -> check(D1_no_overwrite, unread[memory] == 0); memory = 0                          \
  fi
#define end_work(kind, generation) memory = generation

#include "block_word.pml"
#include "streams.pml"

byte ready;           /* the ticket of the load */
byte uses[SLOTS];     /* last uses */
byte generation = 1;  /* what the block's load brings, while it is resident */

/* last_uses::note: `noted` is false if every slot holds an incomplete ticket of another lane. */
inline note(t) {
  noted = false;
  i = 0;
  do
  :: i == SLOTS -> break
  :: else ->
     seen_use = uses[i];
     do
     :: seen_use == 0 || lane_of(seen_use) != lane_of(t) -> break
     :: else ->
        if
        :: sequence_of(seen_use) >= sequence_of(t) -> noted = true; break
        :: else -> d_step { if :: uses[i] == seen_use -> uses[i] = t; noted = true :: else -> seen_use = uses[i] fi }
        fi;
        if
        :: noted -> break
        :: else
        fi
     od;
     if
     :: noted -> break
     :: else -> i++
     fi
  od;
  i = (noted -> SLOTS : 0);
  do
  :: i == SLOTS -> break
  :: else ->
     seen_use = uses[i];
#ifdef MUTANT_SLOT_OVERWRITTEN
     yes = true;
#else
     is_complete(seen_use);
#endif
     if
     :: yes -> d_step { if :: uses[i] == seen_use -> uses[i] = t; noted = true :: else fi }
     :: else
     fi;
     i = (noted -> SLOTS : i + 1)
  od;
  atomic { seen_use = 0; yes = false }
}

/* note_by_joining */
inline join(t) {
  i = 0;
  do
  :: noted -> break
  :: else ->
     seen_use = uses[i];
#ifndef MUTANT_JOIN_ONE
     wait(JOINS, seen_use);
#endif
     wait(JOINS, t);
     record(JOINS, both);
     d_step { if :: uses[i] == seen_use -> uses[i] = both; noted = true :: else fi };
     i = (i + 1) % SLOTS
  od;
  atomic { seen_use = 0; both = 0; i = 0; yes = false }
}

/* Uses the block on its stream, if it is there. */
proctype user(byte s; byte rounds) {
  short seen;
  byte t, seen_ready, seen_use, both, lane, i;
  bool yes, noted;
  do
  :: rounds == 0 -> break
  :: else ->
     rounds--;
     pin(seen, skip);
     if
     :: is_resident(seen) ->
        seen_ready = ready;
#ifndef MUTANT_NO_WAIT_FOR_LOAD
        if
        :: seen_ready == 0
        :: else ->
           is_complete(seen_ready);
           if
           :: yes -> d_step { if :: ready == seen_ready -> ready = 0 :: else fi }
           :: else -> wait(s, seen_ready)
           fi
        fi;
#endif
        d_step { queue[s] ! KERNEL, generation, 0; enqueued[s]++; unread[generation]++ };
#ifdef MUTANT_UNPIN_EARLY
        unpin(skip);
#endif
#ifdef MUTANT_RECORD_AFTER_UNPIN
        t = ticket_of(s * LANES, submitted[s * LANES] + 1);
#else
        record(s, t);
#endif
        note(t);
#if JOINING
        join(t);
#else
        check(D1_no_overwrite, noted);
#endif
#ifndef MUTANT_UNPIN_EARLY
        unpin(skip);
#endif
#ifdef MUTANT_RECORD_AFTER_UNPIN
        record(s, t);
#endif
     :: else -> unpin(skip)
     fi;
     atomic { seen = 0; t = 0; seen_ready = 0; yes = false; noted = false }
  od
}

/* Evicts the block, and loads it again with other bytes. */
proctype evictor() {
  short seen;
  byte evictions, fences[SLOTS + 1], t, lane, i;
  bool yes, done;
  do
  :: evictions == EVICTIONS -> break
  :: else ->
     atomic { is_evictable(W); seen = W }
     claim(seen, skip);
     if
     :: seen != 0 ->
        /* One step: what is read counts only if the take succeeds, and then no one wrote in between. */
        atomic {
          fences[0] = ready;
          fences[1] = uses[0];
#if SLOTS > 1
          fences[2] = uses[1]
#endif
        };
        take(seen, done, skip);
        if
        :: done ->
           evictions++;
           begin_load(done, skip);
#ifndef MUTANT_COPY_WITHOUT_WAIT
           do
           :: i == SLOTS + 1 -> break
           :: else -> wait(COPIES, fences[i]); atomic { fences[i] = 0; i++ }
           od;
#endif
           i = 0;
           enqueue(COPIES, COPY, evictions + 1);
           record(COPIES, t);
           atomic {
             ready = t;
             uses[0] = 0;
#if SLOTS > 1
             uses[1] = 0;
#endif
             publish(generation = evictions + 1)
           }
        :: else -> unclaim(seen)
        fi
     :: else
     fi;
     atomic {
       seen = 0; t = 0; yes = false; done = false;
       fences[0] = 0; fences[1] = 0;
#if SLOTS > 1
       fences[2] = 0
#endif
     }
  od
}

init {
  byte i;
  atomic {
    /* The first load: its copy is in the stream, and its event recorded. */
    queue[COPIES] ! COPY, 1, 0;
    enqueued[COPIES] = 1;
    events[COPIES * LANES * RING + 1 % RING] = 1;
    submitted[COPIES * LANES] = 1;
    ready = ticket_of(COPIES * LANES, 1);
    start(STREAMS, stream(i));
    start(USERS, user(i % USER_STREAMS, (i == 0 -> FIRST_ROUNDS : 1)));
    run evictor()
  }
  timeout;  /* nothing can happen any more */
  check(Q1_let_go, _nr_pr == STREAMS + 1 && (W & (PIN_MASK | CLAIM | LOADING)) == 0)
}
