// What every model fulfils.

#include "pinrail/model.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "refusal.hpp"
#include "sources/source.hpp"

namespace pinrail::test {
namespace {

class no_source final : public sources::source {
 public:
  [[nodiscard]] std::uint64_t max_chunk_bytes() const noexcept override { return 4096; }
  [[nodiscard]] std::uint32_t chunk_count(block_index) const noexcept override { return 1; }
  [[nodiscard]] sources::status read_chunk(block_index, std::uint32_t, std::span<std::byte>,
                                           sources::piece_list&) noexcept override {
    return failure{.code = errc::io_error};
  }
};

model made(std::vector<block_info> blocks) { return {std::move(blocks), std::make_shared<no_source>()}; }

void expect_refused(const std::vector<block_info>& blocks, const std::vector<std::string>& fragments) {
  expect_refusal([&] { static_cast<void>(made(blocks)); }, errc::invalid_argument, fragments);
}

block_info with_tensor(std::uint64_t offset, std::uint64_t size) {
  return {.name = "b",
          .size_bytes = 100,
          .tensors = {{.name = "t", .dtype = "U8", .offset_bytes = offset, .size_bytes = size}}};
}

TEST(model, adds_up_its_blocks) {
  const model three =
      made({{.name = "a", .size_bytes = 1}, {.name = "b", .size_bytes = 20}, {.name = "c", .size_bytes = 300}});
  EXPECT_EQ(three.size_bytes(), 321u);
  EXPECT_EQ(three.blocks()[2].name, "c");
  EXPECT_NE(three.source(), nullptr);
}

TEST(model, may_be_empty) {
  EXPECT_EQ(model().size_bytes(), 0u);
  EXPECT_EQ(model({}, nullptr).size_bytes(), 0u);
  EXPECT_EQ(made({}).size_bytes(), 0u);
}

TEST(model, refuses_blocks_without_a_source) {
  expect_refusal([] { static_cast<void>(model({{.name = "a", .size_bytes = 1}}, nullptr)); }, errc::invalid_argument,
                 {"1 blocks", "source"});
}

TEST(model, refuses_blocks_without_bytes) {
  expect_refused({{.name = "a", .size_bytes = 1}, {.name = "none", .size_bytes = 0}}, {"block 1", "'none'", "0 bytes"});
}

TEST(model, refuses_more_bytes_than_a_number_holds) {
  expect_refused({{.name = "a", .size_bytes = UINT64_MAX}, {.name = "b", .size_bytes = 1}}, {"block 1", "'b'", "2^64"});
}

TEST(model, refuses_tensors_outside_of_their_block) {
  EXPECT_EQ(made({with_tensor(0, 100)}).size_bytes(), 100u);
  EXPECT_EQ(made({with_tensor(100, 0)}).size_bytes(), 100u);
  expect_refused({with_tensor(0, 101)}, {"'b'", "'t'", "101 bytes at offset 0", "100"});
  expect_refused({with_tensor(101, 0)}, {"'b'", "'t'", "offset 101"});
  expect_refused({with_tensor(UINT64_MAX, 2)}, {"'b'", "'t'", "18446744073709551615"});
}

TEST(model, refuses_two_tensors_of_one_name) {
  block_info twice = with_tensor(0, 1);
  twice.tensors.push_back(twice.tensors.front());
  expect_refused({twice}, {"'b'", "'t'"});
}

}  // namespace
}  // namespace pinrail::test
