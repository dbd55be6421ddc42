/* The candidate bits and their summaries, in words of two bits, with blocks that come and go and a search.
 *
 * Invariants, in words:
 *   E1  A position whose last change was a set is found by every search that begins once that set has returned, and
 *       every clear that overlapped it, or overlapped such a clear in turn; whatever else goes on.
 *   E2  When all is quiet every block that is a candidate has its bit and all summaries above it.
 *
 * Code: bitset::set, clear, set_summaries, next, next_in_level, test (lib/core/bitset.hpp),
 * runtime_blocks::offer and withdraw (lib/core/runtime_blocks.hpp), and who calls them: transfers::publish and
 * unprotect (offer), evict_block, protect and selection::offer (withdraw). The block word is one bit here: candidate
 * or not. previous() is next() read from the other end and has no model of its own.
 *
 * @invariant E1_found
 * @invariant E2_none_lost
 * @config two_levels   | safety | -DDEPTH=2 -DCHANGERS=3 -DCHANGES=1 | 4 positions of which 0, 2, 3 are used, 2 levels, 3 threads, 1 change each
 * @config again        | safety | -DDEPTH=2 -DCHANGERS=2 -DCHANGES=2 | 4 positions of which 0, 2, 3 are used, 2 levels, 2 threads, 2 changes each
 * @config three_levels | safety | -DDEPTH=3 -DCHANGERS=3 -DCHANGES=1 | 8 positions of which 4, 6, 7 are used, 3 levels, 3 threads, 1 change each
 * @config search       | safety | -DDEPTH=2 -DCHANGERS=2 -DCHANGES=1 -DSEARCHERS=1 | as two_levels with 2 threads and a search at any time
 * @config search_deep  | safety | -DDEPTH=3 -DCHANGERS=2 -DCHANGES=1 -DSEARCHERS=1 | as three_levels with 2 threads and a search at any time
 * @config chain        | safety | -DDEPTH=3 -DCHANGERS=3 -DCHANGES=1 -DSEARCHERS=1 -DROLES | 3 levels, a set of 7, clears of 6 and 4, and a search at any time
 * @mutant NO_SECOND_LOOK       | two_levels   | E2_none_lost | a bit is cleared and the block not looked at again
 * @mutant SUMMARY_NO_LOOK      | two_levels   | E2_none_lost | a summary is cleared and its word not looked at again
 * @mutant SUMMARY_OF_OTHERS    | search_deep  | E1_found     | a summary is cleared though its word has other bits
 * @mutant RESTORE_ONE_LEVEL    | three_levels | E2_none_lost | a summary that is put back is not put back above
 * @mutant TRUST_EARLIER_SETTER | search       | E1_found     | a set that finds its bit leaves the summaries to who set it
 * @mutant SUMMARY_FIRST        | two_levels   | E2_none_lost | a set writes the summary before the bit
 */
#include "invariant.pml"

invariant_name E1_found, E2_none_lost;

#ifndef SEARCHERS
#define SEARCHERS 0
#endif
#define NO_POSITION 255

/* The words of all levels, leaves first. */
#if DEPTH == 2
#define POSITIONS 4
#define WORDS 3
#define word_at(level, i) words[((level) == 0 -> (i) : 2)]
#define level_size(level) ((level) == 0 -> 4 : 2)
#else
#define POSITIONS 8
#define WORDS 7
#define word_at(level, i) words[((level) == 0 -> (i) : ((level) == 1 -> 4 + (i) : 6))]
#define level_size(level) ((level) == 0 -> 8 : ((level) == 1 -> 4 : 2))
#endif
byte words[WORDS];
/* The positions that are used: one alone in its word, and two neighbours in another; under one word of the second level
 * that a search from 0 comes to from above. */
#define position_of(n) (POSITIONS - 4 + ((n) == 0 -> 0 : (n) + 1))
#define bit_of(position) (1 << ((position) & 1))

bool candidate[POSITIONS];  /* the truth: the block words */

/* Ghosts for E1. */
byte clearing;               /* the threads that are in a clear */
bool is_set[POSITIONS];      /* a set of it has returned, and no clear of it came after */
byte overlapped[POSITIONS];  /* the clears that overlapped that set, or such a clear, and have not returned */
byte disturbed[POSITIONS];   /* the threads whose set of it was followed by a clear */
byte must_find;              /* by the search: a bit for each position */

inline note_clear(position) {
  is_set[position] = false;
  disturbed[position] = 255;
  must_find = must_find & ~(1 << position)
}

inline note_set_returned(position) {
  if
  :: disturbed[position] & me
  :: else ->
     overlapped[position] = (is_set[position] -> overlapped[position] & clearing : clearing);
     is_set[position] = true
  fi
}

inline note_clear_returned() {
  clearing = clearing & ~me;
  for (g : 0 .. POSITIONS - 1) { overlapped[g] = overlapped[g] & ~me }
  g = 0
}

/* bitset::set */
inline set(position) {
#ifdef MUTANT_SUMMARY_FIRST
  word_at(1, position / 4) = word_at(1, position / 4) | bit_of(position / 2);
  set_leaf(position);
#else
  set_leaf(position);
#ifdef MUTANT_TRUST_EARLIER_SETTER
  level = ((before & bit_of(position)) != 0 -> DEPTH : 1);
#else
  level = 1;
#endif
  p = position / 2;
  set_summaries();
#endif
  atomic { note_set_returned(position); p = 0; level = 0; before = 0 }
}

inline set_leaf(position) {
  d_step {
    before = word_at(0, position / 2);
    word_at(0, position / 2) = before | bit_of(position);                                               /* (10) */
    disturbed[position] = disturbed[position] & ~me
  }
}

