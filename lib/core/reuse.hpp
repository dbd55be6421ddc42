// When the blocks of a runtime with data-dependent order will be used again, estimated from how they were used before.
//
// Time is counted in uses of the runtime. A block's interval is a running average; it is due its interval after its
// last use, and what is overdue counts as equally far on the other side: the longer overdue, the less likely. So a
// block that comes every round is kept until its round is over, one that is no longer used leaves, and in a cyclic
// order the block just used goes first, as in Belady's MIN. A block used once only is farther than any other.
//
// Hints: relaxed, and updates that get lost cost accuracy only. Progress: wait-free.
#pragma once

#include <cstdint>
#include <memory>

#include "core/atomic.hpp"

namespace pinrail::core {

template <class A>
class reuse_estimates {
 public:
  explicit reuse_estimates(std::uint32_t size)
      : blocks_(std::make_unique<block[]>(size)), unknown_(rounds_unknown * size) {}

  void note_use(std::uint32_t position) noexcept {
    const std::uint32_t now = clock_.fetch_add(1, order::relaxed) + 1;
    block& b = blocks_[position];
    const std::uint32_t last = b.last.load(order::relaxed);
    b.last.store(now, order::relaxed);
    if (last == 0) return b.due.store(0, order::relaxed);
    const std::uint32_t seen = now - last;
    const std::uint32_t before = b.interval.load(order::relaxed);
    const std::uint32_t interval = before == 0 ? seen : static_cast<std::uint32_t>((3ull * before + seen) / 4);
    b.interval.store(interval, order::relaxed);
    b.due.store(now + interval, order::relaxed);
  }

  /// Someone says that it will be used soon.
  void expect_soon(std::uint32_t position) noexcept {
    blocks_[position].due.store(clock_.load(order::relaxed) + 1, order::relaxed);
  }

  /// Uses of the runtime until the block's next one.
  [[nodiscard]] double uses_until(std::uint32_t position) const noexcept {
    const block& b = blocks_[position];
    const std::uint32_t now = clock_.load(order::relaxed);
    const std::uint32_t due = b.due.load(order::relaxed);
    const std::uint32_t last = b.last.load(order::relaxed);
    if (last != 0 && now - last < just_used) return 0;
    if (due == 0) return static_cast<double>(unknown_) + (now - last);
    const auto away = static_cast<std::int32_t>(due - now);  // the clock wraps
    return away < 0 ? -static_cast<double>(away) : static_cast<double>(away);
  }

 private:
  /// Kernels of so many uses may not have ended: a copy in the place of their blocks would wait for them.
  static constexpr std::uint32_t just_used = 5;
  static constexpr std::uint64_t rounds_unknown = 8;
  struct block {
    typename A::template atomic<std::uint32_t> last{0};      ///< 0: not used yet
    typename A::template atomic<std::uint32_t> interval{0};  ///< 0: not known
    typename A::template atomic<std::uint32_t> due{0};       ///< 0: not known
  };

  std::unique_ptr<block[]> blocks_;
  std::uint64_t unknown_;
  typename A::template atomic<std::uint32_t> clock_{0};
};

}  // namespace pinrail::core
