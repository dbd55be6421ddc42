// Uses of one pass that the transfer thread has not seen the end of yet: how compute times are measured.
//
// Written by the pass's thread, read by the transfer thread. A ring that is full loses samples, which costs accuracy
// only. Progress: wait-free on both sides.
#pragma once

#include <array>
#include <cstdint>

#include "core/atomic.hpp"
#include "core/ticket.hpp"

namespace pinrail::residency {

class use_samples {
 public:
  static constexpr std::uint32_t capacity = 64;

  /// After the use's event was recorded.
  void add(std::uint32_t position, core::ticket used) noexcept {
    const std::uint32_t at = head_.load(core::order::relaxed);
    sample& s = ring_[at % capacity];
    if (s.used.load(core::order::acquire) != 0) return;
    s.position.store(position, core::order::relaxed);
    s.used.store(used.packed(), core::order::release);
    head_.store(at + 1, core::order::relaxed);
  }

  /// Calls `visit(position)` for each use that has ended on the device, oldest first.
  template <class IsComplete, class Visit>
  void take_ended(IsComplete&& is_complete, Visit&& visit) noexcept {
    for (;; ++tail_) {
      sample& s = ring_[tail_ % capacity];
      const std::uint64_t used = s.used.load(core::order::acquire);
      if (used == 0 || !is_complete(core::ticket(used))) return;
      visit(s.position.load(core::order::relaxed));
      s.used.store(0, core::order::release);
    }
  }

 private:
  struct sample {
    core::atomic<std::uint64_t> used{0};  ///< ticket; 0: free
    core::atomic<std::uint32_t> position{0};
  };
  std::array<sample, capacity> ring_{};
  core::atomic<std::uint32_t> head_{0};
  std::uint32_t tail_ = 0;  ///< transfer thread
};

}  // namespace pinrail::residency
