// M, the page map: which pages of the arena belong to someone, one bit each.
//
// `take` sets the bits of a run of pages, word by word in rising address order, and all bits of a word in one
// compare-exchange. If a bit is already set it gives back what it had set and fails.
//
// Invariant M1: a run that `take` returned overlaps no other run that was taken and not given back.
// Progress: `give` is wait-free. `take` is lock-free: a take that fails met a bit of another run. That run's
// owner either has it, or is still taking it and will go on to higher addresses only, so of any set of takes that
// collide, the one that reached the highest address succeeds.
// A taker that is stopped half way keeps the pages it had set; others take other pages.
#pragma once

#include <bit>
#include <cstdint>
#include <memory>

#include "core/atomic.hpp"

namespace pinrail::core {

struct page_run {
  std::uint32_t first = 0;
  std::uint32_t count = 0;

  [[nodiscard]] std::uint32_t end() const noexcept { return first + count; }
  friend bool operator==(const page_run&, const page_run&) = default;
};

template <class A>
class page_map {
 public:
  explicit page_map(std::uint32_t pages) : pages_(pages), words_(std::make_unique<word[]>((pages + 63) / 64)) {}

  [[nodiscard]] std::uint32_t size() const noexcept { return pages_; }

  [[nodiscard]] bool taken(std::uint32_t page) const noexcept {
    return words_[page / 64].load(order::acquire) >> page % 64 & 1;
  }

  /// Takes exactly these pages, or none.
  [[nodiscard]] bool take(page_run run) noexcept {
    for (std::uint32_t at = run.first; at < run.end(); at = word_end(at, run.end())) {
      if (take_in_word(at, word_end(at, run.end()))) continue;
      if constexpr (!is_broken<A>(mutant::take_keeps_part)) give({run.first, at - run.first});
      return false;
    }
    return true;
  }

  void give(page_run run) noexcept {
    for (std::uint32_t at = run.first; at < run.end(); at = word_end(at, run.end()))
      words_[at / 64].fetch_and(~mask(at, word_end(at, run.end())), order::give_pages);  // (16)
  }

  /// The first run of free pages at or after `from`; count 0 if there is none. A hint: it may be gone.
  [[nodiscard]] page_run free_run(std::uint32_t from) const noexcept {
    for (;;) {
      const std::uint32_t first = scan(from, false);
      const std::uint32_t end = scan(first, true);
      if (end > first || first == pages_) return {first, end - first};
      from = first + 1;  // taken between the two scans: not the end of all
    }
  }

  /// Takes `count` pages from the smallest free run that holds them, lowest address first among equals.
  /// count 0 in the answer: no run was large enough. Retries while it loses races.
  [[nodiscard]] page_run take_best(std::uint32_t count) noexcept {
    for (;;) {
      page_run best{0, 0};
      for (page_run run = free_run(0); run.count > 0 && best.count != count; run = free_run(run.end()))
        if (run.count >= count && (best.count == 0 || run.count < best.count)) best = run;
      if (best.count == 0) return {0, 0};
      if (take({best.first, count})) return {best.first, count};
    }
  }

 private:
  using word = typename A::template atomic<std::uint64_t>;

  [[nodiscard]] static std::uint32_t word_end(std::uint32_t at, std::uint32_t end) noexcept {
    const std::uint32_t next = (at / 64 + 1) * 64;
    return next < end ? next : end;
  }
  /// Bits [at, end) of one word; end - at is 1 to 64.
  [[nodiscard]] static std::uint64_t mask(std::uint32_t at, std::uint32_t end) noexcept {
    return (~std::uint64_t{0} >> (64 - (end - at))) << at % 64;
  }

  [[nodiscard]] bool take_in_word(std::uint32_t at, std::uint32_t end) noexcept {
    word& w = words_[at / 64];
    const std::uint64_t wanted = mask(at, end);
    std::uint64_t seen = w.load(order::relaxed);
    if constexpr (is_broken<A>(mutant::take_pages_in_two_steps)) {
      if ((seen & wanted) == 0) w.fetch_or(wanted, order::take_pages);
      return (seen & wanted) == 0;
    }
    while ((seen & wanted) == 0)
      if (w.compare_exchange_weak(seen, seen | wanted, order::take_pages, order::relaxed)) return true;  // (17)
    return false;
  }

  /// The first page at or after `from` whose bit is `value`; size() if there is none.
  [[nodiscard]] std::uint32_t scan(std::uint32_t from, bool value) const noexcept {
    while (from < pages_) {
      std::uint64_t bits = words_[from / 64].load(order::relaxed);
      if (!value) bits = ~bits;
      bits >>= from % 64;
      if (bits != 0) {
        const std::uint32_t found = from + static_cast<std::uint32_t>(std::countr_zero(bits));
        return found < pages_ ? found : pages_;
      }
      from = (from / 64 + 1) * 64;
      if (!value) from = after_full(from);
    }
    return pages_;
  }

  /// Skips groups of words without a free page, from the first page of a word on. Most of a full arena is such.
  [[nodiscard]] std::uint32_t after_full(std::uint32_t from) const noexcept {
    constexpr std::uint32_t group = 8;
    for (; from + group * 64 <= pages_; from += group * 64) {
      std::uint64_t all = ~std::uint64_t{0};
      for (std::uint32_t i = 0; i < group; ++i) all &= words_[from / 64 + i].load(order::relaxed);
      if (~all != 0) break;
    }
    return from;
  }

  std::uint32_t pages_;
  std::unique_ptr<word[]> words_;
};

}  // namespace pinrail::core
