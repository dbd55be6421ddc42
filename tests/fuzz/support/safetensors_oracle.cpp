#include "fuzz/support/safetensors_oracle.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include "fuzz/support/expect.hpp"
#include "sources/source.hpp"

namespace pinrail::fuzz {
namespace {

constexpr std::byte untouched{0xA5};

struct expected_tensor {
  std::string dtype;
  std::vector<std::uint64_t> shape;
  std::string_view bytes;
};

using expected_tensors = std::unordered_map<std::string, expected_tensor>;

/// Bytes that a shape needs, or none where they are no whole number: the bits of a type are the first number in its
/// name.
std::optional<std::uint64_t> needed_bytes(const expected_tensor& tensor) {
  const std::size_t digit = tensor.dtype.find_first_of("0123456789");
  if (std::count(tensor.shape.begin(), tensor.shape.end(), 0u) != 0) return 0;
  __extension__ using wide = unsigned __int128;
  wide bits = digit == std::string::npos ? 8 : std::strtoul(tensor.dtype.c_str() + digit, nullptr, 10);
  for (const std::uint64_t dimension : tensor.shape) {
    bits *= dimension;
    if (bits > UINT64_MAX) return std::nullopt;
  }
  return bits % 8 == 0 ? std::optional(static_cast<std::uint64_t>(bits / 8)) : std::nullopt;
}

void add_file(std::string_view file, expected_tensors& all) {
  std::uint64_t length = 0;
  expect(file.size() >= 8, "a file of {} bytes was accepted", file.size());
  for (std::size_t i = 8; i-- > 0;) length = length << 8 | static_cast<unsigned char>(file[i]);
  expect(length <= file.size() - 8, "a header of {} bytes was accepted in a file of {}", length, file.size());
  const std::string_view data = file.substr(8 + length);
  const auto document = nlohmann::json::parse(file.substr(8, length), nullptr, false);
  expect(document.is_object(), "a header was accepted that is no JSON object");
  std::size_t covered = 0;
  for (const auto& [name, entry] : document.items()) {
    if (name == "__metadata__") continue;
    const auto begin = entry.at("data_offsets").at(0).get<std::uint64_t>();
    const auto end = entry.at("data_offsets").at(1).get<std::uint64_t>();
    expect(begin <= end && end <= data.size(), "tensor '{}' at [{}, {}] of {} bytes was accepted", name, begin, end,
           data.size());
    covered += end - begin;
    const expected_tensor tensor{entry.at("dtype").get<std::string>(),
                                 entry.at("shape").get<std::vector<std::uint64_t>>(), data.substr(begin, end - begin)};
    expect(needed_bytes(tensor) == end - begin, "tensor '{}' of {} was accepted with {} bytes", name, tensor.dtype,
           end - begin);
    const bool is_new = all.emplace(name, tensor).second;
    expect(is_new, "tensor '{}' was accepted twice", name);
  }
  expect(covered == data.size(), "tensors of {} bytes were accepted in {} bytes of data", covered, data.size());
}

/// The block as the device would have it; bytes that no piece covers are `untouched`.
std::vector<std::byte> read_block(const model& of, block_index block) {
  sources::source& from = *of.source();
  const std::uint64_t slab_bytes = from.max_chunk_bytes();
  expect(slab_bytes > 0 && slab_bytes % 4096 == 0, "slabs of {} bytes", slab_bytes);
  const std::unique_ptr<std::byte, void (*)(void*)> slab(static_cast<std::byte*>(std::aligned_alloc(4096, slab_bytes)),
                                                         std::free);
  std::vector<std::byte> bytes(of.blocks()[block].size_bytes, untouched);
  expect(from.chunk_count(block) >= 1, "block {} has no chunk", block);
  for (std::uint32_t chunk = 0; chunk < from.chunk_count(block); ++chunk) {
    sources::piece_list pieces;
    const sources::status done = from.read_chunk(block, chunk, {slab.get(), slab_bytes}, pieces);
    expect(done.has_value(), "block {} chunk {}: {} (errno {})", block, chunk, to_string(done.code()),
           done.why().native_code);
    for (const sources::piece& part : pieces.view()) {
      expect(part.size_bytes > 0 && part.slab_offset_bytes + part.size_bytes <= slab_bytes &&
                 part.block_offset_bytes + part.size_bytes <= bytes.size(),
             "block {} chunk {}: a piece leaves its slab or its block", block, chunk);
      std::memcpy(bytes.data() + part.block_offset_bytes, slab.get() + part.slab_offset_bytes, part.size_bytes);
    }
  }
  return bytes;
}

void expect_layout(const block_info& block, const safetensors_options& options) {
  std::uint64_t end = 0;
  for (const tensor_info& tensor : block.tensors) {
    expect(tensor.offset_bytes % options.alignment_bytes == 0, "'{}' at {} is not aligned to {}", tensor.name,
           tensor.offset_bytes, options.alignment_bytes);
    expect(tensor.offset_bytes >= end, "'{}' at {} overlaps what ends at {}", tensor.name, tensor.offset_bytes, end);
    expect(tensor.offset_bytes - end < options.alignment_bytes, "a hole before '{}'", tensor.name);
    end = tensor.offset_bytes + tensor.size_bytes;
  }
  expect(block.size_bytes == (end == 0 ? options.alignment_bytes : end), "block '{}' of {} bytes ends at {}",
         block.name, block.size_bytes, end);
}

void expect_bytes(const block_info& block, const std::vector<std::byte>& bytes, expected_tensors& left) {
  std::uint64_t end = 0;
  const auto expect_padding = [&](std::uint64_t to) {
    expect(std::all_of(bytes.begin() + static_cast<std::ptrdiff_t>(end),
                       bytes.begin() + static_cast<std::ptrdiff_t>(to), [](std::byte b) { return b == untouched; }),
           "padding of block '{}' was written to", block.name);
  };
  for (const tensor_info& tensor : block.tensors) {
    const auto found = left.find(tensor.name);
    expect(found != left.end(), "tensor '{}' is in two blocks, or in no file", tensor.name);
    const expected_tensor& expected = found->second;
    expect(
        tensor.dtype == expected.dtype && tensor.shape == expected.shape && tensor.size_bytes == expected.bytes.size(),
        "tensor '{}' differs from its header", tensor.name);
    expect_padding(tensor.offset_bytes);
    end = tensor.offset_bytes + tensor.size_bytes;
    expect(tensor.size_bytes == 0 ||
               std::memcmp(bytes.data() + tensor.offset_bytes, expected.bytes.data(), tensor.size_bytes) == 0,
           "tensor '{}' has other bytes than its file", tensor.name);
    left.erase(found);
  }
  expect_padding(bytes.size());
}

}  // namespace

void expect_model_of(const model& read, const safetensors_options& options, std::span<const std::string_view> files) {
  expected_tensors left;
  for (const std::string_view file : files) add_file(file, left);
  std::set<std::string_view> names;
  std::uint64_t size_bytes = 0;
  for (block_index b = 0; b < read.blocks().size(); ++b) {
    const block_info& block = read.blocks()[b];
    expect(names.insert(block.name).second, "two blocks are named '{}'", block.name);
    size_bytes += block.size_bytes;
    expect_layout(block, options);
    expect_bytes(block, read_block(read, b), left);
  }
  expect(size_bytes == read.size_bytes(), "blocks of {} bytes in a model of {}", size_bytes, read.size_bytes());
  if (options.rest != rest_block::omit) expect(left.empty(), "{} tensors are in no block", left.size());
}

}  // namespace pinrail::fuzz
