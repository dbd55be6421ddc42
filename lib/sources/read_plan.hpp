// How the blocks of a model are read: which range of which file into which part of a slab, and from there to
// where in the block.
//
// A chunk is one range of one file. It may be longer than its pieces: a small gap between two tensors is read
// and dropped, since a second read costs more. Its window starts at the page of its first byte and is at most
// `chunk_bytes` long, so that neighbouring chunks of a large tensor meet at page boundaries, and no page in
// there is read twice.
//
// The slab mirrors the window: a file byte lies at its distance from the window's first page. Direct reads
// need that (they start at a page); the other modes do the same, so that one plan serves all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "pinrail/model.hpp"
#include "sources/source.hpp"

namespace pinrail::sources {

/// Bytes that lie together in a file and in a block.
struct placement {
  std::uint32_t shard = 0;
  std::uint64_t file_offset_bytes = 0;
  std::uint64_t block_offset_bytes = 0;
  std::uint64_t size_bytes = 0;
};

struct planned_chunk {
  std::uint64_t file_begin_bytes = 0;
  std::uint64_t file_end_bytes = 0;
  std::uint32_t shard = 0;
  std::uint32_t first_piece = 0;
  std::uint32_t piece_count = 0;

  /// Of the slab, whole pages.
  [[nodiscard]] std::uint64_t slab_bytes() const noexcept;
};

/// A gap up to this size is read over. At the 5 GB/s of one good disk it takes about 13 us, less than the
/// latency of one more read.
inline constexpr std::uint64_t max_gap_bytes = 64u << 10;

/// A plan is memory: this many chunks take about 200 MB. Sparse files can claim any size at no cost.
inline constexpr std::size_t max_plan_chunks = 1u << 22;

/// Immutable once built. Every block has a chunk, even one without bytes: that one has no pieces and reads
/// nothing.
class read_plan {
 public:
  read_plan() = default;
  /// `chunk_bytes` is a multiple of page_bytes.
  explicit read_plan(std::uint64_t chunk_bytes) : chunk_bytes_(chunk_bytes) {}

  /// Plans one more block. Its placements are in file order and don't overlap. Throws errc::limit.
  void add_block(std::span<const placement> placements);

  [[nodiscard]] std::uint32_t chunk_count(block_index block) const noexcept;
  /// nullptr: there is no such chunk.
  [[nodiscard]] const planned_chunk* find(block_index block, std::uint32_t chunk) const noexcept;
  [[nodiscard]] std::span<const piece> pieces(const planned_chunk& chunk) const noexcept {
    return std::span(pieces_).subspan(chunk.first_piece, chunk.piece_count);
  }
  /// What the largest chunk needs; a page at least.
  [[nodiscard]] std::uint64_t max_slab_bytes() const noexcept { return max_slab_bytes_; }

 private:
  [[nodiscard]] bool fits_open_chunk(const placement& next) const noexcept;
  void open_chunk(const placement& next);
  void append(const placement& part);

  std::uint64_t chunk_bytes_ = 0;
  std::uint64_t max_slab_bytes_ = 4096;
  std::vector<planned_chunk> chunks_;
  std::vector<piece> pieces_;
  std::vector<std::uint32_t> first_chunk_ = {0};  // of each block, and one past the end
};

}  // namespace pinrail::sources
