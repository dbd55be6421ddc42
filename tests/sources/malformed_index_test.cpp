// An index that lies about its shards, or that points out of its folder, is refused.

#include <gtest/gtest.h>

#include <cerrno>
#include <string>
#include <vector>

#include "pinrail/model.hpp"
#include "refusal.hpp"
#include "temp_folder.hpp"

namespace pinrail::test {
namespace {

using namespace std::string_literals;

struct index_case {
  std::string name;
  std::string json;
  std::vector<std::string> message_names;
  errc code = errc::malformed_file;
};

void PrintTo(const index_case& c, std::ostream* out) { *out << c.name; }

/// An index whose weight_map has this inside.
std::string map_of(const std::string& entries) { return R"({"weight_map":{)"s + entries + "}}"; }

std::string map_to(const std::string& shard) { return map_of(R"("a":")"s + shard + R"(")"); }

/// Shards in the folder: one.safetensors with tensor a, two.safetensors with tensors b and c.
std::vector<index_case> broken_indexes() {
  return {
      {"empty_file", "", {"only whitespace"}},
      {"not_json", "{", {"not valid JSON"}},
      {"array", "[]", {"0x5B"}},
      {"a_safetensors_file", raw_safetensors("{}"), {"0x02"}},
      {"no_weight_map", R"({"metadata":{"total_size":3}})", {"no weight_map"}},
      {"empty_weight_map", map_of(""), {"weight_map is empty"}},
      {"weight_map_array", R"({"weight_map":[]})", {"weight_map is an array"}},
      {"weight_map_twice",
       R"({"weight_map":{"a":"one.safetensors"},"weight_map":{"a":"one.safetensors"}})",
       {"'weight_map' comes twice"}},
      {"metadata_twice",
       R"({"metadata":1,"metadata":[{}],"weight_map":{"a":"one.safetensors"}})",
       {"'metadata' comes twice"}},
      {"shard_is_number", map_of(R"("a":1)"), {"'a'", "the number 1"}},
      {"shard_is_null", map_of(R"("a":null)"), {"'a'", "null"}},
      {"shard_is_object", map_of(R"("a":{})"), {"'a'", "an object"}},
      {"tensor_twice", map_of(R"("a":"one.safetensors","a":"one.safetensors")"), {"'a' twice"}},
      {"tensor_twice_by_escape", map_of(R"("a":"one.safetensors","\u0061":"two.safetensors")"), {"'a' twice"}},
  };
}

std::vector<index_case> broken_shards() {
  const std::string two = R"("b":"two.safetensors","c":"two.safetensors")";
  return {
      {"absolute_path", map_to("/etc/passwd"), {"'a'", "'/etc/passwd'", "absolute"}},
      {"parent_folder", map_to("../one.safetensors"), {"'a'", "'../one.safetensors'", "'..'"}},
      {"parent_folder_inside", map_to("sub/../../one.safetensors"), {"'sub/../../one.safetensors'", "'..'"}},
      {"parent_folder_escaped", map_to("\\u002e./one.safetensors"), {"'../one.safetensors'", "'..'"}},
      {"same_folder", map_to("./one.safetensors"), {"'./one.safetensors'", "'.'"}},
      {"no_name", map_to(""), {"'a'", "no name"}},
      {"folder_name", map_to("sub/"), {"'sub/'", "folder"}},
      {"nul_in_name", map_to("one.safetensors\\u0000x"), {"'a'", "NUL"}},
      {"shard_missing", map_to("three.safetensors"), {"three.safetensors", "can't be opened"}, errc::io_error},
      {"shard_is_folder", map_to("sub"), {"sub", "folder"}, errc::io_error},
      {"tensor_not_in_shard", map_of(R"("a":"one.safetensors","z":"one.safetensors")"), {"'z'", "'one.safetensors'"}},
      {"tensor_not_in_index", map_of(R"("b":"two.safetensors")"), {"'c'", "'two.safetensors'", "not in weight_map"}},
      {"tensor_in_other_shard",
       map_of(R"("a":"two.safetensors",)"s + two + R"(,"x":"one.safetensors")"),
       {"'a'", "'one.safetensors'", "'two.safetensors'"}},
      {"shard_without_its_tensor",
       map_of(R"("a":"one.safetensors",)"s + two + R"(,"z":"empty.safetensors")"),
       {"'z'", "'empty.safetensors'"}},
      {"same_tensor_in_two_shards", map_of(R"("a":"one.safetensors","d":"copy.safetensors")"), {"'a'", "copy", "one"}},
      {"shard_malformed", map_to("broken.safetensors"), {"broken.safetensors", "has 3 bytes"}},
  };
}

void write_shards(const temp_folder& folder) {
  folder.write("one.safetensors", raw_safetensors(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1));
  folder.write("copy.safetensors", raw_safetensors(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1));
  folder.write("two.safetensors", raw_safetensors(R"({"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                                                  R"("c":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
                                                  2));
  folder.write("empty.safetensors", raw_safetensors("{}"));
  folder.write("broken.safetensors", "abc");
  folder.write("sub/inside.safetensors",
               raw_safetensors(R"({"i":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1));
}

class malformed_index : public testing::TestWithParam<index_case> {};

TEST_P(malformed_index, is_refused) {
  const temp_folder folder;
  write_shards(folder);
  const std::filesystem::path file = folder.write("model.safetensors.index.json", GetParam().json);
  std::vector<std::string> named = GetParam().message_names;
  named.push_back(folder.path().string());
  expect_refusal([&] { static_cast<void>(model_from_safetensors(file)); }, GetParam().code, named);
}

std::string case_name(const testing::TestParamInfo<index_case>& each) { return each.param.name; }

INSTANTIATE_TEST_SUITE_P(json, malformed_index, testing::ValuesIn(broken_indexes()), case_name);
INSTANTIATE_TEST_SUITE_P(shards, malformed_index, testing::ValuesIn(broken_shards()), case_name);

TEST(safetensors_index, reads_shards_in_name_order_and_ignores_other_keys) {
  const temp_folder folder;
  write_shards(folder);
  const auto file =
      folder.write("x.index.json", R"({"metadata":{"total_size":1e99,"a":[{"a":null}],"b":"c"},"version":-1,
      "weight_map":{"i":"sub/inside.safetensors","c":"two.safetensors","a":"one.safetensors","b":"two.safetensors"}})");
  const model read = model_from_safetensors(file);
  ASSERT_EQ(read.blocks().size(), 4u);
  EXPECT_EQ(read.blocks()[0].name, "a");
  EXPECT_EQ(read.blocks()[1].name, "i");
  EXPECT_EQ(read.blocks()[2].name, "b");
  EXPECT_EQ(read.blocks()[3].name, "c");
}

TEST(safetensors_index, follows_links_out_of_the_folder_as_the_hugging_face_cache_has_them) {
  const temp_folder folder;
  folder.write("blobs/0123abcd", raw_safetensors(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1));
  std::filesystem::create_directories(folder.path() / "snapshots");
  std::filesystem::create_symlink("../blobs/0123abcd", folder.path() / "snapshots/one.safetensors");
  const auto file = folder.write("snapshots/model.safetensors.index.json", map_to("one.safetensors"));
  EXPECT_EQ(model_from_safetensors(file).blocks().size(), 1u);
}

TEST(safetensors_index, is_limited_as_headers_are) {
  const temp_folder folder;
  write_shards(folder);
  const auto file = folder.write("big.json", map_to("one.safetensors") + std::string(1000, ' '));
  expect_refusal([&] { static_cast<void>(model_from_safetensors(file, {.max_header_bytes = 1000})); },
                 errc::malformed_file, {file.string(), "limit is 1000"});
}

TEST(safetensors_index, in_the_current_folder_has_its_shards_there) {
  const temp_folder folder;
  write_shards(folder);
  folder.write("here.json", map_to("one.safetensors"));
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  EXPECT_EQ(model_from_safetensors(std::filesystem::path("here.json")).blocks().size(), 1u);
  std::filesystem::current_path(before);
}

}  // namespace
}  // namespace pinrail::test
