/* One block: pin, block protection, guard and look against evictors, loaders and a mover.
 *
 * Invariants, in words:
 *   W1  Nobody takes or moves a block that is pinned, or takes one that is protected.
 *   W2  Who takes a block knows every use of it that has ended.
 *   R1  Nobody takes a block whose runtime has been guarded since before the claim, nor one that was seen resident
 *       under a guard that lasts.
 *   L1  One thread at a time loads or moves the block, which is not resident meanwhile.
 *   Q1  When all is quiet no claim, pin, protection or guard is left behind.
 *
 * Code: block_word (lib/core/block_word.hpp), runtime_word::guard, unguard, load (lib/core/runtime_word.hpp),
 * evict (lib/core/claim.hpp), read_fences (lib/residency/victims.hpp), last_uses::note and clear as a count of uses.
 * The runtime word is its guard count here; reservation.pml has the whole of it.
 *
 * @invariant W1_pinned_stays
 * @invariant W2_uses_known
 * @invariant R1_guarded_stays
 * @invariant L1_one_owner
 * @invariant Q1_nothing_left
 * @config pins    | safety | -DEVICTORS=2 -DATTEMPTS=2 -DPINNERS=2 -DROUNDS=2 | 2 evictors twice, 2 pinners twice
 * @config guards  | safety | -DEVICTORS=2 -DATTEMPTS=2 -DGUARDS=2 -DPINNERS=1 -DROUNDS=1 | 2 evictors twice, 2 guards, 1 pinner
 * @config all     | safety | -DEVICTORS=2 -DATTEMPTS=1 -DPINNERS=2 -DGUARDS=2 -DROUNDS=1 | 2 evictors, 2 pinners, 2 guards
 * @config protect | safety | -DEVICTORS=2 -DATTEMPTS=2 -DPROTECTORS=2 -DPINNERS=1 -DROUNDS=1 | 2 evictors twice, 2 protectors, 1 pinner
 * @config moves   | safety | -DEVICTORS=1 -DATTEMPTS=2 -DPINNERS=2 -DGUARDS=1 -DROUNDS=1 -DMOVERS=1 | 1 evictor and 1 mover twice, 2 pinners, 1 guard
 * @mutant NO_RULES             | guards  | R1_guarded_stays | claim without reading the rules again
 * @mutant RULES_BEFORE_CLAIM   | guards  | R1_guarded_stays | rules read before the claim only
 * @mutant ONE_PHASE            | guards  | R1_guarded_stays | claim and take in one step, undone if the rules forbid it
 * @mutant LOOK_LEAVES_CLAIM    | guards  | R1_guarded_stays | a look under a guard leaves the claim
 * @mutant NO_UNCLAIM           | guards  | Q1_nothing_left  | a refused evictor leaves its claim
 * @mutant NO_VERSION           | pins    | W2_uses_known    | a claim does not change the version
 * @mutant PIN_LEAVES_CLAIM     | pins    | Q1_nothing_left  | a pin leaves the claim
 * @mutant TAKE_WITHOUT_COMPARE | pins    | W2_uses_known    | the take does not look whether the claim still stands
 * @mutant LOAD_IN_TWO_STEPS    | moves   | L1_one_owner     | who finds the block absent loads it, whoever else does
 * @mutant PROTECT_LEAVES_CLAIM | protect | Q1_nothing_left  | a protection leaves the claim
 * @mutant MOVE_IGNORES_PINS    | moves   | W1_pinned_stays  | a move does not look at the pins
 */
#include "invariant.pml"
#include "block_word.pml"

invariant_name W1_pinned_stays, W2_uses_known, R1_guarded_stays, L1_one_owner, Q1_nothing_left;

#ifndef PINNERS
#define PINNERS 0
#endif
#ifndef GUARDS
#define GUARDS 0
#endif
#ifndef PROTECTORS
#define PROTECTORS 0
#endif
#ifndef MOVERS
#define MOVERS 0
#endif

byte R;          /* the runtime word: guards */
byte last_uses;  /* uses noted since the block was published */

/* Ghosts. */
byte pinned;              /* who holds a pin and was told, or saw, that the block is resident */
byte kept;                /* guards and protections under which the block was seen resident */
byte guarded;             /* a bit for each guard that has begun */
byte at_claim[EVICTORS];  /* of the guards that had begun at an evictor's claim: those that still last */
byte owners;              /* who loads or moves the block */

#define check_take(captured)                                 \
  check(W1_pinned_stays, pinned == 0);                       \
  check(R1_guarded_stays, kept == 0 && at_claim[e] == 0);    \
  check(W2_uses_known, captured == last_uses)

