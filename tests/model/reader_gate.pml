/* Grace periods: objects that are unlinked while readers may have them, and freed later.
 *
 * Invariants, in words:
 *   G1  When `drained` says yes, every reader that entered before the last flip has left.
 *   G2  No object is freed while a reader that found it is still inside the gate.
 *   G3  When no reader is left, two more retirements free everything that was retired.
 *   Progress: enter repeats only when a flip came in between; no reader runs for ever.
 *
 * Code: reader_gate::enter, leave, flip, drained (lib/core/reader_gate.hpp); graveyard::retire
 * (lib/residency/graveyard.hpp); scheduler_state::remove_runtime, reading, for_each_runtime. Two stripes, one reader
 * in each; one object is linked at a time. Retiring is under the graveyard's lock: one process does it.
 * The graveyard frees what it retired two flips ago, and so would be safe even without G1 (the first mutant breaks G1
 * and not G2); G1 is what the gate promises to anyone.
 *
 * @invariant G1_drained
 * @invariant G2_not_freed
 * @invariant G3_freed_in_the_end
 * @config readers  | safety   | -DREADERS=2 -DROUNDS=2 -DOBJECTS=5 | 2 readers twice, 4 retirements
 * @config progress | progress | -DREADERS=2 -DROUNDS=2 -DOBJECTS=4 | 2 readers twice, 3 retirements
 * @mutant ENTER_WITHOUT_CHECK | readers | G1_drained          | a reader does not read the phase again after it counted itself
 * @mutant FLIP_UNDRAINED      | readers | G2_not_freed        | the phase is flipped before the old one has drained
 * @mutant FREE_AT_ONCE        | readers | G2_not_freed        | what is retired is freed when the readers of the old phase have left
 * @mutant STAY_COUNTED        | readers | G3_freed_in_the_end | a reader that meets a flip leaves its count
 */
#include "invariant.pml"

invariant_name G1_drained, G2_not_freed, G3_freed_in_the_end;

byte phase;
byte counts[READERS * 2]; /* of stripe s and phase p: s * 2 + p */
byte linked = 1;          /* objects are 1, 2, ...; the one that readers find */

/* Ghosts: a bit for each object. */
byte freed;
bool inside[READERS];  /* has entered */
bool before[READERS];  /* has entered before the last flip */

inline enter() {
  do
  :: my_phase = phase & 1;
     counts[me * 2 + my_phase]++;
#ifdef MUTANT_ENTER_WITHOUT_CHECK
     inside[me] = true;
     break
#else
     d_step { inside[me] = (phase & 1) == my_phase };
     if
     :: inside[me] -> break
     :: else ->
#ifndef MUTANT_STAY_COUNTED
        counts[me * 2 + my_phase]--
#endif
     fi
#endif
  od
}

proctype reader(byte me) {
  byte rounds, my_phase, found;
  do
  :: rounds == ROUNDS -> break
  :: else ->
     rounds++;
     enter();
     found = linked;
     check(G2_not_freed, (freed >> found & 1) == 0);
     d_step {
       check(G2_not_freed, (freed >> found & 1) == 0);
       counts[me * 2 + my_phase]--;                                    /* leave */
       inside[me] = false;
       before[me] = false
     };
     atomic { my_phase = 0; found = 0 }
  od
}

/* graveyard::retire */
inline retire(object) {
  waiting = waiting | 1 << object;
  ok = true;
  if
  :: draining != 0 ->
#ifndef MUTANT_FLIP_UNDRAINED
     /* drained: each stripe in turn */
     atomic { old = (phase & 1) ^ 1; s = 0 }
     do
     :: s == READERS -> break
     :: s < READERS && counts[s * 2 + old] != 0 -> ok = false; break
     :: else -> s++
     od;
     check(G1_drained, !ok || (!before[0] && !before[1]))
#endif
  :: else
  fi;
  if
  :: ok ->
     atomic {
#ifdef MUTANT_FREE_AT_ONCE
       if
       :: draining != 0 -> freed = freed | draining | waiting
       :: else
       fi;
#else
       freed = freed | draining;
#endif
       draining = waiting;
       waiting = 0
     };
     d_step { phase++; before[0] = inside[0]; before[1] = inside[1] }
  :: else
  fi;
  atomic { s = 0; old = 0; ok = false }
}

/* Links another object in the place of one, and retires that. When the readers are gone, retires two things more. */
proctype owner() {
  byte waiting, draining, s, old, object, more;
  bool ok;
  do
  :: more == 2 -> break
  :: else ->
     if
     :: linked < OBJECTS -> atomic { object = linked; linked++ }
     :: else -> _nr_pr == 2; more++; object = OBJECTS + more
     fi;
     retire(object)
  od;
  check(G3_freed_in_the_end, (freed & (1 << OBJECTS) - 2) == (1 << OBJECTS) - 2)
}

init {
  byte i;
  atomic {
    run owner();
    start(READERS, reader(i))
  }
}
