// Chunks of a block whose bytes are simply one after the other.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "sources/checked.hpp"

namespace pinrail::sources {

class linear_chunks {
 public:
  struct range {
    std::uint64_t offset_bytes = 0;
    std::uint64_t size_bytes = 0;
  };

  linear_chunks() = default;
  /// Chunks of 16 MiB. They get larger only where the largest block would need more than 2^32 - 1 of them,
  /// and smaller where no block is that large, so that slabs aren't larger than what they carry.
  explicit linear_chunks(std::uint64_t largest_block_bytes) noexcept {
    const std::uint64_t fewest = largest_block_bytes / std::numeric_limits<std::uint32_t>::max() + 1;
    const std::uint64_t wanted = std::max(fewest, std::min(largest_block_bytes, usual_chunk_bytes));
    chunk_bytes_ = std::max(align_up(wanted, page_bytes), page_bytes);
  }

  [[nodiscard]] std::uint64_t chunk_bytes() const noexcept { return chunk_bytes_; }
  [[nodiscard]] std::uint32_t count(std::uint64_t block_bytes) const noexcept {
    return static_cast<std::uint32_t>(block_bytes / chunk_bytes_ + (block_bytes % chunk_bytes_ != 0 ? 1 : 0));
  }
  /// `chunk` is less than `count(block_bytes)`.
  [[nodiscard]] range at(std::uint64_t block_bytes, std::uint32_t chunk) const noexcept {
    const std::uint64_t offset = chunk * chunk_bytes_;
    return {offset, std::min(chunk_bytes_, block_bytes - offset)};
  }

 private:
  static constexpr std::uint64_t usual_chunk_bytes = 16u << 20;

  std::uint64_t chunk_bytes_ = page_bytes;
};

}  // namespace pinrail::sources
