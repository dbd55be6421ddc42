// Orders: how far away the next use of a block is.
//
// A walk is one pass over a runtime's blocks: how many positions of it are done, in which direction it goes, and
// in which direction the next one is expected to go. Rank r of a position is when a walk in that direction comes
// by it: p going forward, n - 1 - p in reverse. A position that is not done yet is `rank - done` uses away; a
// done one waits for the rest of this walk and then for its rank in the next.
//
// So, by distance, the done positions come first, by falling rank in the next walk, then the others, by falling
// rank in this one: two intervals of positions, each searched in one direction. This makes the best victim of a
// walk the first candidate bit of at most two searches, whatever the number of blocks; a step of the cursor
// changes no score.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/bitset.hpp"

namespace pinrail::core {

enum class heading : std::uint8_t { forward, reverse };

struct walk {
  std::uint32_t length = 0;  ///< positions in the order
  std::uint32_t done = 0;    ///< positions already used, 0 to length
  heading now = heading::forward;
  heading next = heading::forward;  ///< of the walk that is expected to follow

  [[nodiscard]] static constexpr std::uint32_t rank(std::uint32_t position, std::uint32_t length, heading h) noexcept {
    return h == heading::forward ? position : length - 1 - position;
  }
  /// The position of a rank; ranks and positions swap the same way.
  [[nodiscard]] std::uint32_t position_at(std::uint32_t uses_ahead) const noexcept {
    const std::uint64_t at = std::uint64_t{done} + uses_ahead;
    if (at < length) return rank(static_cast<std::uint32_t>(at), length, now);
    return rank(static_cast<std::uint32_t>(at - length) % length, length, next);
  }
  /// No block is needed later than this many uses away.
  [[nodiscard]] std::uint32_t farthest() const noexcept {
    if (length == 0) return 0;
    return now == next ? length - 1 : 2 * length - done - 1;
  }
  /// Uses before `position` is needed: 0 for the one that comes next.
  [[nodiscard]] std::uint32_t distance(std::uint32_t position) const noexcept {
    const std::uint32_t r = rank(position, length, now);
    return r >= done ? r - done : length - done + rank(position, length, next);
  }
};

/// Lists the members of a bitset by falling distance from a walk's cursor.
template <class A>
class farthest_first {
 public:
  farthest_first(const bitset<A>& members, const walk& w) noexcept : members_(members), walk_(w) {
    const std::uint32_t split = w.now == heading::forward ? w.done : w.length - w.done;
    // Positions below and at or above the split; the done ones are on the side the walk came from.
    if (w.now == heading::forward) {
      done_ = {0, split, w.next};
      ahead_ = {split, w.length, w.now};
    } else {
      done_ = {split, w.length, w.next};
      ahead_ = {0, split, w.now};
    }
  }

  /// The next member, or `bitset::none` after the last.
  [[nodiscard]] std::uint32_t next() noexcept {
    const std::uint32_t found = step(done_);
    return found != bitset<A>::none ? found : step(ahead_);
  }

 private:
  struct interval {
    std::uint32_t begin = 0;
    std::uint32_t end = 0;
    heading towards = heading::forward;  ///< the walk that will come by: its far end is searched first
  };

  std::uint32_t step(interval& i) noexcept {
    if (i.begin >= i.end) return bitset<A>::none;
    const std::uint32_t found =
        i.towards == heading::forward ? members_.previous(i.end, i.begin) : members_.next(i.begin, i.end);
    if (found == bitset<A>::none) {
      i.begin = i.end;
    } else if (i.towards == heading::forward) {
      i.end = found;
    } else {
      i.begin = found + 1;
    }
    return found;
  }

  const bitset<A>& members_;
  walk walk_;
  interval done_, ahead_;
};

/// A given list of blocks as an order. Blocks may come several times or not at all. Immutable.
class list_order {
 public:
  /// `blocks` are positions in the runtime, each below `runtime_length`.
  list_order(std::vector<std::uint32_t> blocks, std::uint32_t runtime_length)
      : blocks_(std::move(blocks)), begin_(runtime_length + 1, 0) {
    for (const std::uint32_t b : blocks_) ++begin_[b + 1];
    contains_all_ = std::find(begin_.begin() + 1, begin_.end(), 0u) == begin_.end();
    for (std::uint32_t b = 0; b < runtime_length; ++b) begin_[b + 1] += begin_[b];
    places_.resize(blocks_.size());
    std::vector<std::uint32_t> at(begin_.begin(), begin_.end() - 1);
    for (std::uint32_t i = 0; i < blocks_.size(); ++i) places_[at[blocks_[i]]++] = i;
  }

  [[nodiscard]] std::uint32_t length() const noexcept { return static_cast<std::uint32_t>(blocks_.size()); }
  [[nodiscard]] std::uint32_t block_at(std::uint32_t place) const noexcept { return blocks_[place % length()]; }
  [[nodiscard]] bool contains(std::uint32_t block) const noexcept { return begin_[block] != begin_[block + 1]; }
  /// Does every block of the runtime come?
  [[nodiscard]] bool contains_all() const noexcept { return contains_all_; }

  /// Uses before `block` is needed, with `done` places of the list behind; the list repeats. The block must be
  /// in the list.
  [[nodiscard]] std::uint32_t distance(std::uint32_t block, std::uint32_t done) const noexcept {
    const auto first = places_.begin() + begin_[block];
    const auto last = places_.begin() + begin_[block + 1];
    const auto place = std::lower_bound(first, last, done);
    return place != last ? *place - done : length() - done + *first;
  }

 private:
  std::vector<std::uint32_t> blocks_;
  std::vector<std::uint32_t> begin_;   // places_ of block b: [begin_[b], begin_[b + 1])
  std::vector<std::uint32_t> places_;  // rising within a block
  bool contains_all_ = false;
};

}  // namespace pinrail::core
