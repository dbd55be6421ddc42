// Atomics that call a hook of the accessing thread before each access: to stop the thread there (support/stall.hpp), or
// to draw its operations out in time (support/perturbation.hpp).
//
// `hooked_atomics` is a policy for the core's templates. The whole library is built with it once more, as the target
// pinrail_hooked (see support/hooked/core/atomic.hpp).
#pragma once

#include <atomic>
#include <source_location>
#include <utility>

namespace pinrail::test {

class access_hook {
 public:
  virtual void before_access(const std::source_location& where) noexcept = 0;

 protected:
  ~access_hook() = default;
};

inline constinit thread_local access_hook* hook_of_this_thread = nullptr;
/// For threads that the library starts itself: called where a thread has no hook of its own.
inline constinit std::atomic<access_hook*> hook_of_other_threads{nullptr};

/// Installs a hook for the calling thread until the end of the scope.
class hooked {
 public:
  explicit hooked(access_hook& hook) noexcept : before_(std::exchange(hook_of_this_thread, &hook)) {}
  hooked(const hooked&) = delete;
  hooked& operator=(const hooked&) = delete;
  ~hooked() { hook_of_this_thread = before_; }

 private:
  access_hook* before_;
};

template <class T>
class hooked_atomic : public std::atomic<T> {
  using plain = std::atomic<T>;
  using order = std::memory_order;
  using place = std::source_location;

 public:
  using plain::plain;

  T load(order o = order::seq_cst, place at = place::current()) const noexcept { return step(at), plain::load(o); }
  void store(T value, order o = order::seq_cst, place at = place::current()) noexcept {
    step(at), plain::store(value, o);
  }
  T exchange(T value, order o = order::seq_cst, place at = place::current()) noexcept {
    return step(at), plain::exchange(value, o);
  }
  T fetch_add(T value, order o = order::seq_cst, place at = place::current()) noexcept {
    return step(at), plain::fetch_add(value, o);
  }
  T fetch_sub(T value, order o = order::seq_cst, place at = place::current()) noexcept {
    return step(at), plain::fetch_sub(value, o);
  }
  T fetch_and(T value, order o = order::seq_cst, place at = place::current()) noexcept {
    return step(at), plain::fetch_and(value, o);
  }
  T fetch_or(T value, order o = order::seq_cst, place at = place::current()) noexcept {
    return step(at), plain::fetch_or(value, o);
  }
  bool compare_exchange_strong(T& expected, T value, order success, order failure,
                               place at = place::current()) noexcept {
    return step(at), plain::compare_exchange_strong(expected, value, success, failure);
  }
  bool compare_exchange_strong(T& expected, T value, order o = order::seq_cst, place at = place::current()) noexcept {
    return step(at), plain::compare_exchange_strong(expected, value, o);
  }
  bool compare_exchange_weak(T& expected, T value, order success, order failure, place at = place::current()) noexcept {
    return step(at), plain::compare_exchange_weak(expected, value, success, failure);
  }

 private:
  static void step(const place& at) noexcept {
    access_hook* const others = hook_of_other_threads.load(std::memory_order::acquire);
    if (access_hook* const hook = hook_of_this_thread != nullptr ? hook_of_this_thread : others; hook != nullptr)
      hook->before_access(at);
  }
};

struct hooked_atomics {
  template <class T>
  using atomic = hooked_atomic<T>;
};

}  // namespace pinrail::test
