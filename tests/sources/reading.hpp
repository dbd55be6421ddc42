// Reads blocks as the residency room does: chunk by chunk into a slab, and from there piece by piece.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "pinrail/model.hpp"
#include "sources/source.hpp"

namespace pinrail::test {

/// What a block's memory holds where nothing was written.
inline constexpr std::byte untouched{0xA5};

class slab {
 public:
  explicit slab(std::uint64_t size_bytes)
      : size_bytes_(size_bytes), bytes_(static_cast<std::byte*>(std::aligned_alloc(4096, size_bytes))) {}

  [[nodiscard]] std::span<std::byte> bytes() const { return {bytes_.get(), size_bytes_}; }

 private:
  struct freed {
    void operator()(std::byte* p) const { std::free(p); }
  };
  std::uint64_t size_bytes_;
  std::unique_ptr<std::byte, freed> bytes_;
};

/// Copies the pieces into `block`, and checks what every source promises about them.
inline void copy_pieces(const sources::piece_list& pieces, std::span<const std::byte> from,
                        std::span<std::byte> block) {
  ASSERT_LE(pieces.count, sources::piece_list::capacity);
  for (const sources::piece& part : pieces.view()) {
    ASSERT_GT(part.size_bytes, 0u);
    ASSERT_LE(part.slab_offset_bytes + part.size_bytes, from.size());
    ASSERT_LE(part.block_offset_bytes + part.size_bytes, block.size());
    std::memcpy(block.data() + part.block_offset_bytes, from.data() + part.slab_offset_bytes, part.size_bytes);
  }
}

/// The whole block; bytes that no piece covers are `untouched`.
inline std::vector<std::byte> read_block(const model& of, block_index block) {
  std::vector<std::byte> bytes(of.blocks()[block].size_bytes, untouched);
  sources::source& from = *of.source();
  EXPECT_EQ(from.max_chunk_bytes() % 4096, 0u);
  const slab staging(from.max_chunk_bytes());
  EXPECT_GE(from.chunk_count(block), 1u);
  for (std::uint32_t chunk = 0; chunk < from.chunk_count(block); ++chunk) {
    sources::piece_list pieces;
    const sources::status done = from.read_chunk(block, chunk, staging.bytes(), pieces);
    EXPECT_TRUE(done.has_value()) << "block " << block << " chunk " << chunk << ": " << to_string(done.why().code)
                                  << ", errno " << done.why().native_code;
    copy_pieces(pieces, staging.bytes(), bytes);
  }
  return bytes;
}

/// The same, for blocks that are text.
inline std::string read_text(const model& of, block_index block) {
  const std::vector<std::byte> bytes = read_block(of, block);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace pinrail::test
