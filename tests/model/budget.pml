/* The budget: loads, reservations, a guest, byte reservations and set_vram_budget, over an arena of two or three pages.
 *
 * Invariants, in words:
 *   B1  used + set aside + withheld pages never exceed the arena, at any instant; nor do granted shares.
 *   B2  Every page that is resident, loading, or still in use by the device is counted in `used`.
 *   B3  A load that has evicted enough gets it: the bytes that an evictor freed are its own. (Not so for byte
 *       reservations and set_vram_budget: evict_for_budget frees, and others may come before the next turn of
 *       await_budget, which tries again until its deadline.)
 *   Q1  When all is quiet nothing has leaked: pages, budget, charges and shares are those of the resident blocks.
 *
 * Code: budget_word::exchange, take, give (lib/core/budget.hpp); arena::take_free, admit, give, reap, reap_run
 * (lib/residency/arena.cpp); try_room, charge, evict_for (lib/residency/room.cpp); await_budget, evict_for_budget,
 * take_bytes, return_bytes (lib/residency/byte_room.cpp); scheduler_state::withhold; reserve, trim_to_share, release,
 * enter_guest, leave_guest (lib/residency/grants.cpp); evict_block, evict_and_free (lib/residency/victims.cpp).
 * One step each, because other models show that they are: a change of the reservation table (reservation.pml), an
 * eviction of one block (block.pml), taking a free page of the map (page_map.pml). Blocks have one page. Who may evict
 * takes any block that the rules allow; a load may fail; a wait may reach its deadline at any time.
 *
 * @invariant B1_within_budget
 * @invariant B2_counted
 * @invariant B3_evictor_keeps
 * @invariant Q1_nothing_leaked
 * @config guest    | safety | -DPAGES=2 -DUSERS=2 -DCALLS=3 | 2 pages, 2 runtimes (one reserved, one a guest), 3 calls each
 * @config same     | safety | -DPAGES=2 -DUSERS=1 -DSECOND=1 -DCALLS=3 | 2 pages, 2 threads for one runtime, 3 calls each
 * @config withhold | safety | -DPAGES=2 -DUSERS=1 -DCALLS=2 -DWITHHOLD=1 -DBYTES=1 | 2 pages, 1 runtime, 2 calls, set_vram_budget down and up, a byte reservation
 * @config three    | safety | -DPAGES=3 -DUSERS=2 -DCALLS=1 -DWITHHOLD=1 | 3 pages, 2 runtimes, 1 call each, set_vram_budget by 2 pages down and up
 * @mutant ADMIT_IN_TWO_STEPS      | withhold | B1_within_budget  | pages are added after the check, not with it
 * @mutant GIVE_THEN_TAKE          | guest    | B3_evictor_keeps  | the evictor frees what it evicted, then takes free pages
 * @mutant GIVE_WHILE_IN_USE       | guest    | B2_counted        | pages are taken off `used` while kernels still use them
 * @mutant COUNT_DRAINING_TWICE    | guest    | Q1_nothing_leaked | pages that are still draining are counted again
 * @mutant REAP_WITHOUT_HOLDING    | withhold | Q1_nothing_leaked | the end of draining is noted without holding the page
 * @mutant KEEP_CHARGE             | guest    | Q1_nothing_leaked | a request that found no room stays charged
 * @mutant FORGET_PART             | three    | Q1_nothing_leaked | a withholding that fails keeps the part that it had
 */
#include "invariant.pml"

invariant_name B1_within_budget, B2_counted, B3_evictor_keeps, Q1_nothing_leaked;

#ifndef BYTES
#define BYTES 0
#endif
#ifndef WITHHOLD
#define WITHHOLD 0
#endif
#ifndef SECOND
#define SECOND 0
#endif
#define NO_PAGE 7
#define ALL_PAGES ((1 << PAGES) - 1)
#define ones(mask) (((mask) & 1) + ((mask) >> 1 & 1) + ((mask) >> 2 & 1))

/* B */
byte B;
#define ONE_USED 1
#define ONE_SET_ASIDE 4
#define ONE_WITHHELD 16
#define used(b) ((b) & 3)
#define total(b) (((b) & 3) + ((b) >> 2 & 3) + ((b) >> 4))

