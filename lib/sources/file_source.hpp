// A model in files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "sources/read_plan.hpp"
#include "sources/shard_file.hpp"
#include "sources/source.hpp"

namespace pinrail::sources {

/// Thread-safety: as `source`; immutable, so reads share nothing but file descriptors.
class file_source final : public source {
 public:
  /// The shards are prepared, and the plan's shard numbers are places in them.
  file_source(std::vector<shard_file> shards, read_plan plan) noexcept
      : shards_(std::move(shards)), plan_(std::move(plan)) {}

  [[nodiscard]] bool has_padding() const noexcept override { return true; }
  [[nodiscard]] std::uint64_t max_chunk_bytes() const noexcept override { return plan_.max_slab_bytes(); }
  [[nodiscard]] std::uint32_t chunk_count(block_index block) const noexcept override {
    return plan_.chunk_count(block);
  }
  [[nodiscard]] status read_chunk(block_index block, std::uint32_t chunk, std::span<std::byte> slab,
                                  piece_list& pieces) noexcept override;

 private:
  std::vector<shard_file> shards_;
  read_plan plan_;
};

}  // namespace pinrail::sources
