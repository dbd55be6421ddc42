// What registering safetensors files accepts, what it refuses besides malformed headers, and what it costs.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "pinrail/model.hpp"
#include "reading.hpp"
#include "refusal.hpp"
#include "sources/safetensors_dtype.hpp"
#include "temp_folder.hpp"

namespace pinrail::test {
namespace {

using namespace std::string_literals;

constexpr const char* one_byte = R"({"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})";

model open(const std::filesystem::path& file, const safetensors_options& options = {}) {
  return model_from_safetensors(file, options);
}

/// `file` can't be opened: io_error with this errno, and the file named.
void expect_io_error(const std::filesystem::path& file, int native_code) {
  const std::optional<error> refused = caught([&] { static_cast<void>(open(file)); });
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->code(), errc::io_error);
  EXPECT_EQ(refused->native_code(), native_code);
  EXPECT_THAT(refused->what(), testing::HasSubstr(file.string()));
}

TEST(registration, refuses_what_is_no_file) {
  const temp_folder folder;
  expect_io_error(folder.path() / "absent.safetensors", ENOENT);
  expect_io_error(folder.path() / "absent.json", ENOENT);
  expect_io_error(folder.path(), EISDIR);
  expect_io_error("/dev/zero", ESPIPE);
  const std::filesystem::path pipe = folder.path() / "pipe.safetensors";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  expect_io_error(pipe, ESPIPE);  // and does not wait for a writer
  std::filesystem::create_symlink("loop.safetensors", folder.path() / "loop.safetensors");
  expect_io_error(folder.path() / "loop.safetensors", ELOOP);
}

TEST(registration, refuses_huge_claims_quickly) {
  const temp_folder folder;
  const auto file = folder.write("sparse.safetensors", header_length(99'999'999));
  std::filesystem::resize_file(file, std::uint64_t{1} << 40);
  const auto begin = std::chrono::steady_clock::now();
  expect_refusal([&] { static_cast<void>(open(file)); }, errc::malformed_file, {"0x00"});
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

TEST(registration, limits_the_plan_for_a_sparse_file) {
  const temp_folder folder;
  const std::string size = std::to_string(std::uint64_t{1} << 40);
  const std::string json = R"({"w":{"dtype":"U8","shape":[)"s + size + R"(],"data_offsets":[0,)" + size + "]}}";
  const auto file = folder.write("sparse.safetensors", raw_safetensors(json));
  std::filesystem::resize_file(file, 8 + json.size() + (std::uint64_t{1} << 40));
  expect_refusal([&] { static_cast<void>(open(file, {.chunk_bytes = 4096})); }, errc::limit, {"chunk_bytes", "4096"});
  const model read = open(file);
  EXPECT_EQ(read.size_bytes(), std::uint64_t{1} << 40);
  const slab staging(read.source()->max_chunk_bytes());
  sources::piece_list pieces;
  EXPECT_TRUE(read.source()->read_chunk(0, read.source()->chunk_count(0) - 1, staging.bytes(), pieces));
}

TEST(registration, checks_options) {
  const temp_folder folder;
  const auto file = folder.write("w.safetensors", raw_safetensors(one_byte, 1));
  const auto refused = [&](const safetensors_options& options, const std::vector<std::string>& fragments) {
    expect_refusal([&] { static_cast<void>(open(file, options)); }, errc::invalid_argument, fragments);
  };
  refused({.alignment_bytes = 0}, {"alignment_bytes", "0"});
  refused({.alignment_bytes = 257}, {"alignment_bytes", "257"});
  refused({.chunk_bytes = 0}, {"chunk_bytes", "0"});
  refused({.chunk_bytes = 4095}, {"chunk_bytes", "4095", "4096"});
  refused({.chunk_bytes = std::uint64_t{1} << 63}, {"chunk_bytes", "9223372036854775808", "1073741824"});
  refused({.rest = static_cast<rest_block>(9)}, {"rest", "9"});
  refused({.io = static_cast<file_io>(9)}, {"io", "9"});
  expect_refusal([] { static_cast<void>(model_from_safetensors(std::vector<std::filesystem::path>{})); },
                 errc::invalid_argument, {"list of shards is empty"});
  expect_refusal([&] { static_cast<void>(open(file, {.max_header_bytes = 20})); }, errc::malformed_file,
                 {file.string(), "limit is 20"});
}

TEST(registration, refuses_one_tensor_in_two_shards) {
  const temp_folder folder;
  const auto one = folder.write("one.safetensors", raw_safetensors(one_byte, 1));
  const auto two = folder.write("two.safetensors", raw_safetensors(one_byte, 1));
  expect_refusal(
      [&] {
        static_cast<void>(model_from_safetensors({one, two}));
      },
      errc::malformed_file, {one.string(), two.string(), "'w'"});
  expect_refusal(
      [&] {
        static_cast<void>(model_from_safetensors({one, one}));
      },
      errc::malformed_file, {one.string(), "'w'"});
}

TEST(registration, accepts_a_file_without_tensors) {
  const temp_folder folder;
  for (const char* json : {"{}", " \t\r\n{ }  \n", R"({"__metadata__":{"format":"pt","empty":""}})"}) {
    const model read = open(folder.write("empty.safetensors", raw_safetensors(json)));
    EXPECT_TRUE(read.blocks().empty()) << json;
    EXPECT_EQ(read.size_bytes(), 0u);
  }
}

TEST(registration, accepts_scalars_and_empty_tensors) {
  const temp_folder folder;
  const model read = open(folder.write("w.safetensors", raw_safetensors(R"({
      "none":{"dtype":"F32","shape":[4,0],"data_offsets":[4,4]},
      "scalar":{"dtype":"F32","shape":[],"data_offsets":[0,4]},
      "also none":{"dtype":"BF16","shape":[0],"data_offsets":[0,0]}})",
                                                                        4)));
  ASSERT_EQ(read.blocks().size(), 3u);
  EXPECT_EQ(read.blocks()[0].name, "also none");
  EXPECT_EQ(read.blocks()[0].size_bytes, 256u) << "a block has an address, so it has bytes";
  EXPECT_EQ(read_block(read, 0), std::vector<std::byte>(256, untouched));
  EXPECT_EQ(read.blocks()[1].name, "scalar");
  EXPECT_EQ(read_text(read, 1), "dddd");
  EXPECT_EQ(read.blocks()[1].tensors[0].shape, std::vector<std::uint64_t>{});
  EXPECT_EQ(read.blocks()[2].tensors[0].shape, (std::vector<std::uint64_t>{4, 0}));
}

