// The examples' writer: its files are what the format says, and they appear whole or not at all.

#include "common/safetensors_writer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "random_model.hpp"
#include "temp_folder.hpp"

namespace pinrail::test {
namespace {

using examples::tensor_to_write;
using examples::write_safetensors;
using examples::write_sharded_safetensors;
using nlohmann::json;

std::string content(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

TEST(safetensors_writer, writes_the_format) {
  const temp_folder folder;
  const std::vector<tensor_to_write> tensors = {
      {"a \"b\"", "BF16", {2, 3}}, {"scalar", "F32", {}}, {"none", "U8", {0}}};
  write_safetensors(folder.path() / "m.safetensors", tensors, fill_tensor,
                    {.buffer_bytes = 5, .metadata = {{"format", "pt"}}});
  const std::string bytes = content(folder.path() / "m.safetensors");
  const auto length =
      static_cast<std::size_t>(static_cast<unsigned char>(bytes[0]) + 256 * static_cast<unsigned char>(bytes[1]));
  EXPECT_EQ(bytes.substr(2, 6), std::string(6, '\0'));
  EXPECT_EQ(length % 8, 0u);
  ASSERT_EQ(bytes.size(), 8 + length + 16);
  EXPECT_EQ(json::parse(bytes.substr(8, length)), json::parse(R"({"__metadata__":{"format":"pt"},
                            "a \"b\"":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]},
                            "scalar":{"dtype":"F32","shape":[],"data_offsets":[12,16]},
                            "none":{"dtype":"U8","shape":[0],"data_offsets":[16,16]}})"));
  std::vector<std::byte> data(16);
  fill_tensor(tensors[0], 0, std::span(data).first(12));
  fill_tensor(tensors[1], 0, std::span(data).last(4));
  EXPECT_EQ(bytes.substr(8 + length), std::string(reinterpret_cast<const char*>(data.data()), data.size()));
}

TEST(safetensors_writer, splits_into_shards_with_an_index) {
  const temp_folder folder;
  const std::vector<tensor_to_write> tensors = {
      {"a", "U8", {10}}, {"b", "U8", {10}}, {"c", "U8", {25}}, {"d", "U8", {1}}};
  const auto written = write_sharded_safetensors(folder.path(), tensors, fill_tensor, {.max_shard_bytes = 20});
  EXPECT_THAT(names_in(folder.path()),
              testing::ElementsAre("model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors",
                                   "model-00003-of-00003.safetensors", "model.safetensors.index.json"));
  EXPECT_EQ(written.entry.filename(), "model.safetensors.index.json");
  EXPECT_EQ(written.shards.size(), 3u);
  EXPECT_EQ(written.total_bytes, 46u);
  EXPECT_EQ(json::parse(content(written.entry)), json::parse(R"({"metadata":{"total_size":46},"weight_map":{
      "a":"model-00001-of-00003.safetensors","b":"model-00001-of-00003.safetensors",
      "c":"model-00002-of-00003.safetensors","d":"model-00003-of-00003.safetensors"}})"));
}

TEST(safetensors_writer, needs_no_index_for_one_file) {
  const temp_folder folder;
  const std::vector<tensor_to_write> tensors = {{"a", "U8", {10}}};
  EXPECT_EQ(write_sharded_safetensors(folder.path(), tensors, fill_tensor).entry, folder.path() / "model.safetensors");
  EXPECT_EQ(write_sharded_safetensors(folder.path(), {}, fill_tensor, {.stem = "none"}).shards.size(), 1u);
  EXPECT_THAT(names_in(folder.path()), testing::ElementsAre("model.safetensors", "none.safetensors"));
}

TEST(safetensors_writer, leaves_nothing_behind_when_it_fails) {
  const temp_folder folder;
  const std::vector<tensor_to_write> tensors = {{"a", "U8", {10}}};
  const auto failing = [](const tensor_to_write&, std::uint64_t, std::span<std::byte>) {
    throw std::runtime_error("no");
  };
  EXPECT_THROW(write_safetensors(folder.path() / "m.safetensors", tensors, failing), std::runtime_error);
  EXPECT_THAT(names_in(folder.path()), testing::IsEmpty());
  folder.write("m.safetensors", "old");
  EXPECT_THROW(write_safetensors(folder.path() / "m.safetensors", tensors, failing), std::runtime_error);
  EXPECT_EQ(content(folder.path() / "m.safetensors"), "old");
  write_safetensors(folder.path() / "m.safetensors", tensors, fill_tensor);
  EXPECT_THAT(names_in(folder.path()), testing::ElementsAre("m.safetensors"));
  EXPECT_NE(content(folder.path() / "m.safetensors"), "old");
}

TEST(safetensors_writer, refuses_what_it_cannot_write) {
  const temp_folder folder;
  const auto write = [&](std::vector<tensor_to_write> tensors) {
    write_safetensors(folder.path() / "m.safetensors", tensors, fill_tensor);
  };
  EXPECT_THROW(write({{"a", "U8", {1}}, {"a", "U8", {1}}}), std::invalid_argument);
  EXPECT_THROW(write({{"__metadata__", "U8", {1}}}), std::invalid_argument);
  EXPECT_THROW(write({{"a", "F7", {1}}}), std::invalid_argument);
  EXPECT_THROW(write({{"a", "F4", {1}}}), std::invalid_argument);
  EXPECT_THROW(write({{"a", "F64", {1ull << 32, 1ull << 32}}}), std::invalid_argument);
  EXPECT_THROW(write_safetensors(folder.path() / "absent/m.safetensors", {}, fill_tensor), std::system_error);
  EXPECT_THAT(names_in(folder.path()), testing::IsEmpty());
}

}  // namespace
}  // namespace pinrail::test
