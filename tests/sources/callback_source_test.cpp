// Models whose bytes a callback delivers.

#include <gtest/gtest.h>

#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "pinrail/model.hpp"
#include "reading.hpp"
#include "refusal.hpp"

namespace pinrail::test {
namespace {

constexpr std::uint64_t large = (33u << 20) + 5;

std::byte byte_at(block_index block, std::uint64_t offset) {
  return static_cast<std::byte>((offset ^ (offset >> 13)) * 5 + block);
}

bool fill(block_index block, std::uint64_t offset, std::span<std::byte> to) {
  for (std::size_t i = 0; i < to.size(); ++i) to[i] = byte_at(block, offset + i);
  return true;
}

std::vector<block_info> two_blocks() {
  return {{.name = "small", .size_bytes = 10}, {.name = "large", .size_bytes = large}};
}

TEST(model_from_callback, asks_for_every_byte) {
  const model read = model_from_callback(two_blocks(), fill);
  for (block_index b = 0; b < 2; ++b) {
    const std::vector<std::byte> bytes = read_block(read, b);
    std::vector<std::byte> expected(bytes.size());
    fill(b, 0, expected);
    EXPECT_TRUE(bytes == expected) << b;
  }
  EXPECT_EQ(read.source()->chunk_count(1), 3u);
  EXPECT_EQ(read.source()->chunk_count(2), 0u);
}

TEST(model_from_callback, turns_false_and_exceptions_into_io_errors) {
  const slab staging(16u << 20);
  const auto expect_io_error = [&](const read_callback& callback) {
    sources::piece_list pieces;
    const model read = model_from_callback(two_blocks(), callback);
    EXPECT_EQ(read.source()->read_chunk(0, 0, staging.bytes(), pieces).why().code, errc::io_error);
    EXPECT_EQ(pieces.count, 0u);
  };
  expect_io_error([](block_index, std::uint64_t, std::span<std::byte>) { return false; });
  expect_io_error([](block_index, std::uint64_t, std::span<std::byte>) -> bool { throw std::runtime_error("no"); });
}

TEST(model_from_callback, writes_where_it_can) {
  std::string log;
  bool answer = true;
  const model read_only = model_from_callback(two_blocks(), fill);
  const std::vector<std::byte> bytes(4);
  EXPECT_FALSE(read_only.source()->is_writable());
  EXPECT_EQ(read_only.source()->write(0, 0, bytes).why().code, errc::read_only);
  const model writable = model_from_callback(
      two_blocks(), fill, [&](block_index block, std::uint64_t offset, std::span<const std::byte> from) {
        log += std::to_string(block) + "@" + std::to_string(offset) + "+" + std::to_string(from.size()) + " ";
        return answer;
      });
  EXPECT_TRUE(writable.source()->is_writable());
  EXPECT_TRUE(writable.source()->write(0, 6, bytes));
  EXPECT_EQ(writable.source()->write(0, 7, bytes).why().code, errc::invalid_argument);
  EXPECT_EQ(writable.source()->write(2, 0, bytes).why().code, errc::invalid_argument);
  answer = false;
  EXPECT_EQ(writable.source()->write(1, large - 4, bytes).why().code, errc::io_error);
  EXPECT_EQ(log, "0@6+4 1@" + std::to_string(large - 4) + "+4 ");
}

TEST(model_from_callback, refuses_reads_that_make_no_sense) {
  const model read = model_from_callback(two_blocks(), fill);
  const slab staging(16u << 20);
  sources::piece_list pieces;
  const auto code = [&](block_index block, std::uint32_t chunk, std::span<std::byte> to) {
    return read.source()->read_chunk(block, chunk, to, pieces).why().code;
  };
  EXPECT_EQ(code(2, 0, staging.bytes()), errc::invalid_argument);
  EXPECT_EQ(code(1, 3, staging.bytes()), errc::invalid_argument);
  EXPECT_EQ(code(1, 0, staging.bytes().first(4096)), errc::invalid_argument);
  EXPECT_EQ(code(0, 0, staging.bytes().subspan(8)), errc::invalid_argument);
}

TEST(model_from_callback, checks_its_arguments) {
  const auto refused = [](std::vector<block_info> blocks, const std::vector<std::string>& fragments) {
    expect_refusal([&] { static_cast<void>(model_from_callback(blocks, fill)); }, errc::invalid_argument, fragments);
  };
  refused({{.name = "none", .size_bytes = 0}}, {"'none'", "0 bytes"});
  refused(
      {{.name = "b", .size_bytes = 10, .tensors = {{.name = "t", .dtype = "U8", .offset_bytes = 5, .size_bytes = 6}}}},
      {"'b'", "'t'", "6 bytes at offset 5", "10 bytes"});
  expect_refusal([] { static_cast<void>(model_from_callback({}, nullptr)); }, errc::invalid_argument,
                 {"read callback"});
  EXPECT_TRUE(model_from_callback({}, fill).blocks().empty());
}

}  // namespace
}  // namespace pinrail::test
