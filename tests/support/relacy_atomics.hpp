// Runs the core templates under Relacy (Debian: relacy-dev), which explores interleavings, and reads of older values
// that C++11 memory orders allow.
//
// One program may include this, with nothing of GoogleTest beside it: both define macros of their own.
#pragma once

#include "core/atomic.hpp"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wconversion"
#include <relacy/relacy.hpp>
#pragma GCC diagnostic pop
// Relacy takes these names for itself; here they mean the standard's.
#undef memory_order_relaxed
#undef memory_order_consume
#undef memory_order_acquire
#undef memory_order_release
#undef memory_order_acq_rel
#undef memory_order_seq_cst
#undef new
#undef delete
#undef malloc
#undef calloc
#undef realloc
#undef free

namespace pinrail::test {

/// The part of std::atomic that the core uses. Weak compare-exchanges are strong here: a spurious failure only repeats
/// a loop, and would make an exhaustive search endless.
template <core::mutant mistake = core::mutant::none>
struct relacy_atomics {
  static constexpr core::mutant broken = mistake;

  template <class T>
  class atomic {
   public:
    atomic() : atomic(T{}) {}
    atomic(T initial) { value_.store(initial, rl::mo_relaxed, here()); }  // NOLINT: as std::atomic

    T load(std::memory_order o) const { return const_cast<rl::atomic<T>&>(value_).load(map(o), here()); }
    void store(T value, std::memory_order o) { value_.store(value, map(o), here()); }
    T exchange(T value, std::memory_order o) { return value_.exchange(value, map(o), here()); }
    T fetch_add(T value, std::memory_order o) { return value_.fetch_add(value, map(o), here()); }
    T fetch_sub(T value, std::memory_order o) { return value_.fetch_sub(value, map(o), here()); }
    T fetch_and(T value, std::memory_order o) { return value_.fetch_and(value, map(o), here()); }
    T fetch_or(T value, std::memory_order o) { return value_.fetch_or(value, map(o), here()); }
    bool compare_exchange_strong(T& expected, T value, std::memory_order success, std::memory_order failure) {
      return value_.compare_exchange_strong(expected, value, map(success), here(), map(failure), here());
    }
    bool compare_exchange_weak(T& expected, T value, std::memory_order success, std::memory_order failure) {
      return compare_exchange_strong(expected, value, success, failure);
    }

   private:
    static rl::debug_info here() { return rl::debug_info("", "", 0); }
    static rl::memory_order map(std::memory_order o) {
      switch (o) {
        case std::memory_order::relaxed:
          return rl::mo_relaxed;
        case std::memory_order::consume:
        case std::memory_order::acquire:
          return rl::mo_acquire;
        case std::memory_order::release:
          return rl::mo_release;
        case std::memory_order::acq_rel:
          return rl::mo_acq_rel;
        case std::memory_order::seq_cst:
          break;
      }
      return rl::mo_seq_cst;
    }

    rl::atomic<T> value_;
  };
};

}  // namespace pinrail::test
