// Models in host memory.

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "pinrail/model.hpp"
#include "sources/contract.hpp"
#include "sources/linear_chunks.hpp"
#include "sources/messages.hpp"
#include "sources/source.hpp"

namespace pinrail {

namespace sources {
namespace {

/// Holds views only. Thread-safety: as `source`; reads and writes of the same bytes at once are the caller's
/// race.
class memory_source final : public source {
 public:
  memory_source(std::vector<std::span<std::byte>> blocks, linear_chunks chunks, const memory_options& options)
      : blocks_(std::move(blocks)), chunks_(chunks), options_(options) {}

  [[nodiscard]] const std::byte* pinned_block(block_index block) const noexcept override {
    return options_.pinned && block < blocks_.size() ? blocks_[block].data() : nullptr;
  }
  [[nodiscard]] std::uint64_t max_chunk_bytes() const noexcept override { return chunks_.chunk_bytes(); }
  [[nodiscard]] std::uint32_t chunk_count(block_index block) const noexcept override {
    return chunks_.count(block_bytes(block));
  }
  [[nodiscard]] status read_chunk(block_index block, std::uint32_t chunk, std::span<std::byte> slab,
                                  piece_list& pieces) noexcept override;
  [[nodiscard]] bool is_writable() const noexcept override { return options_.writable; }
  [[nodiscard]] status write(block_index block, std::uint64_t offset_bytes,
                             std::span<const std::byte> from) noexcept override;

 private:
  /// 0: there is no such block.
  [[nodiscard]] std::uint64_t block_bytes(block_index block) const noexcept {
    return block < blocks_.size() ? blocks_[block].size() : 0;
  }

  std::vector<std::span<std::byte>> blocks_;
  linear_chunks chunks_;
  memory_options options_;
};

status memory_source::read_chunk(block_index block, std::uint32_t chunk, std::span<std::byte> slab,
                                 piece_list& pieces) noexcept {
  pieces.count = 0;
  if (chunk >= chunk_count(block)) return failure{.code = errc::invalid_argument};
  const linear_chunks::range range = chunks_.at(blocks_[block].size(), chunk);
  if (const status usable = check_slab(slab, range.size_bytes); !usable) return usable;
  std::memcpy(slab.data(), blocks_[block].data() + range.offset_bytes, range.size_bytes);
  pieces.add({.slab_offset_bytes = 0, .block_offset_bytes = range.offset_bytes, .size_bytes = range.size_bytes});
  return {};
}

status memory_source::write(block_index block, std::uint64_t offset_bytes, std::span<const std::byte> from) noexcept {
  if (!options_.writable) return failure{.code = errc::read_only};
  if (const status inside = check_write(block_bytes(block), offset_bytes, from.size()); !inside) {
    return inside;
  }
  if (!from.empty()) std::memcpy(blocks_[block].data() + offset_bytes, from.data(), from.size());
  return {};
}

}  // namespace
}  // namespace sources

model model_from_memory(std::span<const memory_block> blocks, const memory_options& options) {
  std::vector<block_info> infos;
  std::vector<std::span<std::byte>> views;
  std::uint64_t largest_bytes = 0;
  for (const memory_block& block : blocks) {
    if (block.bytes.data() == nullptr || block.bytes.empty()) {
      sources::throw_invalid(fmt::format("block {} {}: its memory is {} bytes at {}", infos.size(),
                                         sources::in_quotes(block.name), block.bytes.size(),
                                         fmt::ptr(block.bytes.data())));
    }
    infos.push_back({.name = block.name, .size_bytes = block.bytes.size(), .tensors = {}});
    views.push_back(block.bytes);
    largest_bytes = std::max<std::uint64_t>(largest_bytes, block.bytes.size());
  }
  auto source =
      std::make_shared<sources::memory_source>(std::move(views), sources::linear_chunks(largest_bytes), options);
  return {std::move(infos), std::move(source)};
}

}  // namespace pinrail