/* The arena: a bit for each page. */
byte taken;     /* in the page map */
byte fenced;    /* free, with a fence */
byte draining;  /* a count */
byte running;   /* the device still works with what is or was in the page */

/* The reservation table. */
#define NONE 0
#define PRIMARY 1
#define GUEST 2
#define WITHHELD_ENTRY 2
#define BYTES_ENTRY 3
byte granted;
byte share[4];
byte kind[2];

/* Blocks 0 and 1 are of runtime 0, block 2 of runtime 1. */
#define BLOCKS 3
#define NO_BLOCK BLOCKS
#define runtime_of(b) ((b) / 2)
bool resident[BLOCKS];
bool loading[BLOCKS];
byte page_of[BLOCKS];
byte charged[2];

byte counted;  /* ghost: the pages that must be in `used` */

#define check_budget()                                                                         \
  check(B1_within_budget, total(B) <= PAGES);                                                  \
  check(B2_counted, used(B) >= ones(counted) && (running & ~counted) == 0)

/* ---- budget word and arena -------------------------------------------------------------------------------- */

/* exchange: `change` in units of B, of `pages` more in all. */
inline exchange(change, pages) {
  seen = B;
  do
  :: total(seen) + pages > PAGES -> ok = false; break
  :: else ->
     d_step {
       if
#ifdef MUTANT_ADMIT_IN_TWO_STEPS
       :: true -> B = B + change; ok = true; check_budget()
#else
       :: B == seen -> B = B + change; ok = true; check_budget()
       :: else -> seen = B; ok = false
#endif
       fi
     };
     if
     :: ok -> break
     :: else
     fi
  od;
  seen = 0
}

inline any_free_page() {
  if
  :: (taken & 1) == 0 -> page = 0
  :: (taken & 2) == 0 -> page = 1
  :: PAGES == 3 && (taken & 4) == 0 -> page = 2
  :: taken == ALL_PAGES -> page = NO_PAGE
  fi
}

/* take_free and admit: `page`, or NO_PAGE. */
inline take_free() {
  atomic {
    any_free_page();
    if
    :: page != NO_PAGE -> taken = taken | 1 << page
    :: else
    fi
  }
  if
  :: page == NO_PAGE
  :: else ->
#ifdef MUTANT_COUNT_DRAINING_TWICE
     fence = false;
#else
     fence = fenced >> page & 1;
#endif
     exchange((fence -> 0 : ONE_USED), (fence -> 0 : 1));
     if
     :: ok ->
        d_step { counted = counted | 1 << page; fenced = fenced & ~(1 << page) };
        if
        :: fence -> draining--
        :: else
        fi
     :: else -> d_step { taken = taken & ~(1 << page); page = NO_PAGE }
     fi;
     fence = false
  fi
}

/* arena::give: `page` goes back, with a fence if the device still works with it. */
inline give() {
#ifdef MUTANT_GIVE_WHILE_IN_USE
  fence = false;
#else
  fence = running >> page & 1;
#endif
  if
  :: fence -> fenced = fenced | 1 << page; draining++
  :: else -> counted = counted & ~(1 << page); d_step { B = B - ONE_USED; check_budget() }
  fi;
  d_step { taken = taken & ~(1 << page); page = NO_PAGE };
  fence = false
}

/* reap, for one page: `ok` if it became reusable. */
inline reap() {
  ok = false;
  if
  :: draining == 0
  :: else ->
     atomic {
       page = NO_PAGE;
       if
#ifdef MUTANT_REAP_WITHOUT_HOLDING
       :: (fenced & 1) != 0 && (running & 1) == 0 -> page = 0
       :: (fenced & 2) != 0 && (running & 2) == 0 -> page = 1
       :: (fenced & 4) != 0 && (running & 4) == 0 -> page = 2
       :: else
       fi
#else
       :: (fenced & 1) != 0 && (running & 1) == 0 && (taken & 1) == 0 -> page = 0
       :: (fenced & 2) != 0 && (running & 2) == 0 && (taken & 2) == 0 -> page = 1
       :: (fenced & 4) != 0 && (running & 4) == 0 && (taken & 4) == 0 -> page = 2
       :: else
       fi;
       if
       :: page != NO_PAGE -> taken = taken | 1 << page
       :: else
       fi
#endif
     }
     if
     :: page == NO_PAGE
     :: else ->
        d_step { fenced = fenced & ~(1 << page); counted = counted & ~(1 << page); draining-- };
        d_step { B = B - ONE_USED; check_budget() };
        d_step { taken = taken & ~(1 << page); page = NO_PAGE; ok = true }
     fi
  fi
}

