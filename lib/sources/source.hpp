// The source interface: how a block's bytes reach a pinned slab, and how dirty ones go back.
//
// A block is read in chunks. A chunk is at most `max_chunk_bytes()` of slab, alignment slack included, and
// lands on the device in pieces: one or more, but none for a block whose tensors are all empty. Bytes of a
// block that no piece covers are padding. Chunks of one block may be read by several threads at once.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "pinrail/error.hpp"
#include "pinrail/model.hpp"

namespace pinrail::sources {

using status = result<void>;

/// Part of a slab, and where in the block it belongs.
struct piece {
  std::uint64_t slab_offset_bytes = 0;
  std::uint64_t block_offset_bytes = 0;
  std::uint64_t size_bytes = 0;
};

/// The pieces of one chunk.
struct piece_list {
  static constexpr std::size_t capacity = 64;
  std::array<piece, capacity> pieces;
  std::size_t count = 0;

  [[nodiscard]] std::span<const piece> view() const noexcept { return {pieces.data(), count}; }
  void add(const piece& p) noexcept { pieces[count++] = p; }
};

class source {
 public:
  source() = default;
  source(const source&) = delete;
  source& operator=(const source&) = delete;
  virtual ~source() = default;

  /// The whole block in page-locked host memory, or nullptr: copies then start from it, and nothing is read.
  [[nodiscard]] virtual const std::byte* pinned_block(block_index) const noexcept { return nullptr; }

  /// Do the pieces of a block cover all of its bytes? If not, they cover its tensors.
  [[nodiscard]] virtual bool has_padding() const noexcept { return false; }

  /// The slab a chunk may need, in bytes, alignment slack included; a multiple of 4096.
  [[nodiscard]] virtual std::uint64_t max_chunk_bytes() const noexcept = 0;
  /// At least 1 for a block of the model, and 0 for one that is not.
  [[nodiscard]] virtual std::uint32_t chunk_count(block_index block) const noexcept = 0;
  /// Reads a chunk into `slab` (aligned to 4096, `max_chunk_bytes()` long) and says where its parts belong.
  /// Blocks on I/O; allocates nothing. On errors `pieces` is empty, and the slab may have been written to.
  /// Any thread. Errors: io_error (native_code is errno, or 0 from a callback; ENODATA: the file was cut
  /// short after the model was made, and needed_bytes and available_bytes say by how much), invalid_argument
  /// (no such chunk, or a slab that is short or unaligned), device_error never.
  [[nodiscard]] virtual status read_chunk(block_index block, std::uint32_t chunk, std::span<std::byte> slab,
                                          piece_list& pieces) noexcept = 0;

  [[nodiscard]] virtual bool is_writable() const noexcept { return false; }
  /// Takes bytes of a dirty block back. Any thread, several at once on different ranges.
  [[nodiscard]] virtual status write(block_index, std::uint64_t /*offset_bytes*/, std::span<const std::byte>) noexcept {
    return failure{.code = errc::read_only};
  }
};

}  // namespace pinrail::sources
