// Victim selection: the block with the largest (estimated time to next use x bytes) that the requester may take.
//
// Idle runtimes (no live pass) come first, least recently used first; within one, the block that a new pass
// would reach last. Runtimes with live passes are compared by time x bytes, where the time is the distance to
// the nearest live cursor times that pass's measured pace.
//
// Per pass and size class the best victim is the first acceptable candidate bit behind the cursor (walk.hpp). In
// lists, and where sizes share a class, the search goes on while a larger block that is needed sooner can still win.
// With several forward passes that is exact: between two cursors the nearest-cursor distance grows with the
// position, so the best block of each gap is the last before a cursor. With mixed headings it is a heuristic.
// Blocks in no list of a listed pass count as farthest. Data-dependent passes give no distance: how far a block is is
// estimated from its uses (reuse.hpp), for every candidate up to 512 of them.
//
// Everything here reads hints; `evict` (claim.hpp) decides. Progress: wait-free, bounded by the number of
// candidates stepped over.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "core/runtime_blocks.hpp"

namespace pinrail::core {

struct score {
  bool idle = false;
  std::uint64_t idle_since_ns = 0;
  double value = 0;  ///< time (ns) x pages; for idle runtimes: distance x pages

  [[nodiscard]] friend bool operator<(const score& a, const score& b) noexcept {
    if (a.idle != b.idle) return b.idle;
    if (a.idle && a.idle_since_ns != b.idle_since_ns) return a.idle_since_ns > b.idle_since_ns;
    return a.value < b.value;
  }
};

struct victim {
  std::uint32_t runtime = 0;
  std::uint32_t position = 0;
  std::uint64_t pages = 0;
  score worth;
};

struct selection_limits {
  /// Prefetch: victims of live runtimes must be needed later than this.
  double later_than_ns = 0;
  /// Last resort of demand loads: blocks in the near window of passes that wait for another block.
  bool waiting_windows = false;
};

/// Collects the best victim over the runtimes it is shown. Lives on the stack of one thread, inside the gate.
template <class A>
class selection {
 public:
  explicit selection(const selection_limits& limits = {}) noexcept : limits_(limits) {}

  [[nodiscard]] const std::optional<victim>& best() const noexcept { return best_; }
  /// A block that would have been a victim but is dirty: to be written back.
  [[nodiscard]] const std::optional<victim>& best_dirty() const noexcept { return best_dirty_; }

  /// Looks at the heads: a handful of loads at any number of blocks.
  void consider(std::uint32_t runtime, runtime_blocks<A>& blocks) noexcept {
    read_passes(blocks);
    if (views_ == 0) return consider_walk(runtime, blocks, blocks.parked(), score{true, blocks.idle_since_ns(), 1});
    for (std::size_t i = 0; i < views_; ++i) {
      const auto& v = view_[i];
      if (v.cursor.kind == pass_kind::ordered) {
        consider_walk(runtime, blocks, walk_of(v, blocks), score{false, 0, pace_of(v)});
      } else if (v.cursor.kind == pass_kind::listed) {
        consider_list(runtime, blocks, v);
      } else {
        consider_estimates(runtime, blocks);
      }
    }
  }

  /// Looks at these blocks only: those that a plan streams.
  void consider_these(std::uint32_t runtime, runtime_blocks<A>& blocks,
                      std::span<const std::uint32_t> positions) noexcept {
    read_passes(blocks);
    for (const std::uint32_t p : positions) offer(runtime, blocks, p);
  }

  /// Looks at every block: for who is about to say that there is no victim. A look takes claims away, so that an
  /// evictor that was stopped keeps no block from the others.
  void consider_all(std::uint32_t runtime, runtime_blocks<A>& blocks) noexcept {
    read_passes(blocks);
    for (std::uint32_t p = 0; p < blocks.size(); ++p) {
      auto& word = blocks.at(p).word;
      if (word.load().claimed()) (void)word.seen_resident();
      offer(runtime, blocks, p);
    }
  }

