// Models of known bytes in host memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "pinrail/model.hpp"

namespace pinrail::test {

/// Blocks whose bytes follow from (seed, block), so that any mix-up of blocks, or stale or poisoned bytes, shows.
class host_model {
 public:
  host_model(const std::vector<std::uint64_t>& sizes_bytes, std::uint64_t seed) {
    for (std::size_t b = 0; b < sizes_bytes.size(); ++b) {
      bytes_.emplace_back(sizes_bytes[b]);
      std::mt19937_64 random(seed * 1000003 + b);
      std::size_t at = 0;
      for (; at + 8 <= bytes_[b].size(); at += 8) {
        const std::uint64_t word = random();
        std::memcpy(bytes_[b].data() + at, &word, 8);
      }
      for (; at < bytes_[b].size(); ++at) bytes_[b][at] = static_cast<std::byte>(random());
    }
  }
  host_model(std::size_t blocks, std::uint64_t size_bytes, std::uint64_t seed)
      : host_model(std::vector<std::uint64_t>(blocks, size_bytes), seed) {}

  [[nodiscard]] pinrail::model model(const memory_options& options = {.pinned = true}) {
    std::vector<memory_block> blocks;
    for (std::size_t b = 0; b < bytes_.size(); ++b) blocks.push_back({"block." + std::to_string(b), bytes_[b]});
    return model_from_memory(blocks, options);
  }

  [[nodiscard]] std::vector<std::byte>& block(std::size_t b) { return bytes_[b]; }
  [[nodiscard]] std::size_t size() const { return bytes_.size(); }

 private:
  std::vector<std::vector<std::byte>> bytes_;
};

}  // namespace pinrail::test
