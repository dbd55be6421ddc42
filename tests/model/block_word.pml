/* W, the block word, as lib/core/block_word.hpp has it, with fewer bits: one macro per function. Each
 * read-modify-write is one d_step. A compare-exchange loop that has no other effect than its last turn is that turn:
 * one d_step. Spurious failures of weak compare-exchanges only repeat a loop, and are left out.
 *
 * `ghost` is what a model notes for its invariants in the very step that counts.
 */
#define ONE_PIN 1
#define PIN_MASK 7
#define ONE_PROTECTION 8
#define PROTECTION_MASK 24
#define RESIDENT 32
#define CLAIM 64
#define LOADING 128
#define DIRTY 256
#define WRITING_BACK 512
#define ONE_VERSION 1024
#define VERSIONS 16 /* a model makes fewer claims and moves than this: no version comes back */
#define WORD_MASK (ONE_VERSION * VERSIONS - 1)

#define is_resident(w) (((w) & RESIDENT) != 0)
#define is_absent(w) (((w) & (RESIDENT | LOADING)) == 0)
#ifdef MUTANT_EVICTABLE_WHILE_WRITTEN
#define forbids_claim (PIN_MASK | PROTECTION_MASK | CLAIM | LOADING | DIRTY)
#else
#define forbids_claim (PIN_MASK | PROTECTION_MASK | CLAIM | LOADING | DIRTY | WRITING_BACK)
#endif
#define is_evictable(w) (((w) & (RESIDENT | forbids_claim)) == RESIDENT)

short W = RESIDENT;

#ifdef MUTANT_NO_VERSION
#define next_version(w) (w)
#else
#define next_version(w) (((w) + ONE_VERSION) & WORD_MASK)
#endif

#define take_claim_away(seen) if :: seen & CLAIM -> W = W & ~CLAIM :: else fi

/* ---- users ------------------------------------------------------------------------------------------------ */

#ifdef MUTANT_PIN_LEAVES_CLAIM
#define pin(seen, ghost) d_step { seen = W; W = W + ONE_PIN; ghost }
#else
#define pin(seen, ghost) d_step { seen = W; W = W + ONE_PIN; ghost }; /* (2) */ take_claim_away(seen)
#endif

#define unpin(ghost) d_step { ghost; W = W - ONE_PIN } /* (3) */

#ifdef MUTANT_PROTECT_LEAVES_CLAIM
#define protect(seen, ghost) d_step { seen = W; W = W + ONE_PROTECTION; ghost }
#else
#define protect(seen, ghost) d_step { seen = W; W = W + ONE_PROTECTION; ghost }; take_claim_away(seen)
#endif

#define unprotect(ghost) d_step { ghost; W = W - ONE_PROTECTION }

/* seen_resident: the answer is in `seen`, and `ghost` in the step that gives it. */
#ifdef MUTANT_LOOK_LEAVES_CLAIM
#define look(seen, ghost) d_step { seen = W; ghost }
#else
#define look(seen, ghost)                                                               \
  d_step { seen = W; if :: (seen & CLAIM) == 0 -> ghost :: else fi }; /* (7) */         \
  do                                                                                    \
  :: (seen & CLAIM) == 0 -> break                                                       \
  :: else ->                                                                            \
     d_step {                                                                           \
       if                                                                               \
       :: W == seen -> W = W & ~CLAIM; seen = W; ghost                                  \
       :: else -> seen = W; if :: (seen & CLAIM) == 0 -> ghost :: else fi               \
       fi                                                                               \
     }                                                                                  \
  od
#endif

/* ---- evictors --------------------------------------------------------------------------------------------- */

/* `seen` was loaded and is evictable. On success it becomes the claimed value, else 0. */
#define claim(seen, ghost)                                                              \
  d_step {                                                                              \
    if                                                                                  \
    :: W == seen -> W = next_version(seen) | CLAIM; seen = W; ghost /* (4) */           \
    :: else -> seen = 0                                                                 \
    fi                                                                                  \
  }

#ifdef MUTANT_NO_UNCLAIM
#define unclaim(claimed) skip
#else
#define unclaim(claimed) d_step { if :: W == claimed -> W = W & ~CLAIM :: else fi }
#endif

#ifdef MUTANT_TAKE_WITHOUT_COMPARE
#define take(claimed, taken, ghost) d_step { W = W & ~(CLAIM | RESIDENT); taken = true; ghost }
#else
#define take(claimed, taken, ghost)                                                     \
  d_step {                                                                              \
    if                                                                                  \
    :: W == claimed -> W = W & ~(CLAIM | RESIDENT); taken = true; ghost /* (8) */       \
    :: else -> taken = false                                                            \
    fi                                                                                  \
  }
#endif

/* ---- loaders and movers ----------------------------------------------------------------------------------- */

#ifdef MUTANT_LOAD_IN_TWO_STEPS
#define begin_load(won, ghost) won = is_absent(W); if :: won -> d_step { W = W | LOADING; ghost } :: else fi
#else
#define begin_load(won, ghost)                                                          \
  d_step {                                                                              \
    if                                                                                  \
    :: is_absent(W) -> W = W | LOADING; won = true; ghost /* (9) */                     \
    :: else -> won = false                                                              \
    fi                                                                                  \
  }
#endif

#ifdef MUTANT_MOVE_IGNORES_PINS
#define forbids_move (CLAIM | LOADING | DIRTY | WRITING_BACK)
#else
#define forbids_move (PIN_MASK | CLAIM | LOADING | DIRTY | WRITING_BACK)
#endif
#define begin_move(won, ghost)                                                          \
  d_step {                                                                              \
    if                                                                                  \
    :: (W & (RESIDENT | forbids_move)) == RESIDENT ->                                   \
       W = next_version((W & ~RESIDENT) | LOADING); won = true; ghost /* (9) */         \
    :: else -> won = false                                                              \
    fi                                                                                  \
  }

#define publish(ghost) d_step { W = W + RESIDENT - LOADING; ghost } /* (1), (8) */

#define abandon_load(ghost) d_step { W = W - LOADING; ghost } /* (8) */

/* ---- write-back ------------------------------------------------------------------------------------------- */

#define mark_dirty(ghost) d_step { W = W | DIRTY; ghost }

#ifdef MUTANT_WRITE_BACK_IGNORES_PINS
#define forbids_write_back (CLAIM | LOADING | WRITING_BACK)
#else
#define forbids_write_back (PIN_MASK | CLAIM | LOADING | WRITING_BACK)
#endif
#define begin_write_back(won, ghost)                                                    \
  d_step {                                                                              \
    if                                                                                  \
    :: (W & (RESIDENT | DIRTY | forbids_write_back)) == (RESIDENT | DIRTY) ->           \
       W = (W & ~DIRTY) | WRITING_BACK; won = true; ghost                               \
    :: else -> won = false                                                              \
    fi                                                                                  \
  }

#ifdef MUTANT_FAILURE_SEEN_CLEAN
#define fail_write_back() W = W & ~WRITING_BACK; W = W | DIRTY
#else
#define fail_write_back() W = W | DIRTY; W = W & ~WRITING_BACK
#endif
#define end_write_back() W = W & ~WRITING_BACK
