// Models whose bytes a callback delivers.

#include <fmt/format.h>

#include <algorithm>
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

/// A callback's exception becomes an io_error: the threads that call it belong to Pinrail, which never
/// aborts. Thread-safety: as `source`, if the callbacks are.
class callback_source final : public source {
 public:
  callback_source(std::vector<std::uint64_t> sizes, linear_chunks chunks, read_callback read,
                  write_callback write) noexcept
      : sizes_(std::move(sizes)), chunks_(chunks), read_(std::move(read)), write_(std::move(write)) {}

  [[nodiscard]] std::uint64_t max_chunk_bytes() const noexcept override { return chunks_.chunk_bytes(); }
  [[nodiscard]] std::uint32_t chunk_count(block_index block) const noexcept override {
    return chunks_.count(block_bytes(block));
  }
  [[nodiscard]] status read_chunk(block_index block, std::uint32_t chunk, std::span<std::byte> slab,
                                  piece_list& pieces) noexcept override;
  [[nodiscard]] bool is_writable() const noexcept override { return static_cast<bool>(write_); }
  [[nodiscard]] status write(block_index block, std::uint64_t offset_bytes,
                             std::span<const std::byte> from) noexcept override;

 private:
  template <class Call>
  [[nodiscard]] static status succeeded(Call&& call) noexcept {
    try {
      if (call()) return {};
    } catch (...) {  // the text is lost: a status has none
    }
    return failure{.code = errc::io_error};
  }

  /// 0: there is no such block.
  [[nodiscard]] std::uint64_t block_bytes(block_index block) const noexcept {
    return block < sizes_.size() ? sizes_[block] : 0;
  }

  std::vector<std::uint64_t> sizes_;
  linear_chunks chunks_;
  read_callback read_;
  write_callback write_;
};

status callback_source::read_chunk(block_index block, std::uint32_t chunk, std::span<std::byte> slab,
                                   piece_list& pieces) noexcept {
  pieces.count = 0;
  if (chunk >= chunk_count(block)) return failure{.code = errc::invalid_argument};
  const auto [offset_bytes, size_bytes] = chunks_.at(sizes_[block], chunk);
  if (const status usable = check_slab(slab, size_bytes); !usable) return usable;
  const std::span<std::byte> to = slab.first(size_bytes);
  const status done = succeeded([&, at = offset_bytes] { return read_(block, at, to); });
  if (!done) return done;
  pieces.add({.slab_offset_bytes = 0, .block_offset_bytes = offset_bytes, .size_bytes = size_bytes});
  return {};
}

status callback_source::write(block_index block, std::uint64_t offset_bytes, std::span<const std::byte> from) noexcept {
  if (!write_) return failure{.code = errc::read_only};
  if (const status inside = check_write(block_bytes(block), offset_bytes, from.size()); !inside) {
    return inside;
  }
  return succeeded([&] { return write_(block, offset_bytes, from); });
}

}  // namespace
}  // namespace sources

model model_from_callback(std::vector<block_info> blocks, read_callback read, write_callback write) {
  if (!read) sources::throw_invalid("the read callback is empty");
  std::vector<std::uint64_t> sizes;
  std::uint64_t largest_bytes = 0;
  for (const block_info& block : blocks) {
    sizes.push_back(block.size_bytes);
    largest_bytes = std::max(largest_bytes, block.size_bytes);
  }
  auto source = std::make_shared<sources::callback_source>(std::move(sizes), sources::linear_chunks(largest_bytes),
                                                           std::move(read), std::move(write));
  return {std::move(blocks), std::move(source)};
}

}  // namespace pinrail
