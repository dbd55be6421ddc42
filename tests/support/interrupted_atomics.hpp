// Deterministic interleavings on one thread: an operation of the core is stopped before any one of its steps, others
// run from begin to end, then it goes on. As if its thread had been suspended there.
//
// What nests can be explored completely in this way, with the code as it ships; other interleavings, and reads of older
// values, are for Relacy (tests/explore). That the others come to an end shows that a stopped thread stops no one.
#pragma once

#include <functional>
#include <utility>

#include "core/atomic.hpp"

namespace pinrail::test {

struct interrupted_atomics {
  /// What this thread runs before the step after `steps_left` more; then the next one, counted from there.
  struct interruption {
    int steps_left = 0;
    std::function<void()> other;
    interruption* then = nullptr;
  };
  inline static thread_local interruption* pending = nullptr;
  inline static thread_local int steps = 0;  ///< that this thread ever took

  static void step() {
    ++steps;
    if (pending == nullptr || pending->steps_left-- > 0) return;
    interruption& now = *std::exchange(pending, nullptr);
    now.other();
    pending = now.then;
  }

  template <class T>
  class atomic {
   public:
    atomic() : atomic(T{}) {}
    atomic(T initial) : value_(initial) {}  // NOLINT: as std::atomic

    T load(std::memory_order o) const { return step(), value_.load(o); }
    void store(T value, std::memory_order o) { step(), value_.store(value, o); }
    T exchange(T value, std::memory_order o) { return step(), value_.exchange(value, o); }
    T fetch_add(T value, std::memory_order o) { return step(), value_.fetch_add(value, o); }
    T fetch_sub(T value, std::memory_order o) { return step(), value_.fetch_sub(value, o); }
    T fetch_and(T value, std::memory_order o) { return step(), value_.fetch_and(value, o); }
    T fetch_or(T value, std::memory_order o) { return step(), value_.fetch_or(value, o); }
    bool compare_exchange_strong(T& expected, T value, std::memory_order success, std::memory_order failure) {
      return step(), value_.compare_exchange_strong(expected, value, success, failure);
    }
    bool compare_exchange_weak(T& expected, T value, std::memory_order success, std::memory_order failure) {
      return compare_exchange_strong(expected, value, success, failure);
    }

   private:
    core::atomic<T> value_;
  };
};

/// Runs `operation`, and `other` before its step number `step`, counted from 0. False if it has no such step; `other`
/// has not run then. `other` may be interrupted in turn.
inline bool interrupted(int step, const std::function<void()>& operation, std::function<void()> other) {
  interrupted_atomics::interruption here{step, std::move(other)};
  auto* const outer = std::exchange(interrupted_atomics::pending, &here);
  operation();
  const bool met = interrupted_atomics::pending != &here;
  interrupted_atomics::pending = outer;
  return met;
}

/// Runs `operation`, `second` before its step number `step`, and `third` before the step `more_steps` after that one.
/// Says how many of the two have run.
inline int interrupted_twice(int step, int more_steps, const std::function<void()>& operation,
                             std::function<void()> second, std::function<void()> third) {
  interrupted_atomics::interruption last{more_steps, std::move(third)};
  interrupted_atomics::interruption first{step, std::move(second), &last};
  auto* const outer = std::exchange(interrupted_atomics::pending, &first);
  operation();
  const int met = interrupted_atomics::pending == &first ? 0 : interrupted_atomics::pending == &last ? 1 : 2;
  interrupted_atomics::pending = outer;
  return met;
}

/// Calls `attempt(step)` for step 0, 1, 2, ... until it answers that there is no such step; says how many there were.
template <class Attempt>
int at_every_step(Attempt&& attempt) {
  int steps = 0;
  while (attempt(steps)) ++steps;
  return steps;
}

/// How many steps an operation takes.
inline int steps_of(const std::function<void()>& operation) {
  const int before = interrupted_atomics::steps;
  operation();
  return interrupted_atomics::steps - before;
}

}  // namespace pinrail::test
