// The index of a sharded model: which shard holds which tensor.
//
// Format: as huggingface_hub and transformers write "model.safetensors.index.json": an object with
// "weight_map", from tensor names to file names beside the index. Other keys are ignored; "metadata" differs
// between writers, and its total_size is known to be wrong in published models, so nothing is checked against
// it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace pinrail::sources {

struct safetensors_index {
  std::vector<std::string> shards;                       ///< names as in the index, sorted, each once
  std::map<std::string, std::uint32_t> shard_of_tensor;  ///< place in `shards`; ordered, so messages are too
};

/// Shard names are relative paths without "." or ".." in them, so a hostile index can't name a file outside
/// of its own folder. (Symbolic links are followed: the Hugging Face cache keeps its shards as links out of
/// the folder.) Throws errc::malformed_file.
[[nodiscard]] safetensors_index parse_index_json(const std::filesystem::path& file, std::string_view json);

}  // namespace pinrail::sources
