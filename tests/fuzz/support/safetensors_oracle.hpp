// What must hold for a model that was read from safetensors files, found by another way through the same bytes: a whole
// JSON document instead of events, and a plain search instead of a plan.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "pinrail/model.hpp"

namespace pinrail::fuzz {

/// Ends the process unless: block names differ, the sizes add up, each tensor of the files is in exactly one block
/// (`rest_block::omit` aside), with the dtype, the shape, the size and the bytes that the file says; tensors are
/// aligned, don't overlap and don't leave their block; and padding is not written to. `files` are the contents of the
/// shards, in the model's order.
void expect_model_of(const model& read, const safetensors_options& options, std::span<const std::string_view> files);

}  // namespace pinrail::fuzz
