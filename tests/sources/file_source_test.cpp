// Reading chunks of a registered model when something is wrong, and what reading costs.

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "pinrail/model.hpp"
#include "random_model.hpp"
#include "reading.hpp"
#include "support/allocation_counter.hpp"
#include "temp_folder.hpp"

namespace pinrail::test {
namespace {

constexpr file_io every_mode[] = {file_io::automatic, file_io::direct, file_io::buffered, file_io::mapped};

/// Two blocks of 100'000 bytes, in one file with a header of less than a page.
class two_blocks {
 public:
  two_blocks() {
    const std::vector<examples::tensor_to_write> tensors = {{"b.0.w", "U8", {100'000}}, {"b.1.w", "U8", {100'000}}};
    examples::write_safetensors(file, tensors, fill_tensor);
  }

  [[nodiscard]] model open(file_io io) const {
    return model_from_safetensors(file, {.block_patterns = {"b.{}."}, .io = io, .chunk_bytes = 32u << 10});
  }

  const temp_folder folder;
  const std::filesystem::path file = folder.path() / "model.safetensors";
};

TEST(file_source, refuses_reads_that_make_no_sense) {
  const two_blocks made;
  const model read = made.open(file_io::automatic);
  sources::source& from = *read.source();
  const slab staging(from.max_chunk_bytes());
  sources::piece_list pieces;
  const auto code = [&](block_index block, std::uint32_t chunk, std::span<std::byte> to) {
    pieces.count = 1;
    const errc answer = from.read_chunk(block, chunk, to, pieces).why().code;
    EXPECT_EQ(pieces.count == 0, answer != errc::none);
    return answer;
  };
  EXPECT_EQ(code(2, 0, staging.bytes()), errc::invalid_argument);
  EXPECT_EQ(code(0, from.chunk_count(0), staging.bytes()), errc::invalid_argument);
  EXPECT_EQ(code(0, 0, staging.bytes().first(4096)), errc::invalid_argument);
  EXPECT_EQ(code(0, 0, staging.bytes().subspan(64)), errc::invalid_argument);
  EXPECT_EQ(code(0, 0, {}), errc::invalid_argument);
  EXPECT_EQ(code(0, 0, staging.bytes()), errc::none);
}

TEST(file_source, is_read_only) {
  const two_blocks made;
  const model read = made.open(file_io::automatic);
  EXPECT_FALSE(read.source()->is_writable());
  EXPECT_EQ(read.source()->pinned_block(0), nullptr);
  EXPECT_EQ(read.source()->write(0, 0, {}).why().code, errc::read_only);
}

TEST(file_source, reports_a_file_that_was_cut_short_after_registration) {
  for (const file_io io : every_mode) {
    const two_blocks made;
    const model read = made.open(io);
    std::filesystem::resize_file(made.file, std::filesystem::file_size(made.file) - 1);
    sources::source& from = *read.source();
    const slab staging(from.max_chunk_bytes());
    sources::piece_list pieces;
    const std::uint32_t last = from.chunk_count(1) - 1;
    const sources::status cut = from.read_chunk(1, last, staging.bytes(), pieces);
    EXPECT_EQ(cut.why().code, errc::io_error);
    EXPECT_EQ(cut.why().native_code, ENODATA);
    EXPECT_EQ(pieces.count, 0u);
    EXPECT_TRUE(from.read_chunk(1, last - 1, staging.bytes(), pieces)) << "what is still there can be read";
    EXPECT_EQ(read_block(read, 0).size(), 100'000u);
  }
}

TEST(file_source, reads_without_allocating) {
  const two_blocks made;
  for (const file_io io : every_mode) {
    const model read = made.open(io);
    sources::source& from = *read.source();
    const slab staging(from.max_chunk_bytes());
    sources::piece_list pieces;
    const std::size_t before = allocations_so_far();
    for (std::uint32_t chunk = 0; chunk < from.chunk_count(0); ++chunk) {
      static_cast<void>(from.read_chunk(0, chunk, staging.bytes(), pieces));
    }
    static_cast<void>(from.read_chunk(9, 9, staging.bytes(), pieces));
    EXPECT_EQ(allocations_so_far() - before, 0u);
  }
  const std::size_t before = allocations_so_far();
  EXPECT_FALSE(std::vector<int>(100).empty());
  EXPECT_GT(allocations_so_far(), before) << "allocations are counted";
}

TEST(file_source, outlives_its_model_and_its_file) {
  const two_blocks made;
  std::shared_ptr<sources::source> from = made.open(file_io::automatic).source();
  std::filesystem::remove(made.file);
  const slab staging(from->max_chunk_bytes());
  sources::piece_list pieces;
  EXPECT_TRUE(from->read_chunk(1, 0, staging.bytes(), pieces));
  EXPECT_EQ(pieces.count, 1u);
}

}  // namespace
}  // namespace pinrail::test
