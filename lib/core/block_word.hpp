// W, the block word: who holds a block and what state it is in, in one 64-bit atomic.
//
//   bits 0-19    pins           uses in progress, and demanders that wait for the load
//   bits 20-31   protections    block guards (protect_blocks)
//   bit  32      resident       the bytes are on the device, or ordered to be by the block's ready ticket
//   bit  33      claim          an evictor looks at the block; any pin, protection or look takes this away
//   bit  34      loading        one thread owns the block's fields: it loads or moves the block
//   bit  35      dirty          the device has newer bytes than the source
//   bit  36      writing back   a copy to the host is under way
//   bit  37      moving         the owner of `loading` moves the block: the bytes stay on the device
//   bits 40-63   version        counts claims and moves
//
// A block is absent (no state bit), loading, or resident; never two of them.
//
// Invariants:
//   W1  A resident block with pins > 0 keeps its extent and stays resident.
//   W2  An eviction takes effect at its read of the runtime word, and only if nothing pinned, protected or
//       looked at the block between its claim and its end (`take`).
//   W3  The fields of a block (extent, ready ticket, last uses) are written only by the owner of `loading`, and
//       by pinners where the field is an atomic; an evictor reads them between claim and `take`.
//   W4  A dirty block, or one being written back, is never claimed.
//   W5  A write-back begins only while no one holds the block. So a holder that looks and finds none under way may
//       change the bytes until it lets go.
//
// Pins on a block that is not resident hold nothing; they say that someone waits, and count from the moment of
// `publish`, so a block that was loaded for a waiter can't be evicted before the waiter has it.
//
// Progress: pin, unpin, protect, unprotect, publish, mark_dirty are wait-free (at most two read-modify-writes);
// claim, take, begin_load are one compare-exchange that may fail; begin_load loops while only pins change it.
#pragma once

#include <cstdint>

#include "core/atomic.hpp"

namespace pinrail::core {

/// A value of the block word.
class block_bits {
 public:
  static constexpr std::uint64_t one_pin = 1;
  static constexpr std::uint64_t pin_mask = (std::uint64_t{1} << 20) - 1;
  static constexpr std::uint64_t too_many_pins = std::uint64_t{1} << 19;
  static constexpr std::uint64_t one_protection = std::uint64_t{1} << 20;
  static constexpr std::uint64_t protection_mask = std::uint64_t{0xfff} << 20;
  static constexpr std::uint64_t too_many_protections = std::uint64_t{1} << 31;
  static constexpr std::uint64_t resident_bit = std::uint64_t{1} << 32;
  static constexpr std::uint64_t claim_bit = std::uint64_t{1} << 33;
  static constexpr std::uint64_t loading_bit = std::uint64_t{1} << 34;
  static constexpr std::uint64_t dirty_bit = std::uint64_t{1} << 35;
  static constexpr std::uint64_t writing_back_bit = std::uint64_t{1} << 36;
  static constexpr std::uint64_t moving_bit = std::uint64_t{1} << 37;
  static constexpr std::uint64_t one_version = std::uint64_t{1} << 40;

  constexpr block_bits() = default;
  constexpr explicit block_bits(std::uint64_t packed) noexcept : packed_(packed) {}

  [[nodiscard]] constexpr std::uint64_t packed() const noexcept { return packed_; }
  [[nodiscard]] constexpr std::uint32_t pins() const noexcept { return static_cast<std::uint32_t>(packed_ & pin_mask); }
  [[nodiscard]] constexpr std::uint32_t protections() const noexcept {
    return static_cast<std::uint32_t>((packed_ & protection_mask) >> 20);
  }
  [[nodiscard]] constexpr bool resident() const noexcept { return packed_ & resident_bit; }
  [[nodiscard]] constexpr bool claimed() const noexcept { return packed_ & claim_bit; }
  [[nodiscard]] constexpr bool loading() const noexcept { return packed_ & loading_bit; }
  [[nodiscard]] constexpr bool absent() const noexcept { return !(packed_ & (resident_bit | loading_bit)); }
  [[nodiscard]] constexpr bool dirty() const noexcept { return packed_ & dirty_bit; }
  [[nodiscard]] constexpr bool writing_back() const noexcept { return packed_ & writing_back_bit; }