  /// The worth of one block, or nothing if it is no victim now. Call `read_passes` of its runtime first.
  [[nodiscard]] std::optional<score> worth_of(const runtime_blocks<A>& blocks, std::uint32_t position) const noexcept {
    if (views_ == 0) {
      const double distance = blocks.parked().distance(position) + 1.0;
      return score{true, blocks.idle_since_ns(), distance * static_cast<double>(blocks.pages(position))};
    }
    const double away_ns = time_to_use(blocks, position);
    if (away_ns < 0 || away_ns <= limits_.later_than_ns) return std::nullopt;
    return score{false, 0, away_ns * static_cast<double>(blocks.pages(position))};
  }

  void read_passes(const runtime_blocks<A>& blocks) noexcept {
    views_ = 0;
    if (blocks.live_passes().live() == 0) return;
    blocks.live_passes().for_each([&](const auto& v) {
      if (v.cursor.kind == pass_kind::listed && v.list == nullptr) return;
      view_[views_++] = v;
    });
  }

  /// Nanoseconds until some live pass needs the block; negative if it is in a near window.
  [[nodiscard]] double time_to_use(const runtime_blocks<A>& blocks, std::uint32_t position) const noexcept {
    double nearest = -1;
    for (std::size_t i = 0; i < views_; ++i) {
      const auto& v = view_[i];
      const double uses = distance_in(v, blocks, position);
      const bool window_counts = !(v.cursor.waiting && limits_.waiting_windows);
      if (window_counts && v.cursor.kind != pass_kind::data_dependent && uses < v.cursor.window) return -1;
      const double away_ns = (uses + 1) * pace_of(v);
      if (nearest < 0 || away_ns < nearest) nearest = away_ns;
    }
    return nearest;
  }

 private:
  static constexpr std::size_t estimates_looked_at = 512;
  using pass_view = typename passes<A>::view;

  [[nodiscard]] static walk walk_of(const pass_view& v, const runtime_blocks<A>& blocks) noexcept {
    return {.length = blocks.size(),
            .done = v.cursor.done < blocks.size() ? v.cursor.done : blocks.size(),
            .now = v.cursor.now,
            .next = v.cursor.next};
  }

  [[nodiscard]] static double distance_in(const pass_view& v, const runtime_blocks<A>& blocks,
                                          std::uint32_t position) noexcept {
    switch (v.cursor.kind) {
      case pass_kind::ordered:
        return walk_of(v, blocks).distance(position);
      case pass_kind::listed:
        if (v.list->contains(position)) return v.list->distance(position, v.cursor.done);
        return 2.0 * (v.list->length() + blocks.size());
      case pass_kind::data_dependent:
        break;
    }
    return blocks.reuse().uses_until(position);
  }

  [[nodiscard]] static double pace_of(const pass_view& v) noexcept {
    return static_cast<double>(v.pace_ns != 0 ? v.pace_ns : 1);
  }

  /// The largest size first, so that the others are mostly passed over: nothing in them can be better. `one_page` is
  /// the worth of one page that is needed in one use.
  void consider_walk(std::uint32_t runtime, runtime_blocks<A>& blocks, const walk& w, score one_page) noexcept {
    const double uses = static_cast<double>(w.farthest()) + 1;
    const auto& classes = blocks.bits().classes();
    for (std::size_t i = classes.size(); i > 0; --i) {
      const auto& c = classes[i - 1];
      score bound = one_page;
      bound.value *= uses * static_cast<double>(c.largest_pages);
      if (best_ && !(best_->worth < bound)) return;
      farthest_first<A> order(*c.members, w);
      for (std::uint32_t p = order.next(); p != bitset<A>::none; p = order.next())
        if (settles(runtime, blocks, p, c.largest_pages)) break;
    }
  }

