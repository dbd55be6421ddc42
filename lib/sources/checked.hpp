// Arithmetic on sizes that come from files and callers: an overflow is a value, never a wrapped number.
#pragma once

#include <cstdint>
#include <optional>

namespace pinrail::sources {

/// What direct reads are aligned to, in the file and in memory, and so what slabs are aligned to.
inline constexpr std::uint64_t page_bytes = 4096;

[[nodiscard]] constexpr std::optional<std::uint64_t> checked_add(std::uint64_t a, std::uint64_t b) noexcept {
  const std::uint64_t sum = a + b;
  return sum < a ? std::nullopt : std::optional(sum);
}

[[nodiscard]] constexpr std::optional<std::uint64_t> checked_multiply(std::uint64_t a, std::uint64_t b) noexcept {
  if (b != 0 && a > UINT64_MAX / b) return std::nullopt;
  return a * b;
}

/// `alignment` is a power of two, here and below.
[[nodiscard]] constexpr std::uint64_t align_down(std::uint64_t value, std::uint64_t alignment) noexcept {
  return value & ~(alignment - 1);
}

[[nodiscard]] constexpr std::optional<std::uint64_t> checked_align_up(std::uint64_t value,
                                                                      std::uint64_t alignment) noexcept {
  const std::optional<std::uint64_t> above = checked_add(value, alignment - 1);
  return above ? std::optional(align_down(*above, alignment)) : std::nullopt;
}

/// For values that are known to be far from the end of the range: file offsets, slab sizes.
[[nodiscard]] constexpr std::uint64_t align_up(std::uint64_t value, std::uint64_t alignment) noexcept {
  return align_down(value + alignment - 1, alignment);
}

}  // namespace pinrail::sources
