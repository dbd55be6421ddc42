// Tickets that memory must wait for before it is written again.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>

#include "core/ticket.hpp"

namespace pinrail::residency {

using core::ticket;

/// Keeps one ticket per lane: the latest. When it is full, `overflow` says so and the caller joins (see
/// arena::absorb); nothing is dropped.
class fence_set {
 public:
  static constexpr std::size_t capacity = 24;

  /// False if there was no room; the set is unchanged then.
  [[nodiscard]] bool add(ticket t) noexcept {
    if (!t) return true;
    for (ticket& have : std::span(tickets_).first(count_)) {
      if (have.lane() != t.lane()) continue;
      if (have.sequence() < t.sequence()) have = t;
      return true;
    }
    if (count_ == capacity) return false;
    tickets_[count_++] = t;
    return true;
  }
  void clear() noexcept { count_ = 0; }
  void assign(ticket only) noexcept {
    count_ = 0;
    if (only) tickets_[count_++] = only;
  }
  [[nodiscard]] bool empty() const noexcept { return count_ == 0; }
  [[nodiscard]] std::span<const ticket> view() const noexcept { return {tickets_.data(), count_}; }

  /// Drops what is complete.
  template <class IsComplete>
  void prune(IsComplete&& is_complete) noexcept {
    const auto end = std::remove_if(tickets_.begin(), tickets_.begin() + static_cast<std::ptrdiff_t>(count_),
                                    [&](ticket t) { return is_complete(t); });
    count_ = static_cast<std::size_t>(end - tickets_.begin());
  }

 private:
  std::array<ticket, capacity> tickets_{};
  std::size_t count_ = 0;
};

}  // namespace pinrail::residency
