/* The reservation table: ledger, operation records, entries and runtime words, with threads that stop anywhere.
 *
 * Invariants, in words:
 *   T1  The sum of all shares never exceeds the capacity, and a replaced reservation never counts twice.
 *   T2  Each change moves its entry's epoch by one; a handle ends the reservation of its epoch and no other, once.
 *   T3  When a change returns, the entry and the runtime word show it, or a later one.
 *   T4  While the ledger names an operation, its record is not written.
 *   T5  What an operation decides on is one state of the table, and what an entry becomes is what was decided.
 *   R4  Guards are not lost while the runtime word follows; a guest that was let in can leave.
 *   Progress: no thread runs for ever, whoever is stopped where. So a thread that is stopped stops no one.
 *
 * Code: reservation_table::change, finish, claim_record, reserve, release, enter_guest, leave_guest
 * (lib/core/reservation_table.hpp), runtime_word::follow, guard, unguard, load (lib/core/runtime_word.hpp).
 * Each thread picks its calls, targets and handles at will: every combination is searched.
 * claim_record's scan is one step that takes any free record, which is more than the code does.
 *
 * @invariant T1_capacity
 * @invariant T2_epoch
 * @invariant T3_shown
 * @invariant T4_record
 * @invariant T5_one_state
 * @invariant R4_guards
 * @config any      | safety   | -DTHREADS=2 -DFIRST_CALLS=2 -DENTRIES=1 -DRESERVED | 2 threads, 3 calls of any kind, 1 entry
 * @config entries  | safety   | -DTHREADS=2 -DENTRIES=2 -DRESERVED | 2 threads, 1 call of any kind each, 2 entries
 * @config readers  | safety   | -DTHREADS=2 -DENTRIES=1 -DRESERVED -DREADERS=1 | 2 threads, 1 call of any kind each, a guard that reads the rules
 * @config three    | safety   | -DTHREADS=3 -DENTRIES=1 -DRESERVED -DROLES | 3 threads: reserve, release by handle, replace
 * @config progress | progress | -DTHREADS=2 -DENTRIES=1 -DRESERVED -DREADERS=1 | as readers
 * @mutant REPLACE_COUNTS_TWICE  | readers  | T1_capacity   | a replaced reservation is not taken off the sum
 * @mutant RELEASE_WITHOUT_EPOCH | any      | T2_epoch      | a release by handle does not look at the epoch
 * @mutant EPOCH_STAYS           | any      | T2_epoch      | a change leaves the epoch
 * @mutant RETURN_BEFORE_FINISH  | any      | T3_shown      | a change returns without making its entry and rules follow
 * @mutant RECORD_FREED_EARLY    | any      | T4_record     | a record is free again while the ledger names it
 * @mutant FINISH_WITHOUT_CHECK  | any      | T5_one_state  | a record is acted on without reading the ledger again
 * @mutant DECIDE_ON_TWO_STATES  | any      | T5_one_state  | the entry is read without reading the ledger again
 * @mutant FOLLOW_BY_STORE       | readers  | T3_shown      | the runtime word follows by a store
 * @mutant FOLLOW_FORGETS_GUARDS | readers  | R4_guards     | the runtime word follows without the guards that it has
 * @mutant NO_HELP               | progress | cycle         | who meets an unfinished operation waits for its thread
 */
#include "invariant.pml"

invariant_name T1_capacity, T2_epoch, T3_shown, T4_record, T5_one_state, R4_guards;

#define CAPACITY 3
#ifndef ENTRIES
#define ENTRIES 2
#endif
#ifndef READERS
#define READERS 0
#endif
#ifndef FIRST_CALLS
#define FIRST_CALLS 1
#endif
#define HANDLES 2
#define RECORDS (THREADS + 2) /* one for each thread, one that the ledger names, and none is number 0 */

/* C: granted pages, operation, sequence */
#define granted(c) ((c) >> 8)
#define operation(c) ((c) >> 5 & 7)
#define ledger(c, pages, op) ((pages) << 8 | (op) << 5 | (((c) + 1) & 31))
/* T: epoch, share, kind, guests */
#define epoch(t) ((t) >> 7)
#define share(t) ((t) >> 4 & 7)
#define kind(t) ((t) >> 2 & 3)
#define guests(t) ((t) & 3)
#define entry(e, s, k, g) ((e) << 7 | (s) << 4 | (k) << 2 | (g))
#define NONE 0
#define PRIMARY 1
#define SECONDARY 2
#define GUEST 3
/* R: epoch, kind of reservation, guards */
#define r_epoch(r) ((r) >> 4)
#define r_kind(r) ((r) >> 2 & 3)
#define r_guards(r) ((r) & 3)
#define rules(e, k, g) ((e) << 4 | (k) << 2 | (g))
#define kind_in_rules(t) (kind(t) == GUEST -> NONE : kind(t))

short C;
short T[ENTRIES];
byte R[ENTRIES];
bool busy[RECORDS];
byte record_index[RECORDS];
short record_next[RECORDS];

