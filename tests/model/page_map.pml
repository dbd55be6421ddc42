/* The page map: takes that collide, in words of two pages.
 *
 * Invariants, in words:
 *   M1  A run that was taken overlaps no other run that was taken and not given back; a page's fields are one taker's.
 *   M2  Of takes that collide with each other only, one succeeds.
 *   M3  When all is quiet the pages of failed takes are free again.
 *   Progress: no take runs for ever, whoever is stopped where.
 *
 * Code: page_map::take, take_in_word, give (lib/core/page_map.hpp). Each taker picks any run; free_run and take_best
 * only suggest runs, and are left out.
 *
 * @invariant M1_no_overlap
 * @invariant M2_one_succeeds
 * @invariant M3_given_back
 * @config takes    | safety   | -DTAKERS=3 -DTAKES=1 -DKEEP=1 -DLEAST=2 | 6 pages in 3 words, 3 takers of any run of 2 pages or more, kept
 * @config again    | safety   | -DTAKERS=2 -DTAKES=2 -DKEEP=0 -DLEAST=1 | 6 pages in 3 words, 2 takers of any run twice, given back
 * @config progress | progress | -DTAKERS=2 -DTAKES=2 -DKEEP=0 -DLEAST=2 | as again, with runs of 2 pages or more
 * @mutant TAKE_BY_OR     | takes | M1_no_overlap   | pages are taken without a compare
 * @mutant KEEP_HALF      | takes | M3_given_back   | a take that fails keeps what it had
 * @mutant GIVE_WHOLE_RUN | takes | M1_no_overlap   | a take that fails gives back pages that it did not have
 * @mutant MIXED_ORDER    | takes | M2_one_succeeds | one of the takers takes its words from the last to the first
 */
#include "invariant.pml"

invariant_name M1_no_overlap, M2_one_succeeds, M3_given_back;

#define WORDS 3
#define PAGES 6

byte words[WORDS];

/* Ghosts. */
byte owners[PAGES];  /* who has the page: 0, or 1 + the taker */
byte succeeded;

/* The pages of a word that are in [first, end). */
#define is_in(page) ((page) >= first && (page) < end)
#define mask_of(word) (is_in(2 * (word)) | is_in(2 * (word) + 1) << 1)
#define last_word ((end - 1) / 2)
#ifdef MUTANT_MIXED_ORDER
#define place(word) (me & 1 -> last_word + first / 2 - (word) : (word))
#else
#define place(word) (word)
#endif

/* give: the pages of [first, end) in words from first / 2 to before `to`. */
inline give(to) {
  word = first / 2;
  do
  :: word >= to -> break
  :: else -> atomic { words[place(word)] = words[place(word)] & ~mask_of(place(word)); word++ }          /* (16) */
  od
}

/* take: `ok` tells. */
inline take() {
  word = first / 2;
  do
  :: word > last_word -> break
  :: else ->
     /* take_in_word */
     at = place(word);
     seen = words[at];
     ok = false;
     do
     :: ok || (seen & mask_of(at)) != 0 -> break
     :: else ->
        d_step {
          if
#ifdef MUTANT_TAKE_BY_OR
          :: true -> words[at] = words[at] | mask_of(at); ok = true
#else
          :: words[at] == seen -> words[at] = seen | mask_of(at); ok = true                             /* (17) */
          :: else -> seen = words[at]
#endif
          fi
        }
     od;
     if
     :: ok -> word++
     :: else -> break
     fi
  od;
  if
  :: ok
  :: else ->
#if defined MUTANT_KEEP_HALF
     skip
#elif defined MUTANT_GIVE_WHOLE_RUN
     give(last_word + 1)
#else
     at = word;
     give(at)
#endif
  fi;
  atomic { word = 0; at = 0; seen = 0 }
}

proctype taker(byte me) {
  byte takes, first, end, word, at, seen, p;
  bool ok;
  do
  :: takes == TAKES -> break
  :: else ->
     atomic {
       takes++;
       select(first : 0 .. PAGES - LEAST);
       select(end : first + LEAST .. PAGES)
     }
     take();
     if
     :: ok ->
        d_step {
          for (p : first .. end - 1) { check(M1_no_overlap, owners[p] == 0); owners[p] = 1 + me }
          p = 0;
          succeeded++
        };
#if !KEEP
        d_step { for (p : first .. end - 1) { owners[p] = 0 } p = 0 };
        at = last_word + 1;
        give(at)
#endif
     :: else
     fi;
     atomic { first = 0; end = 0; word = 0; at = 0; ok = false }
  od
}

init {
  byte i;
  atomic { start(TAKERS, taker(i)) }
  all_ended;
  d_step {
    check(M2_one_succeeds, succeeded > 0);
    for (i : 0 .. PAGES - 1) { check(M3_given_back, (words[i / 2] >> (i & 1) & 1) == (owners[i] != 0)) }
  }
}
