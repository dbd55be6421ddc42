// What every model must fulfil, wherever its blocks come from.
#include "pinrail/model.hpp"

#include <fmt/format.h>

#include <limits>
#include <unordered_set>
#include <utility>

#include "sources/checked.hpp"
#include "sources/messages.hpp"
#include "sources/source.hpp"

namespace pinrail {

namespace {

using namespace sources;

std::string block_text(std::size_t index, const block_info& block) {
  return fmt::format("block {} {}", index, in_quotes(block.name));
}

void check_tensors(std::size_t index, const block_info& block) {
  std::unordered_set<std::string_view> names;
  for (const tensor_info& tensor : block.tensors) {
    const std::optional<std::uint64_t> end = checked_add(tensor.offset_bytes, tensor.size_bytes);
    if (!end || *end > block.size_bytes) {
      throw_invalid(fmt::format("{}: tensor {} has {} bytes at offset {}, outside of the block's {} bytes",
                                block_text(index, block), in_quotes(tensor.name), tensor.size_bytes,
                                tensor.offset_bytes, block.size_bytes));
    }
    if (!names.insert(tensor.name).second) {
      throw_invalid(fmt::format("{}: two tensors are named {}", block_text(index, block), in_quotes(tensor.name)));
    }
  }
}

/// Returns the sum of the sizes.
std::uint64_t check_blocks(const std::vector<block_info>& blocks) {
  if (blocks.size() > std::numeric_limits<block_index>::max()) {
    throw_invalid(
        fmt::format("a model of {} blocks; the limit is {}", blocks.size(), std::numeric_limits<block_index>::max()));
  }
  std::uint64_t size_bytes = 0;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    if (blocks[i].size_bytes == 0) throw_invalid(block_text(i, blocks[i]) + " has 0 bytes");
    const std::optional<std::uint64_t> sum = checked_add(size_bytes, blocks[i].size_bytes);
    if (!sum) {
      throw_invalid(fmt::format("{}: its {} bytes bring the model above 2^64 - 1 bytes", block_text(i, blocks[i]),
                                blocks[i].size_bytes));
    }
    size_bytes = *sum;
    check_tensors(i, blocks[i]);
  }
  return size_bytes;
}

}  // namespace

model::model(std::vector<block_info> blocks, std::shared_ptr<sources::source> from)
    : blocks_(std::move(blocks)), size_bytes_(check_blocks(blocks_)), source_(std::move(from)) {
  if (!blocks_.empty() && source_ == nullptr) {
    throw_invalid(fmt::format("a model of {} blocks has no source", blocks_.size()));
  }
}

}  // namespace pinrail
