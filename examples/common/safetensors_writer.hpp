// Writes models as Hugging Face does: safetensors files, several of them with an index where one would be too
// large.
//
// Formats: https://github.com/huggingface/safetensors (README.md, "Format"), and for the index the one that
// huggingface_hub writes: {"metadata": {"total_size": n}, "weight_map": {tensor: file}}.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace examples {

struct tensor_to_write {
  std::string name;
  std::string dtype;
  std::vector<std::uint64_t> shape = {};
};

/// Fills `to` with the tensor's bytes from `offset_bytes` on. Called in order, from the writing thread; may
/// throw.
using tensor_bytes =
    std::function<void(const tensor_to_write& tensor, std::uint64_t offset_bytes, std::span<std::byte> to)>;

struct writer_options {
  /// A shard gets tensors until one more would exceed this; a tensor is never split.
  std::uint64_t max_shard_bytes = 5'000'000'000;
  std::size_t buffer_bytes = 8u << 20;               ///< all the memory that weights take while they are written
  std::string stem = "model";                        ///< "model-00001-of-00005.safetensors"
  std::map<std::string, std::string> metadata = {};  ///< the shards' __metadata__
};

struct written_model {
  /// What to open: "model.safetensors.index.json", or "model.safetensors" if one file holds it all.
  std::filesystem::path entry;
  std::vector<std::filesystem::path> shards;
  std::uint64_t total_bytes = 0;  ///< of the tensors
};

/// Bytes of a tensor. Throws std::invalid_argument for an unknown dtype, an overflow, or bits that are no
/// whole bytes.
[[nodiscard]] std::uint64_t size_bytes(const tensor_to_write& tensor);

/// Writes one file with the tensors in the given order. The file appears under its name only when it is
/// complete: it is written beside it and renamed. (It isn't flushed to the disk: after a power failure it may
/// be incomplete.) Throws std::invalid_argument, std::system_error, and what `bytes` throws.
void write_safetensors(const std::filesystem::path& file, std::span<const tensor_to_write> tensors,
                       const tensor_bytes& bytes, const writer_options& options = {});

/// Writes a model into a folder that exists, the index last. Errors as above.
written_model write_sharded_safetensors(const std::filesystem::path& folder, std::span<const tensor_to_write> tensors,
                                        const tensor_bytes& bytes, const writer_options& options = {});

}  // namespace examples
