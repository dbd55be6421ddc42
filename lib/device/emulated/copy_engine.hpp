// One copy engine of an emulated device: one copy at a time, first come, first served.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <utility>

#include "device/emulated/schedule.hpp"

namespace pinrail::devices {

/// Thread-safety: any thread may call anything.
class copy_engine {
 public:
  /// Calls `move` when this copy's turn has come, and blocks until a copy that takes at least `copy_ns` would
  /// be done. Nothing is waited for if `move` returns false. `ready_ns` is when the stream was ready for it
  /// by the schedule; returns when the copy ends by the schedule.
  template <class Move>
  std::uint64_t run(std::uint64_t ready_ns, std::uint64_t copy_ns, Move&& move) {
    const turn mine(*this);
    const std::uint64_t began_ns = steady_now_ns();
    const std::uint64_t start_ns = limit_lag(std::max(ready_ns, free_ns_), began_ns);
    if (!std::forward<Move>(move)()) return start_ns;
    free_ns_ = start_ns + std::max(copy_ns, steady_now_ns() - began_ns);
    sleep_until(free_ns_);
    return free_ns_;
  }

  /// Returns when every copy that had arrived before this call is done.
  void wait_idle() { const turn mine(*this); }

  /// Calls of `run` and `wait_idle` so far, those that wait included.
  [[nodiscard]] std::uint64_t arrived() const;

 private:
  /// Holds the engine. Turns are given in the order of arrival.
  class turn {
   public:
    explicit turn(copy_engine& engine);
    turn(const turn&) = delete;
    turn& operator=(const turn&) = delete;
    ~turn();

   private:
    copy_engine& engine_;
  };

  static void sleep_until(std::uint64_t steady_ns);

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t arrived_ = 0;
  std::uint64_t served_ = 0;
  std::uint64_t free_ns_ = 0;  ///< by the schedule; belongs to who holds the turn
};

}  // namespace pinrail::devices
