// The live forward passes of one runtime, as victim selection sees them.
//
// A pass occupies a slot. Its cursor is one word, stored by the pass's own thread with a plain store per use and
// read by every selector: hints, so a stale cursor costs a worse victim and never a wrong one.
//
//   bits 0-31  done     places of the order already used
//   bit  32    live
//   bit  33    now      heading of this walk: 1 reverse
//   bit  34    next     heading of the walk that is expected to follow
//   bits 35-36 kind     ordered, listed, data-dependent
//   bit  37    waiting  the pass waits for a block: it gives up its near window until it has it
//   bits 40-47 window   places ahead that are no victims
//
// Progress: open is wait-free over the slots, advance is one store, close two.
#pragma once

#include <array>
#include <cstdint>

#include "core/atomic.hpp"
#include "core/walk.hpp"

namespace pinrail::core {

enum class pass_kind : std::uint8_t { ordered, listed, data_dependent };

/// No default values, so that a selector's array of views costs nothing to make: write `pass_cursor c{}`.
struct pass_cursor {
  std::uint32_t done;
  heading now;
  heading next;
  pass_kind kind;
  bool live;
  bool waiting;
  std::uint8_t window;

  [[nodiscard]] static pass_cursor unpack(std::uint64_t packed) noexcept {
    pass_cursor c{};
    c.done = static_cast<std::uint32_t>(packed);
    c.live = packed >> 32 & 1;
    c.now = static_cast<heading>(packed >> 33 & 1);
    c.next = static_cast<heading>(packed >> 34 & 1);
    c.kind = static_cast<pass_kind>(packed >> 35 & 3);
    c.waiting = packed >> 37 & 1;
    c.window = static_cast<std::uint8_t>(packed >> 40);
    return c;
  }
  [[nodiscard]] std::uint64_t pack() const noexcept {
    return done | std::uint64_t{live} << 32 | static_cast<std::uint64_t>(now) << 33 |
           static_cast<std::uint64_t>(next) << 34 | static_cast<std::uint64_t>(kind) << 35 |
           std::uint64_t{waiting} << 37 | std::uint64_t{window} << 40;
  }
};

template <class A>
class passes {
 public:
  static constexpr std::uint32_t capacity = 64;
  static constexpr std::uint32_t none = UINT32_MAX;

  struct alignas(cache_line_bytes) slot {
    typename A::template atomic<std::uint64_t> cursor{0};
    typename A::template atomic<std::uint64_t> pace_ns{0};  ///< time per use, measured
    typename A::template atomic<const list_order*> list{nullptr};
    typename A::template atomic<std::uint32_t> taken{0};
  };

  /// Takes a slot and shows the pass in it; `none` when all are taken.
  [[nodiscard]] std::uint32_t open(const pass_cursor& start, const list_order* list, std::uint64_t pace_ns) noexcept {
    for (std::uint32_t i = 0; i < capacity; ++i) {
      slot& s = slots_[i];
      if (s.taken.load(order::relaxed) != 0 || s.taken.exchange(1, order::acquire) != 0) continue;
      s.pace_ns.store(pace_ns, order::relaxed);
      s.list.store(list, order::show_list);  // (23)
      s.cursor.store(start.pack(), order::release);
      std::uint32_t seen = high_.load(order::relaxed);
      while (seen < i + 1 && !high_.compare_exchange_weak(seen, i + 1, order::acq_rel, order::relaxed)) {
      }
      live_.fetch_add(1, order::acq_rel);
      return i;
    }
    return none;
  }

  void advance(std::uint32_t index, const pass_cursor& c) noexcept {
    slots_[index].cursor.store(c.pack(), order::release);
  }

  void set_pace(std::uint32_t index, std::uint64_t pace_ns) noexcept {
    slots_[index].pace_ns.store(pace_ns, order::relaxed);
  }

  void close(std::uint32_t index) noexcept {
    slots_[index].cursor.store(0, order::release);
    live_.fetch_sub(1, order::acq_rel);
    slots_[index].taken.store(0, order::release);
  }

  [[nodiscard]] std::uint32_t live() const noexcept { return live_.load(order::acquire); }

  /// A pass as a selector sees it.
  struct view {
    pass_cursor cursor;
    const list_order* list;  ///< valid while the reader is inside the gate
    std::uint64_t pace_ns;
  };

  /// Calls `visit(view)` for each live pass.
  template <class Visit>
  void for_each(Visit&& visit) const noexcept {
    const std::uint32_t end = high_.load(order::acquire);
    for (std::uint32_t i = 0; i < end; ++i) {
      const slot& s = slots_[i];
      const pass_cursor c = pass_cursor::unpack(s.cursor.load(order::acquire));
      if (!c.live) continue;
      visit(view{c, s.list.load(order::read_list), s.pace_ns.load(order::relaxed)});  // (24)
    }
  }

 private:
  std::array<slot, capacity> slots_{};
  typename A::template atomic<std::uint32_t> high_{0};  ///< slots ever taken, so that few are looked at
  typename A::template atomic<std::uint32_t> live_{0};
};

}  // namespace pinrail::core