/* ---- victims ---------------------------------------------------------------------------------------------- */

#define BUDGET 2 /* who: a runtime, or the budget */
#define allowed(b) (resident[b] && (runtime_of(b) == who || (!own_only && kind[runtime_of(b)] != PRIMARY)))

/* evict_block on any block that is allowed: its page is `page`, held and counted; NO_PAGE if there is none. */
inline evict(own_only, who) {
  atomic {
    if
    :: allowed(0) -> victim = 0
    :: allowed(1) -> victim = 1
    :: allowed(2) -> victim = 2
    :: else -> victim = BLOCKS
    fi;
    if
    :: victim != BLOCKS -> d_step { resident[victim] = false; page = page_of[victim]; page_of[victim] = NO_PAGE }
    :: else -> page = NO_PAGE
    fi
  }
  if
  :: victim != BLOCKS -> charged[runtime_of(victim)]--
  :: else
  fi;
  victim = 0
}

/* ---- room ------------------------------------------------------------------------------------------------- */

/* try_room for one page of runtime r: `page`, charged and counted, or NO_PAGE. */
inline try_room() {
  atomic { limit = (kind[r] == NONE -> PAGES : share[r]); kept = NO_PAGE; page = NO_PAGE }
  do
  :: d_step {
       if
       :: charged[r] + 1 <= limit -> charged[r]++; ok = true
       :: else -> ok = false
       fi
     };
     if
     :: ok -> break
     :: else ->
        evict(true, r);
        if
        :: page == NO_PAGE -> break
        :: page != NO_PAGE && kept == NO_PAGE -> atomic { kept = page; page = NO_PAGE }
        :: else -> give()
        fi
     fi
  od;
  if
  :: !ok && kept != NO_PAGE -> page = kept; give()
  :: !ok && kept == NO_PAGE
  :: ok && kept != NO_PAGE -> page = kept
  :: ok && kept == NO_PAGE ->
     take_free();
     if
     :: page == NO_PAGE ->
        evict(false, r);
#ifdef MUTANT_GIVE_THEN_TAKE
        if
        :: page != NO_PAGE -> evicted = true; give(); take_free()
        :: else
        fi;
#endif
        check(B3_evictor_keeps, !evicted || page != NO_PAGE);
        evicted = false
     :: else
     fi;
     if
#ifndef MUTANT_KEEP_CHARGE
     :: page == NO_PAGE -> charged[r]--
#endif
     :: else
     fi
  fi;
  atomic { kept = NO_PAGE; limit = 0; ok = false }
}

/* Loads a block if it is absent: begin_demanded, then publish or give_up. Room is waited for, or given up. */
inline load(block) {
  do
  :: try_room();
     if
     :: page != NO_PAGE -> break
     :: else
     fi
  :: break
  od;
  if
  :: page == NO_PAGE
  :: page != NO_PAGE ->
     running = running | 1 << page;   /* the copy */
     if
     :: d_step { page_of[block] = page; resident[block] = true; page = NO_PAGE }
     :: give(); charged[r]--          /* the load has failed */
     fi
  fi;
  loading[block] = false
}

/* ---- who does all this ------------------------------------------------------------------------------------ */

/* reserve, release, enter_guest, leave_guest of the table; `ok` tells. */
inline grant(entry, pages) {
  d_step {
    if
    :: granted - share[entry] + pages <= PAGES ->
       granted = granted - share[entry] + pages;
       share[entry] = pages;
       ok = true
    :: else -> ok = false
    fi;
    check(B1_within_budget, granted <= PAGES && granted == share[0] + share[1] + share[2] + share[3])
  }
}

