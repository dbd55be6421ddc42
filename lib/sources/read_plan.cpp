#include "sources/read_plan.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sources/checked.hpp"

namespace pinrail::sources {

namespace {

/// Where the chunk's first page starts; its slab starts with that page.
std::uint64_t window_begin(const planned_chunk& chunk) noexcept {
  return align_down(chunk.file_begin_bytes, page_bytes);
}

/// True where `next` carries on where `last` ends, in the slab and in the block.
bool extends(const piece& last, const piece& next) noexcept {
  return last.slab_offset_bytes + last.size_bytes == next.slab_offset_bytes &&
         last.block_offset_bytes + last.size_bytes == next.block_offset_bytes;
}

}  // namespace

std::uint64_t planned_chunk::slab_bytes() const noexcept {
  return align_up(file_end_bytes, page_bytes) - align_down(file_begin_bytes, page_bytes);
}

void read_plan::add_block(std::span<const placement> placements) {
  const std::size_t first = chunks_.size();
  bool has_open_chunk = false;
  for (placement rest : placements) {
    while (rest.size_bytes > 0) {
      if (!has_open_chunk || !fits_open_chunk(rest)) open_chunk(rest);
      has_open_chunk = true;
      const std::uint64_t window_end = window_begin(chunks_.back()) + chunk_bytes_;
      placement part = rest;
      part.size_bytes = std::min(rest.size_bytes, window_end - rest.file_offset_bytes);
      append(part);
      rest.file_offset_bytes += part.size_bytes;
      rest.block_offset_bytes += part.size_bytes;
      rest.size_bytes -= part.size_bytes;
    }
  }
  if (chunks_.size() == first) chunks_.push_back({.first_piece = static_cast<std::uint32_t>(pieces_.size())});
  for (const planned_chunk& chunk : std::span(chunks_).subspan(first)) {
    max_slab_bytes_ = std::max(max_slab_bytes_, chunk.slab_bytes());
  }
  first_chunk_.push_back(static_cast<std::uint32_t>(chunks_.size()));
}

bool read_plan::fits_open_chunk(const placement& next) const noexcept {
  const planned_chunk& chunk = chunks_.back();
  return chunk.shard == next.shard && chunk.piece_count < piece_list::capacity &&
         next.file_offset_bytes >= chunk.file_end_bytes &&
         next.file_offset_bytes - chunk.file_end_bytes <= max_gap_bytes &&
         next.file_offset_bytes < window_begin(chunk) + chunk_bytes_;
}

void read_plan::open_chunk(const placement& next) {
  if (chunks_.size() >= max_plan_chunks) {
    throw error(errc::limit, fmt::format("the model needs more than {} chunks of {} bytes; a larger chunk_bytes "
                                         "makes fewer",
                                         max_plan_chunks, chunk_bytes_));
  }
  chunks_.push_back({.file_begin_bytes = next.file_offset_bytes,
                     .file_end_bytes = next.file_offset_bytes,
                     .shard = next.shard,
                     .first_piece = static_cast<std::uint32_t>(pieces_.size())});
}

void read_plan::append(const placement& part) {
  planned_chunk& chunk = chunks_.back();
  const piece next = {.slab_offset_bytes = part.file_offset_bytes - window_begin(chunk),
                      .block_offset_bytes = part.block_offset_bytes,
                      .size_bytes = part.size_bytes};
  chunk.file_end_bytes = part.file_offset_bytes + part.size_bytes;
  if (chunk.piece_count > 0 && extends(pieces_.back(), next)) {
    pieces_.back().size_bytes += next.size_bytes;
    return;
  }
  pieces_.push_back(next);
  ++chunk.piece_count;
}

std::uint32_t read_plan::chunk_count(block_index block) const noexcept {
  if (block + std::size_t{1} >= first_chunk_.size()) return 0;
  return first_chunk_[block + std::size_t{1}] - first_chunk_[block];
}

const planned_chunk* read_plan::find(block_index block, std::uint32_t chunk) const noexcept {
  return chunk < chunk_count(block) ? &chunks_[first_chunk_[block] + chunk] : nullptr;
}

}  // namespace pinrail::sources
