// Random models, written and read back: every block has the tensors it must have, where they must be, with
// the bytes that were written. In every mode of reading, and from several threads.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "random_model.hpp"
#include "reading.hpp"
#include "support/seed.hpp"
#include "temp_folder.hpp"

namespace pinrail::test {
namespace {

struct expected_block {
  std::string name;
  std::vector<examples::tensor_to_write> tensors;
};

/// The blocks of one pattern, by other means than the library's. Takes their tensors out of `left`.
std::vector<expected_block> numbered_blocks(const std::string& stem, std::vector<examples::tensor_to_write>& left) {
  std::map<unsigned long, expected_block> blocks;
  std::vector<examples::tensor_to_write> others;
  for (const examples::tensor_to_write& tensor : left) {
    if (!is_numbered(tensor.name, stem)) {
      others.push_back(tensor);
      continue;
    }
    const unsigned long number = std::stoul(tensor.name.substr(stem.size() + 1));
    blocks[number].name = stem + "." + std::to_string(number);
    blocks[number].tensors.push_back(tensor);
  }
  left = others;
  std::vector<expected_block> ordered;
  for (auto& [number, block] : blocks) ordered.push_back(std::move(block));
  return ordered;
}

struct trial {
  safetensors_options options;
  std::vector<expected_block> blocks;
};

trial random_trial(random_model& random) {
  trial made;
  std::vector<examples::tensor_to_write> left = random.tensors();
  for (const std::string stem : {"text.encoder", "single", "blocks"}) {
    if (random.below(4) == 0 || !random.has_numbered(stem)) continue;
    made.options.block_patterns.push_back(stem + ".{}.");
    for (expected_block& block : numbered_blocks(stem, left)) made.blocks.push_back(std::move(block));
  }
  made.options.rest = static_cast<rest_block>(random.below(3));
  made.options.alignment_bytes = std::uint64_t{1} << random.below(13);
  made.options.chunk_bytes = 4096 * (1 + random.below(64));
  if (left.empty() || made.options.rest == rest_block::omit) return made;
  made.blocks.insert(made.options.rest == rest_block::first ? made.blocks.begin() : made.blocks.end(),
                     {"rest", std::move(left)});
  return made;
}

void expect_layout(const block_info& block, const expected_block& expected, std::uint64_t alignment) {
  ASSERT_EQ(block.name, expected.name);
  ASSERT_EQ(block.tensors.size(), expected.tensors.size()) << block.name;
  std::uint64_t end = 0;
  for (std::size_t t = 0; t < block.tensors.size(); ++t) {
    const tensor_info& tensor = block.tensors[t];
    ASSERT_EQ(tensor.name, expected.tensors[t].name) << "tensors are in file order";
    ASSERT_EQ(tensor.dtype, expected.tensors[t].dtype);
    ASSERT_EQ(tensor.shape, expected.tensors[t].shape);
    ASSERT_EQ(tensor.size_bytes, examples::size_bytes(expected.tensors[t]));
    while (end % alignment != 0) ++end;
    ASSERT_EQ(tensor.offset_bytes, end) << tensor.name;
    end += tensor.size_bytes;
  }
  ASSERT_EQ(block.size_bytes, end == 0 ? alignment : end) << block.name;
}

/// The tensors' bytes, and nothing else written.
std::vector<std::byte> expected_bytes(const block_info& block) {
  std::vector<std::byte> bytes(block.size_bytes, untouched);
  for (const tensor_info& tensor : block.tensors) {
    fill_tensor({tensor.name, tensor.dtype, tensor.shape}, 0,
                std::span(bytes).subspan(tensor.offset_bytes, tensor.size_bytes));
  }
  return bytes;
}

void run_trial(std::uint64_t seed) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  const temp_folder folder;
  random_model random(seed);
  const examples::written_model written = random.write(folder.path());
  trial t = random_trial(random);
  if (t.options.block_patterns.empty()) return;  // automatic patterns have their own tests
  for (const file_io io : {file_io::automatic, file_io::direct, file_io::buffered, file_io::mapped}) {
    t.options.io = io;
    const model read = random.below(2) == 0 ? model_from_safetensors(written.entry, t.options)
                                            : model_from_safetensors(written.shards, t.options);
    ASSERT_EQ(read.blocks().size(), t.blocks.size());
    for (block_index b = 0; b < t.blocks.size(); ++b) {
      expect_layout(read.blocks()[b], t.blocks[b], t.options.alignment_bytes);
      ASSERT_TRUE(read_block(read, b) == expected_bytes(read.blocks()[b])) << read.blocks()[b].name;
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

TEST(round_trip, gives_back_what_was_written) {
  const std::uint64_t first = run_seed();
  for (std::uint64_t seed = first; seed < first + 60; ++seed) {
    run_trial(seed);
    if (testing::Test::HasFailure()) return;
  }
}

/// Reads random chunks, and compares what they cover. Returns the number of wrong ones.
std::size_t read_at_random(const model& read, const std::vector<std::vector<std::byte>>& expected, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const slab staging(read.source()->max_chunk_bytes());
  std::size_t wrong = 0;
  for (int i = 0; i < 400; ++i) {
    const auto block = static_cast<block_index>(random() % expected.size());
    const auto chunk = static_cast<std::uint32_t>(random() % read.source()->chunk_count(block));
    sources::piece_list pieces;
    if (!read.source()->read_chunk(block, chunk, staging.bytes(), pieces)) ++wrong;
    for (const sources::piece& part : pieces.view()) {
      const auto from = staging.bytes().subspan(part.slab_offset_bytes, part.size_bytes);
      const auto to = std::span(expected[block]).subspan(part.block_offset_bytes, part.size_bytes);
      if (!std::equal(from.begin(), from.end(), to.begin(), to.end())) ++wrong;
    }
  }
  return wrong;
}

TEST(round_trip, works_from_several_threads_at_once) {
  const std::uint64_t seed = run_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  const temp_folder folder;
  std::vector<examples::tensor_to_write> tensors;
  for (int i = 0; i < 40; ++i)
    tensors.push_back({"b." + std::to_string(i % 4) + "." + std::to_string(i), "U8", {70'001}});
  const auto written =
      examples::write_sharded_safetensors(folder.path(), tensors, fill_tensor, {.max_shard_bytes = 1'000'000});
  for (const file_io io : {file_io::direct, file_io::buffered, file_io::mapped}) {
    const model read =
        model_from_safetensors(written.entry, {.block_patterns = {"b.{}."}, .io = io, .chunk_bytes = 64u << 10});
    std::vector<std::vector<std::byte>> expected;
    for (const block_info& block : read.blocks()) expected.push_back(expected_bytes(block));
    ASSERT_EQ(expected.size(), 4u);
    std::atomic<std::size_t> wrong = 0;
    std::vector<std::jthread> threads;
    for (std::uint64_t t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] { wrong += read_at_random(read, expected, seed + t); });
    }
    threads.clear();
    EXPECT_EQ(wrong, 0u);
  }
}

}  // namespace
}  // namespace pinrail::test