  /// May be claimed, as far as the block itself goes.
  [[nodiscard]] constexpr bool evictable() const noexcept {
    constexpr std::uint64_t forbidden =
        pin_mask | protection_mask | claim_bit | loading_bit | dirty_bit | writing_back_bit;
    return (packed_ & (resident_bit | forbidden)) == resident_bit;
  }
  /// Belongs in the candidate bits: pins and claims pass too quickly to be kept there.
  [[nodiscard]] constexpr bool candidate() const noexcept { return resident() && protections() == 0; }

 private:
  std::uint64_t packed_ = 0;
};

enum class pin_outcome : std::uint8_t {
  held,     ///< resident, and stays so until unpin
  waiting,  ///< not resident; the pin counts once the block is published; unpin to give up
  refused,  ///< 2^19 pins on one block: nothing was pinned
};

template <class A>
class block_word {
 public:
  using bits = block_bits;

  [[nodiscard]] bits load() const noexcept { return bits(word_.load(order::look)); }

  // ---- users ----------------------------------------------------------------------------------------------

  [[nodiscard]] pin_outcome pin() noexcept {
    const std::uint64_t seen = word_.fetch_add(bits::one_pin, order::pin);  // (2)
    if ((seen & (bits::resident_bit | bits::claim_bit | bits::too_many_pins)) == bits::resident_bit) [[likely]]
      return pin_outcome::held;
    return pin_slowly(seen);
  }

  void unpin() noexcept {
    word_.fetch_sub(bits::one_pin, is_broken<A>(mutant::unpin_relaxed) ? order::relaxed : order::unpin);  // (3)
  }

  /// Marks the block as changed on the device. The caller holds a pin, and changed nothing during a write-back (W5).
  void mark_dirty() noexcept { word_.fetch_or(bits::dirty_bit, order::unpin); }

  /// Returns what was seen, or nothing changed and `refused` at 2^11 protections.
  [[nodiscard]] bool protect(bits& seen) noexcept {
    seen = bits(word_.fetch_add(bits::one_protection, order::pin));
    if (seen.claimed() && !is_broken<A>(mutant::protect_keeps_claim)) word_.fetch_and(~bits::claim_bit, order::pin);
    if (!(seen.packed() & bits::too_many_protections)) return true;
    word_.fetch_sub(bits::one_protection, order::unpin);
    return false;
  }
  bits unprotect() noexcept { return bits(word_.fetch_sub(bits::one_protection, order::unpin)); }

  /// Is the block resident now, such that no eviction that began before this look can still succeed? Under a
  /// guard of the block's runtime the answer "yes" holds until the guard ends; moves don't change it.
  [[nodiscard]] bool seen_resident() noexcept {
    std::uint64_t seen = word_.load(order::look);  // (7)
    while (seen & bits::claim_bit && !is_broken<A>(mutant::look_keeps_claim)) {
      if (word_.compare_exchange_weak(seen, seen & ~bits::claim_bit, order::claim, order::look)) break;
    }
    return seen & (bits::resident_bit | (is_broken<A>(mutant::move_hides_block) ? 0 : bits::moving_bit));
  }

  // ---- evictors -------------------------------------------------------------------------------------------

  /// Step 1. `seen` was loaded and is evictable. On success `seen` becomes the claimed value.
  [[nodiscard]] bool claim(bits& seen) noexcept {
    std::uint64_t expected = seen.packed();
    constexpr std::uint64_t one_version = is_broken<A>(mutant::claim_keeps_version) ? 0 : bits::one_version;
    const std::uint64_t claimed = (expected | bits::claim_bit) + one_version;
    if (!word_.compare_exchange_strong(expected, claimed, order::claim, order::look)) return false;  // (4)
    seen = bits(claimed);
    return true;
  }
  /// Step 2 refused: gives the claim back, if it is still there.
  void unclaim(bits claimed) noexcept {
    std::uint64_t expected = claimed.packed();
    word_.compare_exchange_strong(expected, expected & ~bits::claim_bit, order::claim, order::look);
  }
  /// Step 3. On success the block is absent, and what the evictor read since `claim` is its own.
  [[nodiscard]] bool take(bits claimed) noexcept {
    std::uint64_t expected = claimed.packed();
    return word_.compare_exchange_strong(expected, expected & ~(bits::claim_bit | bits::resident_bit), order::claim,
                                         order::look);  // (8)
  }

  // ---- loaders and movers ---------------------------------------------------------------------------------

