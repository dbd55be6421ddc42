// Page-locked blocks of one size, for models.
#pragma once

#include <vector>

#include "common/fingerprint.hpp"
#include "cuda.hpp"
#include "pinrail/pinrail.hpp"

namespace gpu {

class model_blocks {
 public:
  model_blocks(std::uint32_t count, std::uint64_t size_bytes) : size_bytes_(size_bytes), memory_(count * size_bytes) {
    for (std::uint32_t b = 0; b < count; ++b)
      blocks_.push_back({fmt::format("block.{}", b), {memory_.get() + b * size_bytes, size_bytes}});
  }
  /// Gives the blocks words that follow from the seed, and remembers their fingerprints.
  void fill(std::uint64_t seed) {
    for (const auto& b : blocks_)
      fingerprints_.push_back(examples::fill_words(b.bytes.data(), size_bytes_, seed + fingerprints_.size()));
  }
  [[nodiscard]] std::uint64_t fingerprint(pinrail::block_index b) const { return fingerprints_[b]; }
  [[nodiscard]] const std::byte* block(pinrail::block_index b) const { return blocks_[b].bytes.data(); }
  [[nodiscard]] std::uint32_t count() const { return static_cast<std::uint32_t>(blocks_.size()); }
  [[nodiscard]] std::uint64_t size_bytes() const { return size_bytes_; }
  [[nodiscard]] pinrail::model model(bool writable = false) const {
    return pinrail::model_from_memory(blocks_, {.pinned = true, .writable = writable});
  }

 private:
  std::uint64_t size_bytes_;
  pinned_memory memory_;
  std::vector<pinrail::memory_block> blocks_;
  std::vector<std::uint64_t> fingerprints_;
};

}  // namespace gpu
