// Which tensors make up which block, and where in it they lie on the device.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pinrail/model.hpp"
#include "sources/read_plan.hpp"
#include "sources/safetensors_header.hpp"

namespace pinrail::sources {

/// A tensor of one of a model's files. A vector of these is in file order: by shard, then by offset.
struct located_tensor {
  std::uint32_t shard = 0;
  const header_tensor* tensor = nullptr;
};

struct tensor_group {
  std::string name;
  std::vector<std::uint32_t> tensors;  ///< places in the vector of located tensors, ascending
};

/// The blocks, in execution order, as the options' patterns and rest say. A tensor goes to the first pattern
/// that matches it. Without patterns: `automatic_pattern`, and where there is none, a block for each tensor,
/// in file order and named like it. Throws errc::invalid_argument for a pattern that can't be read or that no
/// tensor goes to, for one number written in two ways, and for two blocks of one name.
[[nodiscard]] std::vector<tensor_group> group_tensors(std::span<const located_tensor> tensors,
                                                      const safetensors_options& options);

struct block_layout {
  block_info info;
  std::vector<placement> placements;  ///< of the tensors that have bytes, in file order
};

/// Places the group's tensors one after the other in file order, each at a multiple of the alignment. The
/// block ends with its last tensor; one without any bytes gets `alignment_bytes`, so that it has an address.
/// Throws errc::invalid_argument where the sizes add up to more than 2^64 - 1.
[[nodiscard]] block_layout lay_out_block(const tensor_group& group, std::span<const located_tensor> tensors,
                                         std::uint64_t alignment_bytes);

}  // namespace pinrail::sources