/* Ghosts. */
short decided[ENTRIES];   /* what the last change of each entry made of it, from its step on the ledger */
byte returned[ENTRIES];   /* the latest epoch whose change has returned */
byte guards[ENTRIES];     /* guards that last */

#ifdef MUTANT_FOLLOW_BY_STORE
#define follow_step(i) R[i] = rules(epoch(f_next), kind_in_rules(f_next), r_guards(f_rules)); f_rules = R[i]
#else
#ifdef MUTANT_FOLLOW_FORGETS_GUARDS
#define kept_guards 0
#else
#define kept_guards r_guards(f_rules)
#endif
#define follow_step(i)                                                                   \
  if                                                                                     \
  :: R[i] == f_rules ->                                                                  \
     R[i] = rules(epoch(f_next), kind_in_rules(f_next), kept_guards);                    \
     check(T5_one_state, f_next == decided[i])                                           \
  :: else                                                                                \
  fi;                                                                                    \
  f_rules = R[i]
#endif

/* Makes T and R show the operation that `c` names. */
inline finish(c) {
  if
  :: operation(c) == 0
  :: else ->
     f_index = record_index[operation(c)];
     f_next = record_next[operation(c)];
     if
#ifndef MUTANT_FINISH_WITHOUT_CHECK
     :: C != c                                                                                          /* (13) */
#endif
     :: else ->
        f_seen = T[f_index];                                                                            /* (15) */
        if
        :: epoch(f_seen) + 1 == epoch(f_next) ->
           d_step {
             if
             :: T[f_index] == f_seen -> T[f_index] = f_next; check(T5_one_state, f_next == decided[f_index]) /* (14) */
             :: else
             fi
           }
        :: else
        fi;
        f_rules = R[f_index];
        do
        :: r_epoch(f_rules) + 1 != epoch(f_next) -> break
        :: else -> d_step { follow_step(f_index) }
        od
     fi;
     atomic { f_index = 0; f_next = 0; f_seen = 0; f_rules = 0 }
  fi
}

#define RESERVE 1
#define RELEASE_ANY 2
#define RELEASE 3
#define ENTER 4
#define LEAVE 5

#define least_of(call, wanted) (call == ENTER -> 1 : (wanted == PRIMARY -> 2 : 1))
#define most_of(call, wanted) (call == ENTER -> 2 : (wanted == PRIMARY -> 2 : 3))
#define least_or(free, most) (free < most -> free : most)

/* decide: `next` becomes the entry's value, or 0 if nothing is granted. Alone with its thread: no step. */
inline decide() {
#ifdef MUTANT_REPLACE_COUNTS_TWICE
  others = granted(c);
#else
  others = granted(c) - share(now);
#endif
  free = CAPACITY - others;
  next = 0;
  if
  :: call == RESERVE && kind(now) != GUEST && free >= least_of(call, wanted) ->
     next = entry(epoch(now) + 1, least_or(free, most_of(call, wanted)), wanted, 0)
  :: call == RELEASE_ANY && (kind(now) == PRIMARY || kind(now) == SECONDARY) -> next = entry(epoch(now) + 1, 0, NONE, 0)
#ifdef MUTANT_RELEASE_WITHOUT_EPOCH
  :: call == RELEASE && (kind(now) == PRIMARY || kind(now) == SECONDARY) ->
#else
  :: call == RELEASE && epoch(now) == handle && (kind(now) == PRIMARY || kind(now) == SECONDARY) ->
#endif
     next = entry(epoch(now) + 1, 0, NONE, 0)
  :: call == ENTER && kind(now) == GUEST -> next = entry(epoch(now) + 1, share(now), GUEST, guests(now) + 1)
  :: call == ENTER && kind(now) == NONE && free >= 1 ->
     next = entry(epoch(now) + 1, least_or(free, most_of(call, wanted)), GUEST, 1)
  :: call == LEAVE && guests(now) > 1 -> next = entry(epoch(now) + 1, share(now), GUEST, guests(now) - 1)
  :: call == LEAVE && guests(now) == 1 -> next = entry(epoch(now) + 1, 0, NONE, 0)
  :: else
  fi;
#ifdef MUTANT_EPOCH_STAYS
  if
  :: next != 0 -> next = next - entry(1, 0, 0, 0)
  :: else
  fi;
#endif
  free = 0
}

#if ENTRIES == 1
#define sum_of_shares share(decided[0])
#else
#define sum_of_shares (share(decided[0]) + share(decided[1]))
#endif

#define check_ledger_step()                                                                            \
  check(T2_epoch, epoch(next) == epoch(decided[index]) + 1);                                           \
  check(T2_epoch, call != RELEASE || epoch(decided[index]) == handle);                                 \
  decided[index] = next;                                                                               \
  check(T1_capacity, granted(C) == sum_of_shares && sum_of_shares <= CAPACITY)

inline write_record() {
  d_step { check(T4_record, operation(C) != mine); record_index[mine] = index };
  d_step { check(T4_record, operation(C) != mine); record_next[mine] = next }
}

