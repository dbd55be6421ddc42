// The one place where Pinrail meets <atomic>.
//
// Atomics policy. Every core template takes `class A`, a policy with `A::template atomic<T>`. The library uses
// `native_atomics`; tests run the same templates under a scheduler that explores interleavings and stale reads
// (tests/support/relacy_atomics.hpp).
//
// Memory orders. Each step of the protocol has a name here, and the steps that pair are listed with it. No
// fences: ThreadSanitizer does not model them.
//
//   W  block word       R  runtime word     C  ledger word    T  reservation entry
//   B  budget word      E  candidate bits   M  page map       X  tickets and fences
//
//   (1)  publish (W, release)      ->  (2) pin (W, acquire): extent and ready ticket are visible to who uses
//   (3)  unpin (W, release)        ->  (4) claim (W, acquire): last uses are visible to who evicts
//   (4)  claim (W, seq_cst), then (5) read R (seq_cst); (6) guard (R, seq_cst), then (7) look (W, seq_cst):
//        either the evictor sees the guard or the looker sees the claim
//   (8)  end of load or eviction (W, release)  ->  (9) begin of load (W, acquire): the block's fields change hands
//   (10) bit set (E, release)      ->  (11) bit clear (E, acquire), then a second look at W: no candidate is lost
//   (12) install operation (C, acq_rel)  ->  (13) read ledger (C, acquire): the operation's record is complete
//   (14) entry published (T, acq_rel)    ->  (15) read entry (T, acquire)
//   (16) pages given (M, release)  ->  (17) pages taken (M, acquire): fences and owners of the pages are visible
//   (18) ticket published (X, release)   ->  (19) ticket read (X, acquire): its event was recorded
//   (20) pin (W, seq_cst), then read "halted" or "removing"; who sets one of these then looks at W (seq_cst): either
//        the pinner sees the end or who ends sees the pin
//   (21) completion word written by a stream (the device, behind all its earlier writes)  ->  (22) word read (X,
//        acquire): what the stream did before is done, and what it wrote to host memory is visible
//   (23) list shown (pass slot, release)  ->  (24) list read (pass slot, acquire): the list is complete, also for who
//        saw the cursor of the slot's last pass
#pragma once

#include <atomic>

#include "core/mutant.hpp"

namespace pinrail::core {

template <class T>
using atomic = std::atomic<T>;

#ifndef PINRAIL_MUTANT
#define PINRAIL_MUTANT none
#endif

struct native_atomics {
  template <class T>
  using atomic = std::atomic<T>;
  static constexpr mutant broken = mutant::PINRAIL_MUTANT;
};

namespace order {

using std::memory_order;

inline constexpr memory_order relaxed = std::memory_order_relaxed;
inline constexpr memory_order acquire = std::memory_order_acquire;
inline constexpr memory_order release = std::memory_order_release;
inline constexpr memory_order acq_rel = std::memory_order_acq_rel;
inline constexpr memory_order seq_cst = std::memory_order_seq_cst;

// Block word
inline constexpr memory_order publish = release;     // (1), (8)
inline constexpr memory_order pin = seq_cst;         // (2), (20)
inline constexpr memory_order unpin = release;       // (3)
inline constexpr memory_order claim = seq_cst;       // (4)
inline constexpr memory_order look = seq_cst;        // (7)
inline constexpr memory_order end_load = release;    // (8)
inline constexpr memory_order begin_load = acq_rel;  // (9)

// Runtime word
inline constexpr memory_order read_rules = seq_cst;  // (5)
inline constexpr memory_order guard = seq_cst;       // (6)

// Candidate bits
inline constexpr memory_order set_bit = seq_cst;    // (10); seq_cst because summaries are read back, see bitset
inline constexpr memory_order clear_bit = seq_cst;  // (11)

// Ledger and reservations
inline constexpr memory_order install = acq_rel;        // (12)
inline constexpr memory_order read_ledger = acquire;    // (13)
inline constexpr memory_order publish_entry = acq_rel;  // (14)
inline constexpr memory_order read_entry = acquire;     // (15)

// Pages, tickets
inline constexpr memory_order give_pages = release;      // (16)
inline constexpr memory_order take_pages = acq_rel;      // (17)
inline constexpr memory_order publish_ticket = release;  // (18)
inline constexpr memory_order read_ticket = acquire;     // (19)
inline constexpr memory_order read_word = acquire;       // (22)

// Passes
inline constexpr memory_order show_list = release;  // (23)
inline constexpr memory_order read_list = acquire;  // (24)

}  // namespace order

/// Keeps what different threads write on different cache lines.
inline constexpr unsigned cache_line_bytes = 64;

}  // namespace pinrail::core
