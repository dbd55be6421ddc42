// E, candidate bits: a set of positions, 64-way hierarchical, that finds the next member in either direction in
// a few loads at any size.
//
// The bits are hints. Invariant E1: a position whose last change was a `set` is found by every search that
// begins once that `set` has returned, and every `clear` that overlapped it, or overlapped such a `clear` in turn.
// Superfluous bits may be found; who finds one clears it. To clear: `clear`, then look at the truth again, and
// `set` if it changed (pair 10 -> 11). Until those clears return they may hide the neighbours under one summary
// bit, so who must not miss a member (a demand load about to report "no victim") walks the blocks themselves once.
//
// The same holds between levels: a summary bit says "some bit below". `clear` empties a summary bit only after
// the word below was seen empty, then looks at that word again. `set` reads the summary back and sets it if it
// is missing. Both sides write one word and then read the other, so all four are seq_cst: one of them sees the
// other's write. A `set` doesn't trust an earlier setter to have done the summary: that thread may be stopped.
//
// Progress: set and clear are wait-free (at most two read-modify-writes per level; four levels hold 2^24
// positions). Searches are wait-free: they may step over stale summary bits, of which there are never more than
// concurrent clears.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/atomic.hpp"

namespace pinrail::core {

template <class A>
class bitset {
 public:
  static constexpr std::uint32_t none = UINT32_MAX;

  explicit bitset(std::uint32_t size) : size_(size) {
    std::uint32_t words = words_for(size);
    depth_ = 0;
    do {
      levels_[depth_++] = std::make_unique<word[]>(words);
      if (words <= 1) break;
      words = words_for(words);
    } while (depth_ < max_depth);
  }

  [[nodiscard]] std::uint32_t size() const noexcept { return size_; }

  void set(std::uint32_t position) noexcept {
    for (unsigned level = 0; level < depth_; ++level, position /= 64) {
      word& w = levels_[level][position / 64];
      const std::uint64_t bit = std::uint64_t{1} << position % 64;
      if (level > 0 && (w.load(order::set_bit) & bit)) continue;     // read back, and trust it: see the top
      const std::uint64_t before = w.fetch_or(bit, order::set_bit);  // (10)
      if (is_broken<A>(mutant::set_trusts_earlier_setter) && before != 0) return;
    }
  }

  void clear(std::uint32_t position) noexcept {
    word& leaf = levels_[0][position / 64];
    const std::uint64_t bit = std::uint64_t{1} << position % 64;
    if (leaf.fetch_and(~bit, order::clear_bit) != bit) return;  // (11)
    for (unsigned level = 1; level < depth_; ++level) {
      position /= 64;
      word& above = levels_[level][position / 64];
      const std::uint64_t summary = std::uint64_t{1} << position % 64;
      const std::uint64_t before = above.fetch_and(~summary, order::clear_bit);
      if (!is_broken<A>(mutant::summary_without_second_look) &&
          levels_[level - 1][position].load(order::clear_bit) != 0) {
        set_summaries(level, position);
        return;
      }
      if (before != summary) return;
    }
  }

  [[nodiscard]] bool test(std::uint32_t position) const noexcept {
    return levels_[0][position / 64].load(order::set_bit) >> position % 64 & 1;
  }

  /// The first member at or after `from`, below `end`; `none` if there is none.
  [[nodiscard]] std::uint32_t next(std::uint32_t from, std::uint32_t end) const noexcept {
    while (from < end) {
      const std::uint32_t found = next_in_level(0, from);
      if (found == none || found >= end) return none;
      if (test(found)) return found;
      from = found + 1;
    }
    return none;
  }

  /// The last member below `from`, at or after `begin`; `none` if there is none.
  [[nodiscard]] std::uint32_t previous(std::uint32_t from, std::uint32_t begin) const noexcept {
    while (from > begin) {
      const std::uint32_t found = previous_in_level(0, from);
      if (found == none || found < begin) return none;
      if (test(found)) return found;
      from = found;
    }
    return none;
  }

 private:
  using word = typename A::template atomic<std::uint64_t>;
  static constexpr unsigned max_depth = 5;  // 64^5 > 2^29 positions

  [[nodiscard]] static constexpr std::uint32_t words_for(std::uint32_t bits) noexcept {
    return bits == 0 ? 1 : (bits - 1) / 64 + 1;
  }

  void set_summaries(unsigned level, std::uint32_t position) noexcept {
    for (; level < depth_; ++level, position /= 64) {
      word& w = levels_[level][position / 64];
      const std::uint64_t bit = std::uint64_t{1} << position % 64;
      if (!(w.load(order::set_bit) & bit)) w.fetch_or(bit, order::set_bit);
    }
  }

  /// First set bit of a level at or after `from`. Goes up where the word is exhausted, then down again.
  [[nodiscard]] std::uint32_t next_in_level(unsigned level, std::uint32_t from) const noexcept {
    const std::uint32_t limit = level_size(level);
    while (from < limit) {
      const std::uint64_t here = levels_[level][from / 64].load(order::set_bit) >> from % 64;
      if (here != 0) return from + static_cast<std::uint32_t>(std::countr_zero(here));
      if (level + 1 == depth_) {
        from = (from / 64 + 1) * 64;
        continue;
      }
      const std::uint32_t summary = next_in_level(level + 1, from / 64 + 1);
      if (summary == none) return none;
      from = summary * 64;
    }
    return none;
  }

  /// Last set bit of a level below `from`.
  [[nodiscard]] std::uint32_t previous_in_level(unsigned level, std::uint32_t from) const noexcept {
    while (from > 0) {
      const std::uint32_t last = from - 1;
      const std::uint64_t here = levels_[level][last / 64].load(order::set_bit) << (63 - last % 64);
      if (here != 0) return last - static_cast<std::uint32_t>(std::countl_zero(here));
      if (level + 1 == depth_) {
        from = last / 64 * 64;
        continue;
      }
      const std::uint32_t summary = previous_in_level(level + 1, last / 64);
      if (summary == none) return none;
      from = (summary + 1) * 64;
    }
    return none;
  }

  [[nodiscard]] std::uint32_t level_size(unsigned level) const noexcept {
    std::uint32_t bits = size_;
    for (; level > 0; --level) bits = words_for(bits);
    return bits;
  }

  std::uint32_t size_;
  unsigned depth_ = 0;
  std::array<std::unique_ptr<word[]>, max_depth> levels_;
};

}  // namespace pinrail::core