/* change(index, decide) */
inline change() {
  atomic {
    if
    :: !busy[1] -> mine = 1
    :: !busy[2] -> mine = 2
    :: !busy[3] -> mine = 3
#if THREADS > 2
    :: !busy[4] -> mine = 4
#endif
    fi;
    busy[mine] = true
  }
  do
  :: c = C;                                                                                             /* (13) */
#ifdef MUTANT_NO_HELP
     do
     :: operation(c) == 0 || C != c -> break
     :: operation(c) != 0 && r_epoch(R[record_index[operation(c)]]) >= epoch(record_next[operation(c)]) -> break
     :: else
     od;
#else
     finish(c);
#endif
     now = T[index];                                                                                    /* (15) */
     d_step {
#ifdef MUTANT_DECIDE_ON_TWO_STATES
       same = true;
#else
       same = C == c;                                                                                   /* (13) */
#endif
       if
       :: same -> check(T5_one_state, now == decided[index]); decide()
       :: else
       fi
     };
     if
     :: same && next == 0 -> busy[mine] = false; break
     :: same && next != 0 ->
        write_record();
        d_step {
          if
          :: C == c -> C = ledger(c, others + share(next), mine); check_ledger_step(); done = true      /* (12) */
          :: else
          fi
        };
        if
        :: done ->
           if
           :: operation(c) != 0 -> busy[operation(c)] = false
           :: else
           fi;
           c = ledger(c, others + share(next), mine);
#ifndef MUTANT_RETURN_BEFORE_FINISH
           finish(c);
#endif
#ifdef MUTANT_RECORD_FREED_EARLY
           busy[mine] = false;
#endif
           break
        :: else
        fi
     :: else
     fi;
     d_step { c = 0; now = 0; next = 0; others = 0; same = false }
  od
}

/* Makes its calls, then leaves the guest scope that it may be in. */
proctype changer(byte left; byte role) {
  short c, now, next, f_next, f_seen;
  byte f_index, f_rules;
  byte call, wanted, index, handle, mine, others, free;
  byte scope; /* 1 + the entry whose guest scope this thread is in */
  bool same, done;
  do
  :: left == 0 && scope == 0 -> break
  :: else ->
     atomic {
       if
       :: left > 0 ->
          left--;
          select(index : 0 .. ENTRIES - 1);
          if
#ifdef ROLES
          :: role == 0 -> call = RESERVE; wanted = SECONDARY
          :: role == 1 -> call = RELEASE; handle = 1
          :: role == 2 -> call = RESERVE; wanted = PRIMARY
#else
          :: call = RESERVE; wanted = PRIMARY
          :: call = RESERVE; wanted = SECONDARY
          :: call = RELEASE_ANY
          :: call = RELEASE; select(handle : 1 .. HANDLES)
          :: scope == 0 -> call = ENTER
          :: scope != 0 -> call = LEAVE; index = scope - 1
#endif
          fi
       :: left == 0 -> call = LEAVE; index = scope - 1
       fi
     }
     change();
     atomic {
       if
       :: done ->
          check(T3_shown, epoch(T[index]) >= epoch(next) && r_epoch(R[index]) >= epoch(next));
          if
          :: returned[index] < epoch(next) -> returned[index] = epoch(next)
          :: else
          fi;
          if
          :: call == ENTER -> scope = 1 + index
          :: call == LEAVE -> scope = 0
          :: else
          fi
       :: else -> check(R4_guards, call != LEAVE)
       fi;
       c = 0; now = 0; next = 0; call = 0; wanted = 0; index = 0; handle = 0; mine = 0; others = 0;
       same = false; done = false
     }
  od
}

/* keep_resident, and an evictor's read of the rules */
proctype reader() {
  byte rules;
  d_step { R[0]++; guards[0]++ };
  d_step {
    rules = R[0];
    check(R4_guards, r_guards(rules) == guards[0]);
    check(T3_shown, r_epoch(rules) >= returned[0]);
    check(T5_one_state, r_epoch(rules) != epoch(decided[0]) || r_kind(rules) == kind_in_rules(decided[0]));
    rules = 0
  };
  d_step { check(R4_guards, r_guards(R[0]) == guards[0]); R[0]--; guards[0]-- }
}

init {
  byte i;
  atomic {
#ifdef RESERVED
    T[0] = entry(1, 2, PRIMARY, 0);
    R[0] = rules(1, PRIMARY, 0);
    C = ledger(0, 2, 0);
    decided[0] = T[0];
#endif
    start(THREADS, changer((i == 0 -> FIRST_CALLS : 1), i));
    start(READERS, reader())
  }
  all_ended;
  d_step {
    for (i : 0 .. ENTRIES - 1) {
      check(T3_shown, T[i] == decided[i] && R[i] == rules(epoch(T[i]), kind_in_rules(T[i]), 0))
    }
    for (i : 1 .. RECORDS - 1) { check(T4_record, busy[i] == (operation(C) == i)) }
  }
}