/* Whoever calls for runtime r: any of these, in any order. Runtime 0 may be reserved, runtime 1 may be a guest. */
proctype user(byte r) {
  byte page = NO_PAGE, kept = NO_PAGE, victim, limit, seen, calls, block;
  bool ok, fence, evicted;
  do
  :: calls == CALLS && kind[r] == NONE -> break
  :: else ->
     atomic {
       if
       :: calls < CALLS ->
          calls++;
          if
          :: block = 2 * r
          :: r == 0 -> block = 1
          :: r == 0 -> block = NO_BLOCK; grant(0, 1); if :: ok -> kind[0] = PRIMARY :: else fi
          :: r == 0 -> block = NO_BLOCK; grant(0, 2); if :: ok -> kind[0] = PRIMARY :: else fi
          :: r == 1 && kind[1] == NONE -> block = NO_BLOCK; grant(1, 1); if :: ok -> kind[1] = GUEST :: else fi
          :: kind[r] != NONE -> block = NO_BLOCK; grant(r, 0); kind[r] = NONE
          fi
       :: else -> block = NO_BLOCK; grant(r, 0); kind[r] = NONE
       fi;
       ok = false
     }
     if
     :: atomic { block != NO_BLOCK && !resident[block] && !loading[block] -> loading[block] = true }; load(block)
     :: block == NO_BLOCK ->
        /* trim_to_share, and at the end of a guest's scope evict_all */
        do
        :: charged[r] > (kind[r] == NONE && r == 0 -> PAGES : share[r]) ->
           evict(true, r);
           if
           :: page != NO_PAGE -> give()
           :: else -> break
           fi
        :: else -> break
        od
     :: block != NO_BLOCK && (resident[block] || loading[block])
     fi
  od
}

/* await_budget: `want` pages of the budget get into the field whose unit is `one`; `ok` tells. */
inline await_budget(one) {
  have = 0;
  do
  :: limit = PAGES - total(B);
     limit = (limit < want - have -> limit : want - have);
     exchange(limit * one, limit);
     if
     :: ok -> have = have + limit
     :: else
     fi;
     if
     :: have == want -> ok = true; break
     :: else
     fi;
     if
     :: reap()
     :: draining < want - have ->
        evict(false, BUDGET);
        if
        :: page != NO_PAGE -> give()
        :: else
        fi
     :: d_step {                           /* the deadline */
#ifndef MUTANT_FORGET_PART
          B = B - have * one;
#endif
          check_budget(); ok = false
        };
        break
     fi
  od;
  atomic { have = 0; limit = 0 }
}

#define BUDGET_LOCALS                                              \
  byte page = NO_PAGE, victim, limit, seen, have, want;            \
  bool ok, fence

/* set_vram_budget: less, then as before. */
proctype withholder() {
  BUDGET_LOCALS;
  want = PAGES - 1;
  grant(WITHHELD_ENTRY, want);
  if
  :: ok ->
     await_budget(ONE_WITHHELD);
     if
     :: ok -> grant(WITHHELD_ENTRY, 0); exchange(-want * ONE_WITHHELD, 0)
     :: else -> grant(WITHHELD_ENTRY, 0)
     fi
  :: else
  fi
}

/* budget().reserve_bytes, and the end of the handle. */
proctype byte_reserver() {
  BUDGET_LOCALS;
  want = 1;
  grant(BYTES_ENTRY, want);
  if
  :: ok ->
     await_budget(ONE_SET_ASIDE);
     if
     :: ok -> exchange(-want * ONE_SET_ASIDE, 0)
     :: else
     fi;
     grant(BYTES_ENTRY, 0)
  :: else
  fi
}

/* What runs ends, at any time. */
active proctype device() {
end:
  do
  :: atomic {
       running != 0;
       if
       :: running & 1 -> running = running & ~1
       :: running & 2 -> running = running & ~2
       :: running & 4 -> running = running & ~4
       fi
     }
  od
}

init {
  byte i;
  atomic {
    page_of[0] = NO_PAGE; page_of[1] = NO_PAGE; page_of[2] = NO_PAGE;
    start(USERS, user(i));
    start(SECOND, user(0));
    start(WITHHOLD, withholder());
    start(BYTES, byte_reserver())
  }
  _nr_pr == 2;
  d_step {
    check(Q1_nothing_leaked, granted == 0 && total(B) == used(B) && draining == ones(fenced));
    check(Q1_nothing_leaked, used(B) == resident[0] + resident[1] + resident[2] + draining);
    check(Q1_nothing_leaked, charged[0] == resident[0] + resident[1] && charged[1] == resident[2]);
    check(Q1_nothing_leaked, ones(taken) == resident[0] + resident[1] + resident[2])
  }
}
