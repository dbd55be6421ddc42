// The four models as files: written once, scaled, as sharded safetensors; and read back plainly, to know what every
// block's checksum must be.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "layer_tables.hpp"
#include "pinrail/model.hpp"

namespace examples {

inline constexpr std::size_t model_count = 4;
enum class model_id : std::uint8_t { text_encoder, transformer, spatial_upscaler, temporal_upscaler };

struct checkpoint {
  layer_table table;  ///< scaled
  std::filesystem::path entry;
};

/// Called with bytes written so far and in all.
using write_progress = std::function<void(std::uint64_t done_bytes, std::uint64_t total_bytes)>;

/// The models in `folder`, written there first if they are not. Weights are pseudo-random, from the tensors' names.
[[nodiscard]] std::array<checkpoint, model_count> prepare_checkpoints(const std::filesystem::path& folder, double scale,
                                                                      const write_progress& progress);

/// The model as Pinrail sees it.
[[nodiscard]] pinrail::model open_model(const checkpoint& c);

/// The checksum of every block, from its bytes in the file, read without Pinrail.
[[nodiscard]] std::vector<std::uint64_t> block_checksums(const checkpoint& c, const pinrail::model& m);

/// All bytes of a model, one vector per block, each tensor where `block_info` says. For the reference.
[[nodiscard]] std::vector<std::vector<std::byte>> read_blocks(const checkpoint& c, const pinrail::model& m);

}  // namespace examples