#define own() check(L1_one_owner, owners == 0 && !is_resident(W)); owners++

/* evict(), and then a prefetch that brings the block back. */
proctype evictor(byte e) {
  short seen;
  byte attempts, captured;
  bool forbidden, done;
  do
  :: attempts == ATTEMPTS -> break
  :: else ->
     atomic { attempts++; seen = W }
     if
     :: is_evictable(seen) ->
#ifdef MUTANT_RULES_BEFORE_CLAIM
        forbidden = R != 0;
#endif
        claim(seen, at_claim[e] = guarded);
#ifdef MUTANT_ONE_PHASE
        if
        :: seen != 0 -> captured = last_uses; take(seen, done, check_take(captured))
        :: else
        fi;
        if
        :: done && R != 0 -> W = W | RESIDENT; done = false
        :: else
        fi
#else
        if
        :: seen != 0 ->
#if !defined MUTANT_RULES_BEFORE_CLAIM && !defined MUTANT_NO_RULES
           forbidden = R != 0;                                                                           /* (5) */
#endif
           if
           :: forbidden -> unclaim(seen)
           :: else ->
              captured = last_uses;
              take(seen, done, check_take(captured));
              if
              :: !done -> unclaim(seen)
              :: else
              fi
           fi
        :: else
        fi
#endif
     :: else
     fi;
     if
     :: done -> begin_load(done, own())
     :: else
     fi;
     if
     :: done -> publish(owners--; last_uses = 0)
     :: else
     fi;
     d_step { seen = 0; captured = 0; forbidden = false; done = false }
  od
}

/* begin_use, end_use; a pinner that finds the block absent loads it, or waits for who does. */
proctype pinner() {
  short seen;
  byte rounds;
  bool won;
  do
  :: rounds == ROUNDS -> break
  :: else ->
     rounds++; pin(seen, pinned = pinned + (is_resident(seen) -> 1 : 0));
     do
     :: is_resident(seen) -> break
     :: else ->
        begin_load(won, own());
        if
        :: won -> publish(owners--; last_uses = 0)
        :: else
        fi;
        atomic { (W & LOADING) == 0; seen = W; pinned = pinned + (is_resident(seen) -> 1 : 0); won = false }
     od;
     last_uses++;
     unpin(pinned--; seen = 0)
  od
}

/* keep_resident; a look; a use without a pin if the block is there; the end of the guard. Where blocks move there is no
 * such use: a move keeps the bytes, not their address, and clears the uses. The library pins for every use. */
proctype guard(byte g) {
  short seen;
  byte rounds, e;
  do
  :: rounds == ROUNDS -> break
  :: else ->
     d_step { rounds++; R++; guarded = guarded | 1 << g };                                               /* (6) */
     look(seen, kept = kept + (is_resident(seen) -> 1 : 0));                                             /* (7) */
     if
     :: !MOVERS && is_resident(seen) -> last_uses++
     :: else
     fi;
     d_step {
       kept = kept - (is_resident(seen) -> 1 : 0);
       guarded = guarded & ~(1 << g);
       for (e : 0 .. EVICTORS - 1) { at_claim[e] = at_claim[e] & ~(1 << g) }
       e = 0;
       seen = 0;
       R--
     }
  od
}

/* protect_blocks */
proctype protector() {
  short seen;
  byte rounds;
  do
  :: rounds == ROUNDS -> break
  :: else ->
     rounds++;
     protect(seen, kept = kept + (is_resident(seen) -> 1 : 0));
     unprotect(kept = kept - (is_resident(seen) -> 1 : 0); seen = 0)
  od
}

/* compaction::move_down. The fences of the uses go to the move, and the block's only use after it is the move. */
proctype mover() {
  byte moves;
  bool won;
  do
  :: moves == ATTEMPTS -> break
  :: else ->
     moves++;
     begin_move(won, own(); check(W1_pinned_stays, pinned == 0));
     if
     :: won -> publish(owners--; last_uses = 0)
     :: else
     fi;
     won = false
  od
}

init {
  byte i;
  atomic {
    start(EVICTORS, evictor(i));
    start(PINNERS, pinner());
    start(GUARDS, guard(i));
    start(PROTECTORS, protector());
    start(MOVERS, mover())
  }
  all_ended;
  check(Q1_nothing_left, (W & (PIN_MASK | PROTECTION_MASK | CLAIM | LOADING)) == 0 && R == 0 && owners == 0)
}