  /// absent -> loading; exactly one caller wins. Fails if the block is resident or loading.
  [[nodiscard]] bool begin_load() noexcept {
    std::uint64_t seen = word_.load(order::look);
    if constexpr (is_broken<A>(mutant::begin_load_in_two_steps)) {
      if (bits(seen).absent()) word_.fetch_or(bits::loading_bit, order::begin_load);
      return bits(seen).absent();
    }
    while (bits(seen).absent()) {
      if (word_.compare_exchange_weak(seen, seen | bits::loading_bit, order::begin_load, order::acquire))  // (9)
        return true;
    }
    return false;
  }
  /// resident, clean and unpinned -> loading, for a move within the arena. Protections don't matter: the bytes
  /// stay. Dirty blocks are written back first: a move that fails half way loses the bytes.
  [[nodiscard]] bool begin_move() noexcept {
    std::uint64_t seen = word_.load(order::look);
    constexpr std::uint64_t forbidden = (is_broken<A>(mutant::move_ignores_pins) ? 0 : bits::pin_mask) |
                                        bits::claim_bit | bits::loading_bit | bits::dirty_bit | bits::writing_back_bit;
    while ((seen & (bits::resident_bit | forbidden)) == bits::resident_bit) {
      const std::uint64_t moving =
          ((seen & ~bits::resident_bit) | bits::loading_bit | bits::moving_bit) + bits::one_version;
      if (word_.compare_exchange_weak(seen, moving, order::claim, order::look)) return true;  // (9)
    }
    return false;
  }
  /// loading -> resident. Everything a user needs was written before. Returns what the word became.
  bits publish() noexcept {
    const std::uint64_t change = bits::resident_bit - owned();
    constexpr auto published = is_broken<A>(mutant::publish_relaxed) ? order::relaxed : order::publish;
    return bits(word_.fetch_add(change, published) + change);  // (1), (8)
  }
  /// loading -> absent, after a failure.
  void abandon_load() noexcept { word_.fetch_sub(owned(), order::end_load); }  // (8)

  // ---- write-back -----------------------------------------------------------------------------------------

  /// dirty -> writing back, if no one holds the block (W5). What is dirtied from here on is dirty again.
  [[nodiscard]] bool begin_write_back() noexcept {
    std::uint64_t seen = word_.load(order::look);
    constexpr std::uint64_t forbidden = (is_broken<A>(mutant::write_back_ignores_pins) ? 0 : bits::pin_mask) |
                                        bits::claim_bit | bits::loading_bit | bits::writing_back_bit;
    constexpr std::uint64_t needed = bits::resident_bit | bits::dirty_bit;
    while ((seen & (needed | forbidden)) == needed) {
      const std::uint64_t dirty = is_broken<A>(mutant::write_back_cleans_at_end) ? seen & bits::dirty_bit : 0;
      const std::uint64_t next = (seen & ~bits::dirty_bit) | dirty | bits::writing_back_bit;
      if (word_.compare_exchange_weak(seen, next, order::begin_load, order::acquire)) return true;
    }
    return false;
  }
  /// Ends a write-back; after a failed one the block is dirty again, before it could be seen clean.
  void end_write_back(bool succeeded) noexcept {
    if constexpr (is_broken<A>(mutant::write_back_cleans_at_end)) {
      word_.fetch_and(~(bits::writing_back_bit | bits::dirty_bit), order::end_load);
      return;
    }
    if constexpr (is_broken<A>(mutant::failed_write_back_cleans)) {
      word_.fetch_and(~bits::writing_back_bit, order::end_load);
      if (!succeeded) word_.fetch_or(bits::dirty_bit, order::end_load);
      return;
    }
    if (!succeeded) word_.fetch_or(bits::dirty_bit, order::end_load);
    word_.fetch_and(~bits::writing_back_bit, order::end_load);
  }

 private:
  /// The bits that the owner of `loading` has set; no one else changes them.
  [[nodiscard]] std::uint64_t owned() const noexcept {
    return word_.load(order::relaxed) & (bits::loading_bit | bits::moving_bit);
  }

  [[nodiscard]] pin_outcome pin_slowly(std::uint64_t seen) noexcept {
    if (seen & bits::claim_bit && !is_broken<A>(mutant::pin_keeps_claim)) word_.fetch_and(~bits::claim_bit, order::pin);
    if (!(seen & bits::too_many_pins)) return seen & bits::resident_bit ? pin_outcome::held : pin_outcome::waiting;
    word_.fetch_sub(bits::one_pin, order::unpin);
    return pin_outcome::refused;
  }

  typename A::template atomic<std::uint64_t> word_{0};
};

}  // namespace pinrail::core
