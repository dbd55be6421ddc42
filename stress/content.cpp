#include "content.hpp"

#include <algorithm>
#include <cstring>

namespace stress {
namespace {

constexpr std::uint64_t word_bytes = sizeof(std::uint64_t);
constexpr std::byte poison{0xDB};  // what an emulated device puts over discarded bytes

constexpr std::uint64_t word_at(std::uint64_t key, std::uint64_t index) noexcept {
  return key + index * 0x9e3779b97f4a7c15;
}

/// The part of a word that lies within `size_bytes`.
std::uint64_t part_bytes(std::uint64_t offset, std::uint64_t size_bytes) noexcept {
  return std::min(word_bytes, size_bytes - offset);
}

}  // namespace

void write_content(std::span<std::byte> to, std::uint64_t key) noexcept {
  for (std::uint64_t offset = 0; offset < to.size(); offset += word_bytes) {
    const std::uint64_t word = word_at(key, offset / word_bytes);
    std::memcpy(to.data() + offset, &word, part_bytes(offset, to.size()));
  }
}

std::optional<std::uint64_t> first_difference(std::span<const std::byte> data, std::uint64_t key) noexcept {
  for (std::uint64_t offset = 0; offset < data.size(); offset += word_bytes)
    if (!looks_like(data, offset, key)) return offset;
  return std::nullopt;
}

bool looks_like(std::span<const std::byte> data, std::uint64_t offset, std::uint64_t key) noexcept {
  const std::uint64_t expected = word_at(key, offset / word_bytes);
  return std::memcmp(data.data() + offset, &expected, part_bytes(offset, data.size())) == 0;
}

bool looks_poisoned(std::span<const std::byte> data, std::uint64_t offset) noexcept { return data[offset] == poison; }

}  // namespace stress
