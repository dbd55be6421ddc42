// What the bytes of a block are, by the block and the version: any mix-up of blocks, and stale or poisoned bytes, show.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace pinrail::fuzz {

class block_contents {
 public:
  explicit block_contents(std::uint64_t key) noexcept : key_(key) {}

  void write(std::span<std::byte> to, std::uint32_t version) const noexcept {
    for (std::size_t at = 0; at < to.size(); at += 8) {
      const std::uint64_t word = word_at(at, version);
      std::memcpy(to.data() + at, &word, std::min<std::size_t>(8, to.size() - at));
    }
  }
  [[nodiscard]] bool match(std::span<const std::byte> bytes, std::uint32_t version) const noexcept {
    for (std::size_t at = 0; at < bytes.size(); at += 8) {
      const std::uint64_t word = word_at(at, version);
      if (std::memcmp(bytes.data() + at, &word, std::min<std::size_t>(8, bytes.size() - at)) != 0) return false;
    }
    return true;
  }

 private:
  [[nodiscard]] std::uint64_t word_at(std::size_t at, std::uint32_t version) const noexcept {
    std::uint64_t x = (key_ << 32 | version) + at * 0x9e3779b97f4a7c15;  // splitmix64
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
  }

  std::uint64_t key_;
};

}  // namespace pinrail::fuzz
