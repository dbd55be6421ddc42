/* Device streams and tickets, as lib/device/timeline.hpp has them.
 *
 * A stream executes what is enqueued in it, one after the other, when it likes. An event is the place in the stream
 * where it was last recorded: complete once the stream has come that far, or if it was never recorded. A wait stands
 * for the event's last record at the moment of the call. That is what CUDA promises, and no more.
 *
 * A model that includes this says how many STREAMS there are, LANES of each, and events in a RING, and what a
 * stream does with its own kinds of work: begin_work(kind, argument), and end_work in a later step for kinds that
 * HAS_AN_END. (Work that only has to be over before something else begins needs no end of its own.)
 *
 *   S2  A ticket exists only after its event was recorded.
 *   S4  An event is recorded again only after its last record is complete and known to be.
 */
#define WAIT 0 /* the kind of work that waits for another stream */
#define QUEUE 6

chan queue[STREAMS] = [QUEUE] of { byte, byte, byte };
byte enqueued[STREAMS];
byte executed[STREAMS];

#define ALL_LANES (STREAMS * LANES)
bool recording[ALL_LANES];
byte submitted[ALL_LANES];
byte completed[ALL_LANES];
byte events[ALL_LANES * RING]; /* where an event was last recorded in its stream; 0: never */

/* Tickets: the lane, and a sequence number from 1 to 7. 0 is no ticket. */
#define ticket_of(lane, sequence) ((lane) << 3 | (sequence))
#define lane_of(t) ((t) >> 3)
#define sequence_of(t) ((t) & 7)
#define event_of(lane, sequence) events[(lane) * RING + (sequence) % RING]
#define event_is_complete(t) (executed[lane_of(t) / LANES] >= event_of(lane_of(t), sequence_of(t)))

/* A call of the device: the work is in the stream, in one step. */
#define enqueue(s, kind, argument) d_step { queue[s] ! kind, argument, 0; enqueued[s]++ }

/* timeline::is_complete and poll: `yes`. No ticket reads as complete. */
inline is_complete(t) {
  if
  :: t == 0 || completed[lane_of(t)] >= sequence_of(t) -> yes = true                                    /* (19) */
  :: else ->
     yes = event_is_complete(t);
     if
     :: yes ->
        d_step {
          if
          :: completed[lane_of(t)] < sequence_of(t) -> completed[lane_of(t)] = sequence_of(t)
          :: else
          fi
        }
     :: else
     fi
  fi
}

/* timeline::wait: stream s waits on the device for the ticket. */
inline wait(s, t) {
  if
  :: t == 0 || lane_of(t) / LANES == s
  :: else ->
     is_complete(t);
     if
     :: !yes -> d_step { queue[s] ! WAIT, lane_of(t) / LANES, event_of(lane_of(t), sequence_of(t)); enqueued[s]++ }
     :: else
     fi
  fi
}

/* timeline::record, record_in, await_ring: `t` is the ticket. Who has the lane is alone with `submitted`; that the
 * lane is free again is seen in the step that records, or later: who finds it taken only tries another one. */
inline record(s, t) {
  atomic {
    if
#ifdef MUTANT_LANE_SHARED
    :: lane = (s) * LANES
#else
    :: !recording[(s) * LANES] -> lane = (s) * LANES
#if LANES > 1
    :: !recording[(s) * LANES + 1] -> lane = (s) * LANES + 1
#endif
#endif
    fi;
    recording[lane] = true
#ifndef MUTANT_RING_TOO_SOON
    ;
    if
    :: submitted[lane] >= RING ->
       executed[s] >= event_of(lane, submitted[lane] + 1);
       if
       :: completed[lane] < submitted[lane] + 1 - RING -> completed[lane] = submitted[lane] + 1 - RING
       :: else
       fi
    :: else
    fi
#endif
  };
#ifdef MUTANT_LANE_SHARED
  event_of(lane, submitted[lane] + 1) = enqueued[s];
  d_step {
#else
  d_step {
    check(S4_ring, submitted[lane] < RING || completed[lane] + RING > submitted[lane]);
    event_of(lane, submitted[lane] + 1) = enqueued[s];
#endif
    submitted[lane]++;
    t = ticket_of(lane, submitted[lane]);
    recording[lane] = false;                                                                            /* (18) */
    lane = 0
  }
}

proctype stream(byte me) {
  byte kind, argument, place;
end:
  do
  :: atomic {
       queue[me] ? kind, argument, place;
       if
       :: kind == WAIT -> executed[argument] >= place
       :: else -> begin_work(kind, argument)
       fi;
#ifdef HAS_AN_END
       if
       :: HAS_AN_END(kind) -> place = 1
       :: else -> executed[me]++; kind = 0; argument = 0; place = 0
       fi
     };
     if
     :: place -> d_step { end_work(kind, argument); executed[me]++; kind = 0; argument = 0; place = 0 }
     :: else
     fi
#else
       executed[me]++; kind = 0; argument = 0; place = 0
     }
#endif
  od
}
