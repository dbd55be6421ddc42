// Tickets: "covered by event k of lane l", and the last uses of a block.
//
// A lane is a sequence of events on one stream, recorded by one thread at a time, so that a later ticket of a
// lane covers every earlier one. A stream has several lanes (see device/timeline.hpp).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/atomic.hpp"

namespace pinrail::core {

/// 16 bits of lane, 48 bits of sequence number from 1. Zero is "no ticket", which reads as complete.
class ticket {
 public:
  static constexpr unsigned sequence_bits = 48;
  static constexpr std::uint64_t sequence_mask = (std::uint64_t{1} << sequence_bits) - 1;

  constexpr ticket() = default;
  constexpr explicit ticket(std::uint64_t packed) noexcept : packed_(packed) {}
  constexpr ticket(std::uint32_t lane, std::uint64_t sequence) noexcept
      : packed_(std::uint64_t{lane} << sequence_bits | sequence) {}

  [[nodiscard]] constexpr std::uint32_t lane() const noexcept {
    return static_cast<std::uint32_t>(packed_ >> sequence_bits);
  }
  [[nodiscard]] constexpr std::uint64_t sequence() const noexcept { return packed_ & sequence_mask; }
  [[nodiscard]] constexpr std::uint64_t packed() const noexcept { return packed_; }
  constexpr explicit operator bool() const noexcept { return packed_ != 0; }
  friend constexpr bool operator==(ticket, ticket) = default;

 private:
  std::uint64_t packed_ = 0;
};

/// The last-use tickets of one block, at most one per lane kept.
///
/// Invariant: every use that has ended is covered by a ticket in a slot, or is complete.
/// Writers hold a pin, so an evictor that took the block (no pins) sees every slot (pair 3 -> 4) and no one
/// writes any more; `clear` and `read` belong to who owns the block then.
/// Progress: wait-free, one pass over the slots.
template <class A>
class last_uses {
 public:
  static constexpr std::size_t capacity = 5;

  /// Notes a use. `is_complete(ticket)` tells which slots may be taken over. Returns false if every slot holds
  /// an incomplete ticket of another lane: the caller then joins two tickets on a stream and calls `replace`.
  template <class IsComplete>
  [[nodiscard]] bool note(ticket used, IsComplete&& is_complete) noexcept {
    for (auto& slot : slots_) {
      std::uint64_t seen = slot.load(order::relaxed);
      if (ticket(seen).lane() != used.lane() || seen == 0) continue;
      while (ticket(seen).lane() == used.lane() && seen != 0) {
        if (ticket(seen).sequence() >= used.sequence()) return true;
        if (slot.compare_exchange_strong(seen, used.packed(), order::relaxed, order::relaxed)) return true;
      }
    }
    for (auto& slot : slots_) {
      std::uint64_t seen = slot.load(order::relaxed);
      if (!is_broken<A>(mutant::note_takes_any_slot) && seen != 0 && !is_complete(ticket(seen))) continue;
      if (slot.compare_exchange_strong(seen, used.packed(), order::relaxed, order::relaxed)) return true;
    }
    return false;
  }

  /// Puts `joined` in the place of `covered`; false if the slot no longer holds it.
  [[nodiscard]] bool replace(std::size_t index, ticket covered, ticket joined) noexcept {
    std::uint64_t expected = covered.packed();
    return slots_[index].compare_exchange_strong(expected, joined.packed(), order::relaxed, order::relaxed);
  }

  [[nodiscard]] ticket read(std::size_t index) const noexcept { return ticket(slots_[index].load(order::relaxed)); }

  void clear() noexcept {
    for (auto& slot : slots_) slot.store(0, order::relaxed);
  }

 private:
  std::array<typename A::template atomic<std::uint64_t>, capacity> slots_{};
};

}  // namespace pinrail::core
