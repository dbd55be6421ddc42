// Atomics whose values a test can set, to reach limits and wrap-arounds that would take hours to count up to.
#pragma once

#include <vector>

#include "core/atomic.hpp"

namespace pinrail::test {

struct settable_atomics {
  template <class T>
  class atomic : public core::atomic<T> {
   public:
    atomic() : atomic(T{}) {}
    atomic(T initial) : core::atomic<T>(initial) { alive().push_back(this); }  // NOLINT: as std::atomic
    ~atomic() { std::erase(alive(), this); }

    /// All that this thread made.
    static std::vector<atomic*>& alive() {
      static thread_local std::vector<atomic*> all;
      return all;
    }
  };

  /// Sets each atomic that shows `seen`; says how many those were.
  template <class T>
  static int replace(T seen, T value) {
    int replaced = 0;
    for (auto* const a : atomic<T>::alive()) {
      if (a->load(core::order::relaxed) != seen) continue;
      a->store(value, core::order::relaxed);
      ++replaced;
    }
    return replaced;
  }
};

}  // namespace pinrail::test
