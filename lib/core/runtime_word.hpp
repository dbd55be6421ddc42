// R, the runtime word: who forbids the eviction of a runtime's blocks. One per runtime, on its own cache line.
//
//   bits 0-23    guards      keep_resident guards of the whole runtime
//   bit  24      primary     the runtime is reserved primary
//   bit  25      secondary   it is reserved secondary
//   bits 36-63   epoch       of the reservation entry (see reservation_table.hpp), all its bits: a thread that would
//                            set what an old epoch said has slept too long here when it has there
//
// Invariants:
//   R1  guards > 0: no one, the runtime itself included, takes a block of the runtime.
//   R2  primary: no other runtime takes one.
//   R3  secondary: another runtime takes one only for a demand load that found no other victim.
//
// An evictor reads R after its claim and before its take (steps 5 and 6 in atomic.hpp): a guard that returned
// before that read is seen, and the claim is given up.
//
// Progress: guard and unguard are wait-free, one read-modify-write at any number of blocks.
#pragma once

#include <cstdint>

#include "core/atomic.hpp"

namespace pinrail::core {

/// Who asks for a victim.
enum class requester : std::uint8_t {
  owner,          ///< the victim's own runtime
  other,          ///< another runtime
  other_extreme,  ///< another runtime's demand load that found no other victim
};

class runtime_bits {
 public:
  static constexpr std::uint64_t one_guard = 1;
  static constexpr std::uint64_t guard_mask = (std::uint64_t{1} << 24) - 1;
  static constexpr std::uint64_t too_many_guards = std::uint64_t{1} << 23;
  static constexpr std::uint64_t primary_bit = std::uint64_t{1} << 24;
  static constexpr std::uint64_t secondary_bit = std::uint64_t{1} << 25;
  static constexpr unsigned epoch_shift = 36;
  static constexpr std::uint64_t epoch_mask = (std::uint64_t{1} << 28) - 1;

  constexpr runtime_bits() = default;
  constexpr explicit runtime_bits(std::uint64_t packed) noexcept : packed_(packed) {}

  [[nodiscard]] constexpr std::uint64_t packed() const noexcept { return packed_; }
  [[nodiscard]] constexpr std::uint32_t guards() const noexcept {
    return static_cast<std::uint32_t>(packed_ & guard_mask);
  }
  [[nodiscard]] constexpr bool primary() const noexcept { return packed_ & primary_bit; }
  [[nodiscard]] constexpr bool secondary() const noexcept { return packed_ & secondary_bit; }
  [[nodiscard]] constexpr std::uint64_t epoch() const noexcept { return packed_ >> epoch_shift; }

  [[nodiscard]] constexpr bool forbids(requester who) const noexcept {
    if (packed_ & guard_mask) return true;
    if (who == requester::owner) return false;
    return primary() || (secondary() && who != requester::other_extreme);
  }

 private:
  std::uint64_t packed_ = 0;
};

template <class A>
class runtime_word {
 public:
  using bits = runtime_bits;

  [[nodiscard]] bits load() const noexcept { return bits(word_.load(order::read_rules)); }  // (5)

  /// False, and nothing changed, at 2^23 guards.
  [[nodiscard]] bool guard() noexcept {
    if (!(word_.fetch_add(bits::one_guard, order::guard) & bits::too_many_guards)) return true;  // (6)
    unguard();
    return false;
  }
  void unguard() noexcept { word_.fetch_sub(bits::one_guard, order::unpin); }

  /// Sets what a reservation entry says, if the word is still one epoch behind it. Many threads may try; one
  /// succeeds. Lock-free: loops only while guards come and go.
  void follow(bool primary, bool secondary, std::uint64_t epoch) noexcept {
    const std::uint64_t before = (epoch - 1) & bits::epoch_mask;
    std::uint64_t seen = word_.load(order::read_rules);
    while (is_broken<A>(mutant::rules_follow_any_epoch) || bits(seen).epoch() == before) {
      const std::uint64_t next = (seen & bits::guard_mask) | (primary ? bits::primary_bit : 0) |
                                 (secondary ? bits::secondary_bit : 0) |
                                 (epoch & bits::epoch_mask) << bits::epoch_shift;
      if constexpr (is_broken<A>(mutant::rules_lose_guards)) return word_.store(next, order::guard);
      if (word_.compare_exchange_weak(seen, next, order::guard, order::read_rules)) return;
    }
  }

 private:
  alignas(cache_line_bytes) typename A::template atomic<std::uint64_t> word_{0};
};

}  // namespace pinrail::core
