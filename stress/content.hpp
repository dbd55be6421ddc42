// What blocks contain: words that follow from a key and their place, so that another block, an older version, a
// shifted copy, poison, and a write that is half there all show.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "dice.hpp"

namespace stress {

/// The key of a version of a block. `owner` is unique among all blocks of a round.
[[nodiscard]] constexpr std::uint64_t content_key(std::uint64_t owner, std::uint64_t version) noexcept {
  return mixed(mixed(owner) ^ version);
}

void write_content(std::span<std::byte> to, std::uint64_t key) noexcept;

/// The offset of the first byte that differs from the content of `key`.
[[nodiscard]] std::optional<std::uint64_t> first_difference(std::span<const std::byte> data,
                                                            std::uint64_t key) noexcept;

/// Does the part around `offset` (a multiple of 8) have the content of `key`?
[[nodiscard]] bool looks_like(std::span<const std::byte> data, std::uint64_t offset, std::uint64_t key) noexcept;
[[nodiscard]] bool looks_poisoned(std::span<const std::byte> data, std::uint64_t offset) noexcept;

}  // namespace stress