  void consider_list(std::uint32_t runtime, runtime_blocks<A>& blocks, const pass_view& v) noexcept {
    std::uint64_t largest_pages = 0;
    for (const auto& c : blocks.bits().classes()) {
      if (c.members->next(0, blocks.size()) == bitset<A>::none) continue;
      largest_pages = c.largest_pages;
      if (v.list->contains_all()) continue;
      farthest_first<A> order(*c.members, blocks.parked());
      for (std::uint32_t p = order.next(); p != bitset<A>::none; p = order.next()) {
        if (!v.list->contains(p) && settles(runtime, blocks, p, largest_pages)) break;
      }
    }
    // Behind the cursor, the place just passed is the farthest, unless its block comes again sooner: then it is
    // met again at that occurrence.
    const std::uint32_t length = v.list->length();
    for (std::uint32_t back = 1; back <= length; ++back) {
      const std::uint32_t p = v.list->block_at(v.cursor.done % length + length - back);
      if (v.list->distance(p, v.cursor.done % length) != length - back) continue;
      if (settles(runtime, blocks, p, largest_pages)) return;
    }
  }

  /// Looks at every candidate, or, where there are very many, at some from the hand on.
  void consider_estimates(std::uint32_t runtime, runtime_blocks<A>& blocks) noexcept {
    const std::uint32_t size = blocks.size();
    if (size == 0) return;
    const std::uint32_t begin = blocks.hand() % size;
    const auto& classes = blocks.bits().classes();
    for (const auto& c : classes) {
      std::size_t left = estimates_looked_at / classes.size();
      const auto look = [&](std::uint32_t from, std::uint32_t end) {
        std::uint32_t p = c.members->next(from, end);
        for (; p != bitset<A>::none && left > 0; p = c.members->next(p + 1, end), --left) offer(runtime, blocks, p);
        if (p != bitset<A>::none) blocks.move_hand(p);
        return p == bitset<A>::none;
      };
      if (look(begin, size)) look(0, begin);
    }
  }

  enum class offered : std::uint8_t {
    accepted,
    passed_over,  ///< pinned, protected, dirty, or gone
    too_soon,     ///< in a near window, or needed before `later_than_ns`
  };

  /// Offers a block of a search by falling distance. True if none of those to come, of up to so many pages each, can
  /// be better.
  bool settles(std::uint32_t runtime, runtime_blocks<A>& blocks, std::uint32_t position,
               std::uint64_t largest_pages) noexcept {
    switch (offer(runtime, blocks, position)) {
      case offered::passed_over:
        return false;
      case offered::too_soon:
        return views_ == 1;  // those to come are needed sooner still, unless by another pass
      case offered::accepted:
        break;
    }
    if (blocks.pages(position) >= largest_pages) return true;
    score bound = *worth_of(blocks, position);
    bound.value = bound.value / static_cast<double>(blocks.pages(position)) * static_cast<double>(largest_pages);
    return !(best_->worth < bound);
  }

  /// Keeps the block if it is the best so far.
  offered offer(std::uint32_t runtime, runtime_blocks<A>& blocks, std::uint32_t position) noexcept {
    const block_bits w = blocks.at(position).word.load();
    if (!w.candidate()) {
      if (blocks.bits().test(position)) blocks.withdraw(position);
      return offered::passed_over;
    }
    if (!w.evictable() && !(w.dirty() && w.pins() == 0)) return offered::passed_over;
    const auto worth = worth_of(blocks, position);
    if (!worth) return offered::too_soon;
    auto& kept = w.evictable() ? best_ : best_dirty_;
    if (!kept || kept->worth < *worth) kept = victim{runtime, position, blocks.pages(position), *worth};
    return w.evictable() ? offered::accepted : offered::passed_over;
  }

  selection_limits limits_;
  std::array<pass_view, passes<A>::capacity> view_;
  std::size_t views_ = 0;
  std::optional<victim> best_;
  std::optional<victim> best_dirty_;
};

}  // namespace pinrail::core