/* bitset::set_summaries, and the upper levels of set */
inline set_summaries() {
  do
  :: level == DEPTH -> break
  :: else ->
     if
     :: word_at(level, p / 2) & bit_of(p)
     :: else -> word_at(level, p / 2) = word_at(level, p / 2) | bit_of(p)
     fi;
     atomic { level++; p = p / 2 }
  od
}

/* bitset::clear */
inline clear(position) {
  d_step {
    clearing = clearing | me;
    for (g : 0 .. POSITIONS - 1) { overlapped[g] = (overlapped[g] != 0 -> overlapped[g] | me : 0) }
    g = 0;
    p = position;
    level = 1
  };
  d_step {
    before = word_at(0, p / 2);
    word_at(0, p / 2) = before & ~bit_of(p);                                                            /* (11) */
    note_clear(position)
  };
  do
#ifndef MUTANT_SUMMARY_OF_OTHERS
  :: before != bit_of(p) -> break
#endif
  :: level == DEPTH -> break
  :: else ->
     p = p / 2;
     d_step { before = word_at(level, p / 2); word_at(level, p / 2) = before & ~bit_of(p) };
     if
#ifndef MUTANT_SUMMARY_NO_LOOK
     :: word_at(level - 1, p) != 0 ->
#ifdef MUTANT_RESTORE_ONE_LEVEL
        word_at(level, p / 2) = word_at(level, p / 2) | bit_of(p);
#else
        set_summaries();
#endif
        break
#endif
     :: else
     fi;
     level++
  od;
  atomic { note_clear_returned(); p = 0; level = 0; before = 0 }
}

/* bitset::next: the first position at or after `from`, in `found`. next_in_level calls itself one level up with
 * from / 64 + 1 and comes back with 64 times what it found; here that is `level`. */
inline next(from) {
  atomic { f = from; level = 0 }
  do
  :: f >= level_size(level) -> found = NO_POSITION; break
  :: else ->
     here = word_at(level, f / 2) >> (f & 1);
     if
     :: here != 0 && level == 0 ->
        f = f + (here & 1 -> 0 : 1);
        if
        :: word_at(0, f / 2) & bit_of(f) -> found = f; break                                            /* test */
        :: else -> f++
        fi
     :: here != 0 && level != 0 -> atomic { f = (f + (here & 1 -> 0 : 1)) * 2; level-- }
     :: here == 0 && level + 1 == DEPTH -> f = (f / 2 + 1) * 2
     :: else -> atomic { f = f / 2 + 1; level++ }
     fi
  od
}

/* Blocks come and go. What an evictor or protector, and a publisher or unprotector do: change the truth, then the
 * bits. A selector that finds a bit of a block that is no candidate withdraws it too. */
proctype changer(byte me) {
  byte changes, target, p, level, before, g;
  bool offer;
  do
  :: changes == CHANGES -> break
  :: else ->
     atomic {
       changes++;
#ifdef ROLES
       /* One sets, a neighbour is cleared, and so is a position under another summary. */
       target = position_of((me == 1 -> 2 : (me == 2 -> 1 : 0)));
       candidate[target] = me == 1;
       offer = me == 1
#else
       select(target : 0 .. 2);
       target = position_of(target);
       if
       :: candidate[target] = !candidate[target]; offer = candidate[target]
       :: !candidate[target] -> offer = false
       fi
#endif
     };
     if
     :: offer
     :: else ->
        clear(target);
#ifndef MUTANT_NO_SECOND_LOOK
        offer = candidate[target]
#endif
     fi;
     if
     :: offer -> disturbed[target] = disturbed[target] | me; set(target)
     :: else
     fi;
     atomic { target = 0; offer = false }
  od
}

proctype searcher() {
  byte p, f, level, here, found;
  d_step {
    for (p : 0 .. POSITIONS - 1) {
      must_find = must_find | ((is_set[p] && overlapped[p] == 0) << p)
    }
    p = 0
  }
  next(0);
  /* nothing that had to be found lies before what was found */
  atomic {
    check(E1_found, (must_find & ((1 << (found == NO_POSITION -> POSITIONS : found)) - 1)) == 0);
    must_find = 0; f = 0; level = 0; here = 0; found = 0
  }
}

init {
  byte i, p;
  atomic {
    for (i : 0 .. 2) {
      p = position_of(i);
      if
      :: skip                          /* absent */
      :: candidate[p] = true           /* a candidate */
      :: is_set[p] = true              /* absent, and its bit is left over */
      fi;
      if
      :: candidate[p] || is_set[p] ->
         is_set[p] = true;
         words[p / 2] = words[p / 2] | bit_of(p);
         word_at(1, p / 4) = word_at(1, p / 4) | bit_of(p / 2);
         word_at(DEPTH - 1, 0) = word_at(DEPTH - 1, 0) | bit_of(p >> (DEPTH - 1))
      :: else
      fi
    }
    p = 0;
    start(CHANGERS, changer(1 << i));
    start(SEARCHERS, searcher())
  }
  all_ended;
  d_step {
    for (p : 0 .. POSITIONS - 1) {
      check(E2_none_lost, !candidate[p] || (words[p / 2] & bit_of(p)) != 0);
      check(E2_none_lost, !candidate[p] || (word_at(1, p / 4) & bit_of(p / 2)) != 0);
      check(E2_none_lost, !candidate[p] || (word_at(DEPTH - 1, 0) & bit_of(p >> (DEPTH - 1))) != 0)
    }
  }
}
