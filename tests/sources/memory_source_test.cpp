// Models in host memory.

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "pinrail/model.hpp"
#include "reading.hpp"
#include "refusal.hpp"
#include "sources/contract.hpp"

namespace pinrail::test {
namespace {

std::vector<std::byte> random_bytes(std::size_t size) {
  std::mt19937_64 random(size);
  std::vector<std::byte> bytes(size);
  for (std::byte& b : bytes) b = static_cast<std::byte>(random());
  return bytes;
}

TEST(model_from_memory, reads_blocks_of_all_sizes) {
  std::vector<std::vector<std::byte>> memory;
  std::vector<memory_block> blocks;
  for (const std::size_t size : {1u, 4095u, 4096u, 4097u, 16u << 20, (16u << 20) + 1, 40u << 20}) {
    memory.push_back(random_bytes(size));
    blocks.push_back({"block " + std::to_string(size), memory.back()});
  }
  const model read = model_from_memory(blocks);
  ASSERT_EQ(read.blocks().size(), blocks.size());
  std::uint64_t total = 0;
  for (block_index b = 0; b < blocks.size(); ++b) {
    EXPECT_EQ(read.blocks()[b].name, blocks[b].name);
    EXPECT_TRUE(read_block(read, b) == memory[b]) << b;
    total += memory[b].size();
  }
  EXPECT_EQ(read.size_bytes(), total);
  EXPECT_EQ(read.source()->max_chunk_bytes(), 16u << 20);
  EXPECT_EQ(read.source()->chunk_count(6), 3u);
}

TEST(model_from_memory, needs_no_larger_slabs_than_its_blocks) {
  std::vector<std::byte> memory(5000);
  const std::vector<memory_block> blocks = {{"a", memory}, {"b", std::span(memory).first(1)}};
  EXPECT_EQ(model_from_memory(blocks).source()->max_chunk_bytes(), 8192u);
}

TEST(model_from_memory, gives_pinned_blocks_by_their_address) {
  std::vector<std::byte> memory = random_bytes(5000);
  const std::vector<memory_block> blocks = {{"a", std::span(memory).first(2000)}, {"b", std::span(memory).last(3000)}};
  const model pinned = model_from_memory(blocks, {.pinned = true});
  EXPECT_EQ(pinned.source()->pinned_block(0), memory.data());
  EXPECT_EQ(pinned.source()->pinned_block(1), memory.data() + 2000);
  EXPECT_EQ(pinned.source()->pinned_block(2), nullptr);
  EXPECT_EQ(model_from_memory(blocks).source()->pinned_block(0), nullptr);
}

TEST(model_from_memory, takes_blocks_back_where_it_may) {
  std::vector<std::byte> memory = random_bytes(10'000);
  const std::vector<memory_block> blocks = {{"a", memory}};
  const std::vector<std::byte> fresh(100, std::byte{7});
  const model fixed = model_from_memory(blocks);
  EXPECT_FALSE(fixed.source()->is_writable());
  EXPECT_EQ(fixed.source()->write(0, 0, fresh).why().code, errc::read_only);
  const model writable = model_from_memory(blocks, {.writable = true});
  EXPECT_TRUE(writable.source()->is_writable());
  std::vector<std::byte> expected = memory;
  std::copy(fresh.begin(), fresh.end(), expected.begin() + 9900);
  EXPECT_TRUE(writable.source()->write(0, 9900, fresh));
  EXPECT_TRUE(memory == expected);
  EXPECT_TRUE(read_block(writable, 0) == expected);
}

TEST(model_from_memory, refuses_writes_outside_of_a_block) {
  std::vector<std::byte> memory(1000);
  const std::vector<memory_block> blocks = {{"a", memory}};
  const model writable = model_from_memory(blocks, {.writable = true});
  const std::vector<std::byte> fresh(100);
  for (const std::uint64_t offset : {std::uint64_t{901}, std::uint64_t{1001}, UINT64_MAX, UINT64_MAX - 50}) {
    EXPECT_EQ(writable.source()->write(0, offset, fresh).why().code, errc::invalid_argument) << offset;
  }
  EXPECT_EQ(writable.source()->write(1, 0, fresh).why().code, errc::invalid_argument);
  EXPECT_EQ(sources::check_write(1000, 500, UINT64_MAX - 400).why().code, errc::invalid_argument);
  EXPECT_TRUE(writable.source()->write(0, 900, fresh));
  EXPECT_TRUE(writable.source()->write(0, 1000, {}));
}

TEST(model_from_memory, refuses_reads_that_make_no_sense) {
  std::vector<std::byte> memory(5000);
  const std::vector<memory_block> blocks = {{"a", memory}};
  const model read = model_from_memory(blocks);
  const slab staging(12'288);
  sources::piece_list pieces;
  const auto code = [&](block_index block, std::uint32_t chunk, std::span<std::byte> to) {
    return read.source()->read_chunk(block, chunk, to, pieces).why().code;
  };
  EXPECT_EQ(code(0, 1, staging.bytes()), errc::invalid_argument);
  EXPECT_EQ(code(1, 0, staging.bytes()), errc::invalid_argument);
  EXPECT_EQ(code(0, 0, staging.bytes().first(4999)), errc::invalid_argument);
  EXPECT_EQ(code(0, 0, staging.bytes().subspan(1)), errc::invalid_argument);
  EXPECT_EQ(pieces.count, 0u);
  EXPECT_EQ(code(0, 0, staging.bytes()), errc::none);
}

TEST(model_from_memory, refuses_blocks_without_memory) {
  std::vector<std::byte> memory(10);
  const auto refused = [](const std::vector<memory_block>& blocks, const std::vector<std::string>& fragments) {
    expect_refusal([&] { static_cast<void>(model_from_memory(blocks)); }, errc::invalid_argument, fragments);
  };
  refused({{"good", memory}, {"null", {}}}, {"block 1", "'null'", "0 bytes"});
  refused({{"empty", std::span(memory).first(0)}}, {"block 0", "'empty'", "0 bytes"});
  refused({{"null with size", std::span(static_cast<std::byte*>(nullptr), 5)}}, {"'null with size'", "5 bytes", "0x0"});
}

TEST(model_from_memory, may_be_empty) {
  const model none = model_from_memory({});
  EXPECT_TRUE(none.blocks().empty());
  EXPECT_EQ(none.size_bytes(), 0u);
}

}  // namespace
}  // namespace pinrail::test