TEST(registration, accepts_any_order_of_the_header_and_of_fields) {
  const temp_folder folder;
  const model read = open(folder.write("w.safetensors", raw_safetensors(R"({
      "second":{"data_offsets":[2,3],"shape":[1],"dtype":"BOOL"},"__metadata__":{},
      "first":{"shape":[1],"dtype":"F16","data_offsets":[0,2]}})",
                                                                        3)));
  ASSERT_EQ(read.blocks().size(), 2u);
  EXPECT_EQ(read.blocks()[0].name, "first");
  EXPECT_EQ(read.blocks()[1].name, "second");
  EXPECT_EQ(read.blocks()[1].tensors[0].dtype, "BOOL");
}

TEST(registration, accepts_odd_names) {
  const temp_folder folder;
  const model read = open(folder.write("w.safetensors", raw_safetensors(R"({
      "":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},
      "\u0000\u00e9\ud83d\ude00":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
                                                                        2)));
  ASSERT_EQ(read.blocks().size(), 2u);
  EXPECT_EQ(read.blocks()[0].name, "");
  EXPECT_EQ(read.blocks()[1].name, std::string("\0é😀", 7));
}

TEST(registration, knows_the_sizes_of_all_types) {
  const std::vector<std::pair<std::string, std::uint64_t>> bits = {
      {"BOOL", 8},    {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6},     {"U8", 8},          {"I8", 8},
      {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"I16", 16},
      {"U16", 16},    {"F16", 16},    {"BF16", 16},   {"I32", 32},        {"U32", 32},        {"F32", 32},
      {"C64", 64},    {"F64", 64},    {"I64", 64},    {"U64", 64}};
  const temp_folder folder;
  for (const auto& [dtype, bit_count] : bits) {
    EXPECT_EQ(sources::dtype_bits(dtype), bit_count);
    const std::string json =
        R"({"w":{"dtype":")"s + dtype + R"(","shape":[2,4],"data_offsets":[0,)" + std::to_string(bit_count) + "]}}";
    EXPECT_EQ(open(folder.write("w.safetensors", raw_safetensors(json, bit_count))).size_bytes(), bit_count);
  }
}

std::size_t open_files() {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
}

/// How many mappings of the process are of this file.
std::size_t mappings_of(const std::filesystem::path& file) {
  std::ifstream maps("/proc/self/maps");
  std::size_t count = 0;
  for (std::string line; std::getline(maps, line);) count += line.ends_with(file.string()) ? 1 : 0;
  return count;
}

TEST(registration, closes_its_files) {
  const temp_folder folder;
  const auto good = folder.write("good.safetensors", raw_safetensors(one_byte, 1));
  const auto broken = folder.write("broken.safetensors", raw_safetensors(one_byte, 2));
  const std::size_t before = open_files();
  for (const file_io io : {file_io::automatic, file_io::direct, file_io::buffered, file_io::mapped}) {
    {
      const model read = open(good, {.io = io});
      EXPECT_GT(open_files(), before);
      const model copy = read;
      EXPECT_EQ(read_text(copy, 0), "d");
      EXPECT_EQ(mappings_of(good), io == file_io::mapped ? 1u : 0u);
    }
    EXPECT_EQ(mappings_of(good), 0u);
    EXPECT_EQ(open_files(), before);
    EXPECT_THROW(static_cast<void>(model_from_safetensors({good, broken}, {.io = io})), error);
    EXPECT_EQ(open_files(), before);
  }
}

}  // namespace
}  // namespace pinrail::test
