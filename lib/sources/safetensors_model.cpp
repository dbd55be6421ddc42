// From safetensors files to a model: headers, blocks, a read plan, and files left open to read from.
//
// Everything that can be wrong with the files is found here, before a byte of data is read.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "pinrail/model.hpp"
#include "sources/checked.hpp"
#include "sources/file_source.hpp"
#include "sources/messages.hpp"
#include "sources/safetensors_header.hpp"
#include "sources/safetensors_index.hpp"
#include "sources/tensor_groups.hpp"

namespace pinrail {

namespace sources {
namespace {

constexpr std::uint64_t most_chunk_bytes = 1u << 30;

struct shard {
  shard_file file;
  std::vector<header_tensor> tensors;  // in file order
};

void check_options(const safetensors_options& options) {
  if (!std::has_single_bit(options.alignment_bytes)) {
    throw_invalid(fmt::format("alignment_bytes is {}, not a power of two", options.alignment_bytes));
  }
  if (options.chunk_bytes == 0 || options.chunk_bytes % page_bytes != 0 || options.chunk_bytes > most_chunk_bytes) {
    throw_invalid(fmt::format("chunk_bytes is {}, not a multiple of {} from {} to {}", options.chunk_bytes, page_bytes,
                              page_bytes, most_chunk_bytes));
  }
  if (options.io > file_io::mapped) {
    throw_invalid(fmt::format("io is {}, which is no file_io", static_cast<unsigned>(options.io)));
  }
  if (options.rest > rest_block::omit) {
    throw_invalid(fmt::format("rest is {}, which is no rest_block", static_cast<unsigned>(options.rest)));
  }
}

shard open_shard(const std::filesystem::path& path, std::uint64_t max_header_bytes) {
  shard opened{shard_file(path), {}};
  const input_file& file = opened.file.file();
  if (file.size_bytes() < header_length_bytes) {
    throw_malformed(path, fmt::format("has {} bytes, fewer than the {} of a header's length", file.size_bytes(),
                                      header_length_bytes));
  }
  const std::string field = file.read_text(0, header_length_bytes);
  std::array<unsigned char, header_length_bytes> bytes{};
  std::copy(field.begin(), field.end(), bytes.begin());
  const std::uint64_t length = checked_header_length(path, bytes, file.size_bytes(), max_header_bytes);
  opened.tensors = parse_header_json(path, file.read_text(header_length_bytes, length));
  validate_tensors(path, opened.tensors, header_length_bytes + length, file.size_bytes());
  return opened;
}

std::vector<shard> open_shards(const std::vector<std::filesystem::path>& paths, std::uint64_t max_header_bytes) {
  std::vector<shard> shards;
  std::unordered_map<std::string_view, const std::filesystem::path*> seen;
  shards.reserve(paths.size());  // `seen` points into them
  for (const std::filesystem::path& path : paths) {
    const shard& opened = shards.emplace_back(open_shard(path, max_header_bytes));
    for (const header_tensor& tensor : opened.tensors) {
      const auto [other, is_new] = seen.try_emplace(tensor.name, &path);
      if (!is_new) {
        throw_malformed(
            path, fmt::format("tensor {} is also in {}", in_quotes(tensor.name), printable(other->second->native())));
      }
    }
  }
  return shards;
}

std::vector<located_tensor> in_file_order(const std::vector<shard>& shards) {
  std::vector<located_tensor> tensors;
  for (std::uint32_t s = 0; s < shards.size(); ++s) {
    for (const header_tensor& tensor : shards[s].tensors) tensors.push_back({s, &tensor});
  }
  return tensors;
}

model build_model(std::vector<shard> shards, const safetensors_options& options) {
  const std::vector<located_tensor> tensors = in_file_order(shards);
  std::vector<block_info> blocks;
  read_plan plan(options.chunk_bytes);
  for (const tensor_group& group : group_tensors(tensors, options)) {
    block_layout layout = lay_out_block(group, tensors, options.alignment_bytes);
    plan.add_block(layout.placements);
    blocks.push_back(std::move(layout.info));
  }
  std::vector<shard_file> files;
  for (shard& each : shards) {
    each.file.prepare(options.io);
    files.push_back(std::move(each.file));
  }
  return {std::move(blocks), std::make_shared<file_source>(std::move(files), std::move(plan))};
}

/// The index and the shards say the same.
void check_index(const std::filesystem::path& file, const safetensors_index& index, const std::vector<shard>& shards) {
  std::unordered_set<std::string_view> found;
  for (std::size_t s = 0; s < shards.size(); ++s) {
    for (const header_tensor& tensor : shards[s].tensors) {
      const auto listed = index.shard_of_tensor.find(tensor.name);
      if (listed == index.shard_of_tensor.end()) {
        throw_malformed(file, fmt::format("tensor {} of shard {} is not in weight_map", in_quotes(tensor.name),
                                          in_quotes(index.shards[s])));
      }
      if (listed->second != s) {
        throw_malformed(file, fmt::format("tensor {} is in shard {}, but weight_map says {}", in_quotes(tensor.name),
                                          in_quotes(index.shards[s]), in_quotes(index.shards[listed->second])));
      }
      found.insert(tensor.name);
    }
  }
  for (const auto& [name, s] : index.shard_of_tensor) {
    if (found.contains(name)) continue;
    throw_malformed(file, fmt::format("weight_map puts tensor {} in shard {}, which does not have it", in_quotes(name),
                                      in_quotes(index.shards[s])));
  }
}

model model_from_index(const std::filesystem::path& path, const safetensors_options& options) {
  const input_file file(path);
  if (file.size_bytes() > options.max_header_bytes) {
    throw_malformed(
        path, fmt::format("an index of {} bytes; the limit is {} bytes", file.size_bytes(), options.max_header_bytes));
  }
  const safetensors_index index = parse_index_json(path, file.read_text(0, file.size_bytes()));
  std::vector<std::filesystem::path> paths;
  for (const std::string& name : index.shards) paths.push_back(path.parent_path() / name);
  std::vector<shard> shards = open_shards(paths, options.max_header_bytes);
  check_index(path, index, shards);
  return build_model(std::move(shards), options);
}

}  // namespace
}  // namespace sources

model model_from_safetensors(const std::filesystem::path& file_or_index, const safetensors_options& options) {
  if (file_or_index.extension() != ".json")
    return model_from_safetensors(std::vector<std::filesystem::path>{file_or_index}, options);
  sources::check_options(options);
  return sources::model_from_index(file_or_index, options);
}

model model_from_safetensors(const std::vector<std::filesystem::path>& shards, const safetensors_options& options) {
  sources::check_options(options);
  if (shards.empty()) sources::throw_invalid("the list of shards is empty");
  return sources::build_model(sources::open_shards(shards, options.max_header_bytes), options);
}

}  // namespace pinrail
