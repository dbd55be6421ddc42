// B, the budget word: how the pages of the arena are spent, in one atomic.
//
//   bits 0-20    used        pages of blocks: resident, loading, or freed but not reusable yet
//   bits 21-41   set aside   pages of byte reservations (budget().reserve_bytes)
//   bits 42-62   withheld    pages of the arena that the budget leaves out (set_vram_budget)
//
// Invariant B1: used + set aside + withheld <= capacity, at every instant. The budget is capacity - withheld, so
// used + set aside never exceed it.
//
// A page changes hands in one step: `exchange` gives some and takes some at once, so the bytes that an evictor
// freed can't be taken by another thread in between.
//
// Progress: lock-free; a compare-exchange loop that fails only because another one succeeded.
#pragma once

#include <cstdint>

#include "core/atomic.hpp"

namespace pinrail::core {

struct budget_pages {
  std::uint64_t used = 0;
  std::uint64_t set_aside = 0;
  std::uint64_t withheld = 0;

  [[nodiscard]] std::uint64_t sum() const noexcept { return used + set_aside + withheld; }
};

/// Changes in pages; negative gives back.
struct budget_change {
  std::int64_t used = 0;
  std::int64_t set_aside = 0;
  std::int64_t withheld = 0;
};

template <class A>
class budget_word {
 public:
  static constexpr unsigned field_bits = 21;
  static constexpr std::uint64_t max_pages = (std::uint64_t{1} << field_bits) - 1;

  /// Arenas have at most `max_pages` pages.
  budget_word(std::uint64_t capacity_pages, std::uint64_t withheld_pages) noexcept
      : capacity_(capacity_pages), word_(withheld_pages << 2 * field_bits) {}

  [[nodiscard]] std::uint64_t capacity() const noexcept { return capacity_; }
  [[nodiscard]] budget_pages load() const noexcept { return unpack(word_.load(order::acquire)); }
  [[nodiscard]] std::uint64_t peak() const noexcept { return peak_.load(order::relaxed); }

  /// Makes the change if B1 holds after it; else changes nothing. What a caller gives back it must have had.
  [[nodiscard]] bool exchange(const budget_change& change) noexcept {
    std::uint64_t seen = word_.load(order::relaxed);
    for (;;) {
      budget_pages next = unpack(seen);
      next.used += change.used;
      next.set_aside += change.set_aside;
      next.withheld += change.withheld;
      if (next.sum() > capacity_) return false;
      if constexpr (is_broken<A>(mutant::admission_in_two_steps)) {
        word_.fetch_add(pack(next) - seen, order::acq_rel);
      } else if (!word_.compare_exchange_weak(seen, pack(next), order::acq_rel, order::relaxed)) {
        continue;
      }
      raise_peak(next.used + next.set_aside);
      return true;
    }
  }

  [[nodiscard]] bool take(std::uint64_t pages) noexcept { return exchange({.used = static_cast<std::int64_t>(pages)}); }
  void give(std::uint64_t pages) noexcept { word_.fetch_sub(pages, order::release); }

 private:
  [[nodiscard]] static budget_pages unpack(std::uint64_t packed) noexcept {
    return {.used = packed & max_pages,
            .set_aside = packed >> field_bits & max_pages,
            .withheld = packed >> 2 * field_bits & max_pages};
  }
  [[nodiscard]] static std::uint64_t pack(const budget_pages& p) noexcept {
    return p.used | p.set_aside << field_bits | p.withheld << 2 * field_bits;
  }
  void raise_peak(std::uint64_t pages) noexcept {
    std::uint64_t seen = peak_.load(order::relaxed);
    while (seen < pages && !peak_.compare_exchange_weak(seen, pages, order::relaxed, order::relaxed)) {
    }
  }

  std::uint64_t capacity_;
  typename A::template atomic<std::uint64_t> word_;
  typename A::template atomic<std::uint64_t> peak_{0};
};

}  // namespace pinrail::core
