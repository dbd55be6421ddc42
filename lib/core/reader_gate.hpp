// Grace periods: when is memory that readers may have found no longer in anyone's hands?
//
// Readers (victim selection, statistics) enter and leave; pinning announces nothing. Who unlinks something flips
// the phase and frees it once every reader of the old phase has left. Readers of one phase are counted on
// several cache lines, so that they don't meet.
//
// Invariant G1: a reader that entered before a flip is counted under the old phase until it leaves. A reader
// counts itself, then reads the phase again: if it changed, it takes its count back and tries again. Count and
// second read, flip and first look at the counts are all seq_cst, so one side sees the other.
//
// Progress: enter is lock-free (repeats only when a flip came in between), leave is wait-free. Flipping never
// waits: `drained` only tells.
#pragma once

#include <array>
#include <cstdint>

#include "core/atomic.hpp"

namespace pinrail::core {

/// `stripes`: cache lines that readers are counted on.
template <class A, std::uint32_t stripes = 16>
class reader_gate {
 public:
  struct token {
    std::uint32_t stripe = 0;
    std::uint32_t phase = 0;
  };

  /// `hint` spreads the readers: any number that differs between threads.
  [[nodiscard]] token enter(std::uint32_t hint) noexcept {
    const std::uint32_t stripe = hint % stripes;
    for (;;) {
      const std::uint32_t phase = phase_.load(order::seq_cst) & 1;
      counts_[stripe].readers[phase].fetch_add(1, order::seq_cst);
      if (is_broken<A>(mutant::enter_without_second_look) || (phase_.load(order::seq_cst) & 1) == phase)
        return {stripe, phase};
      counts_[stripe].readers[phase].fetch_sub(1, order::release);
    }
  }
  void leave(token t) noexcept { counts_[t.stripe].readers[t.phase].fetch_sub(1, order::release); }

  /// Starts a grace period. The one before must have drained. One caller at a time.
  void flip() noexcept { phase_.fetch_add(1, order::seq_cst); }

  /// Have all readers that entered before the last flip left?
  [[nodiscard]] bool drained() const noexcept {
    const std::uint32_t old = (phase_.load(order::seq_cst) & 1) ^ 1;
    for (const auto& c : counts_)
      if (c.readers[old].load(order::seq_cst) != 0) return false;
    return true;
  }

 private:
  struct alignas(cache_line_bytes) stripe_counts {
    std::array<typename A::template atomic<std::uint32_t>, 2> readers{};
  };

  typename A::template atomic<std::uint32_t> phase_{0};
  std::array<stripe_counts, stripes> counts_{};
};

}  // namespace pinrail::core
