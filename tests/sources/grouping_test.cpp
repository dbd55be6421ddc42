// Which tensors make which block, in which order, and where they lie in it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "pinrail/model.hpp"
#include "refusal.hpp"
#include "sources/block_pattern.hpp"
#include "sources/tensor_groups.hpp"

namespace pinrail::test {
namespace {

using sources::automatic_pattern;
using sources::block_pattern;
using sources::header_tensor;
using sources::located_tensor;
using sources::tensor_group;
using testing::ElementsAre;

/// Tensors of U8, one after the other in one file.
class tensor_list {
 public:
  explicit tensor_list(std::vector<std::pair<std::string, std::uint64_t>> named) {
    std::uint64_t offset = 0;
    tensors_.reserve(named.size());
    for (auto& [name, size] : named) {
      tensors_.push_back({.name = std::move(name),
                          .dtype = "U8",
                          .shape = {size},
                          .data_offsets = {offset, offset + size},
                          .file_offset_bytes = 100 + offset});
      located_.push_back({0, &tensors_.back()});
      offset += size;
    }
  }
  operator std::span<const located_tensor>() const { return located_; }

 private:
  std::vector<header_tensor> tensors_;
  std::vector<located_tensor> located_;
};

/// The same, of one byte each.
tensor_list names(const std::vector<std::string>& all) {
  std::vector<std::pair<std::string, std::uint64_t>> named;
  for (const std::string& name : all) named.emplace_back(name, 1);
  return tensor_list(std::move(named));
}

/// "name: tensors" for each block.
std::vector<std::string> grouped(const tensor_list& tensors, const safetensors_options& options) {
  const std::span<const located_tensor> located = tensors;
  std::vector<std::string> blocks;
  for (const tensor_group& group : sources::group_tensors(located, options)) {
    std::string text = group.name + ":";
    for (const std::uint32_t index : group.tensors) text.append(" ").append(located[index].tensor->name);
    blocks.push_back(text);
  }
  return blocks;
}

void expect_refused(const tensor_list& tensors, const safetensors_options& options,
                    const std::vector<std::string>& fragments) {
  expect_refusal([&] { static_cast<void>(sources::group_tensors(tensors, options)); }, errc::invalid_argument,
                 fragments);
}

std::string automatic(std::vector<sources::sized_name> tensors) {
  const std::optional<block_pattern> found = automatic_pattern(tensors);
  return found ? found->text() : "none";
}

TEST(block_pattern, needs_one_place_for_the_number) {
  for (const char* text : {"", "blocks", "blocks.{", "blocks.{0}.", "{}.{}.", "{}{}"}) {
    expect_refusal([&] { block_pattern{text}; }, errc::invalid_argument, {text, "{}"});
  }
}

TEST(block_pattern, matches_prefixes_with_all_the_digits) {
  const block_pattern pattern("blocks.{}.");
  EXPECT_EQ(pattern.match("blocks.0.w"), "0");
  EXPECT_EQ(pattern.match("blocks.123."), "123");
  EXPECT_EQ(pattern.match("blocks.99999999999999999999999.w"), "99999999999999999999999");
  for (const char* name : {"", "blocks.", "blocks.0", "blocks..w", "blocks.x.w", "blocks.-1.w", "blocks.1x.w",
                           "Blocks.0.w", "x.blocks.0.w", "blocks. 1.w", "block"}) {
    EXPECT_EQ(pattern.match(name), "") << name;
  }
  EXPECT_EQ(block_pattern("h{}").match("h12w"), "12");
  EXPECT_EQ(block_pattern("{}").match("7"), "7");
}

TEST(block_pattern, names_blocks_without_a_last_dot) {
  EXPECT_EQ(block_pattern("blocks.{}.").block_name("7"), "blocks.7");
  EXPECT_EQ(block_pattern("h{}").block_name("12"), "h12");
  EXPECT_EQ(block_pattern("{}.attn.").block_name("0"), "0.attn");
}

TEST(block_pattern, orders_numbers_of_any_length) {
  const sources::numeric_less less;
  EXPECT_TRUE(less("2", "10"));
  EXPECT_FALSE(less("10", "2"));
  EXPECT_TRUE(less("99999999999999999999998", "99999999999999999999999"));
  EXPECT_FALSE(less("007", "7"));
  EXPECT_FALSE(less("7", "007"));
  EXPECT_TRUE(less("0", "1"));
  EXPECT_FALSE(less("00", "0"));
}

TEST(grouping, orders_blocks_by_pattern_and_then_by_number) {
  const tensor_list tensors = names({"b.10.w", "b.2.w", "a.1.x", "b.2.v", "a.0.x", "norm"});
  const safetensors_options options{.block_patterns = {"b.{}.", "a.{}."}};
  EXPECT_THAT(grouped(tensors, options),
              ElementsAre("rest: norm", "b.2: b.2.w b.2.v", "b.10: b.10.w", "a.0: a.0.x", "a.1: a.1.x"));
}

TEST(grouping, puts_the_rest_where_options_say) {
  const tensor_list tensors = names({"in", "a.0.x", "out"});
  safetensors_options options{.block_patterns = {"a.{}."}, .rest_name = "else"};
  EXPECT_THAT(grouped(tensors, options), ElementsAre("else: in out", "a.0: a.0.x"));
  options.rest = rest_block::last;
  EXPECT_THAT(grouped(tensors, options), ElementsAre("a.0: a.0.x", "else: in out"));
  options.rest = rest_block::omit;
  EXPECT_THAT(grouped(tensors, options), ElementsAre("a.0: a.0.x"));
  options.rest = rest_block::first;
  EXPECT_THAT(grouped(names({"a.0.x"}), options), ElementsAre("a.0: a.0.x")) << "no rest, no block";
}

TEST(grouping, gives_a_tensor_to_the_first_pattern_that_matches) {
  const tensor_list tensors = names({"a.0.mlp.w", "a.0.w", "a.1.w"});
  EXPECT_THAT(grouped(tensors, {.block_patterns = {"a.{}.mlp.", "a.{}."}}),
              ElementsAre("a.0.mlp: a.0.mlp.w", "a.0: a.0.w", "a.1: a.1.w"));
}

TEST(grouping, refuses_patterns_that_no_tensor_goes_to) {
  const tensor_list tensors = names({"a.0.x", "a.1.x", "b", "c", "d", "e", "f"});
  expect_refused(tensors, {.block_patterns = {"a.{}.", "layers.{}."}},
                 {"'layers.{}.'", "7 tensors", "'a.0.x'", "'d'", "..."});
  expect_refused(tensors, {.block_patterns = {"a.{}.", "a.{}."}}, {"'a.{}.'", "earlier", "2"});
  expect_refused(tensors, {.block_patterns = {"a.{}.", "a.{}.{}."}}, {"'a.{}.{}.'", "exactly one"});
  expect_refused(names({}), {.block_patterns = {"a.{}."}}, {"'a.{}.'", "no tensors"});
}

TEST(grouping, refuses_one_number_written_in_two_ways) {
  expect_refused(names({"a.7.x", "a.07.y"}), {.block_patterns = {"a.{}."}}, {"'a.{}.'", "07", "a.07.y"});
}

TEST(grouping, refuses_two_blocks_of_one_name) {
  const tensor_list tensors = names({"a.0.x", "b"});
  expect_refused(tensors, {.block_patterns = {"a.{}."}, .rest_name = "a.0"}, {"'a.0'"});
}

TEST(grouping, without_numbers_has_a_block_for_each_tensor) {
  EXPECT_THAT(grouped(names({"b", "a", "c.weight"}), {}), ElementsAre("b: b", "a: a", "c.weight: c.weight"));
}

TEST(automatic_pattern, covers_most_bytes) {
  EXPECT_EQ(automatic({{"a.0.x", 5}, {"a.1.x", 5}, {"b.0.x", 4}, {"b.1.x", 7}}), "b.{}.");
  EXPECT_EQ(automatic({{"model.layers.0.w", 1}, {"model.layers.1.w", 1}, {"embed", 100}}), "model.layers.{}.");
  EXPECT_EQ(automatic({{"0.w", 1}, {"1.w", 1}}), "{}.");
}

TEST(automatic_pattern, takes_the_outermost_of_equals) {
  EXPECT_EQ(automatic({{"a.0.experts.0.w", 1}, {"a.0.experts.1.w", 1}, {"a.1.w", 0}}), "a.{}.");
  EXPECT_EQ(automatic({{"z.0.w", 1}, {"z.1.w", 1}, {"long.0.w", 1}, {"long.1.w", 1}}), "z.{}.");
  EXPECT_EQ(automatic({{"a.0.experts.0.w", 1}, {"a.0.experts.1.w", 1}, {"a.1.experts.0.w", 1}}), "a.{}.");
}

TEST(automatic_pattern, needs_two_numbers) {
  EXPECT_EQ(automatic({{"module.0.layers.3.w", 9}, {"module.0.layers.4.w", 9}, {"module.0.norm", 50}}),
            "module.0.layers.{}.");
  EXPECT_EQ(automatic({{"a.0.w", 1}, {"a.0.v", 1}}), "none");
  EXPECT_EQ(automatic({{"a", 1}, {"b.weight", 1}, {"p.0", 1}, {"p.1", 1}}), "none");
  EXPECT_EQ(automatic({}), "none");
}

TEST(automatic_pattern, survives_hostile_names) {
  std::string numbers;
  for (int i = 0; i < 1'000'000; ++i) numbers += "0.";
  EXPECT_EQ(automatic({{numbers, 1}, {"a{}.0.w", 1}, {"a{}.1.w", 1}}), "none");
  const std::string longest = std::string(600, 'x');
  EXPECT_EQ(automatic({{longest + ".0.w", 1}, {longest + ".1.w", 1}}), "none");
}

TEST(block_layout, aligns_each_tensor_and_ends_with_the_last) {
  const tensor_list tensors({{"a", 100}, {"b", 256}, {"c", 0}, {"d", 1}});
  const sources::block_layout layout = sources::lay_out_block({"block", {0, 1, 2, 3}}, tensors, 64);
  EXPECT_EQ(layout.info.name, "block");
  ASSERT_EQ(layout.info.tensors.size(), 4u);
  EXPECT_EQ(layout.info.tensors[0].offset_bytes, 0u);
  EXPECT_EQ(layout.info.tensors[1].offset_bytes, 128u);
  EXPECT_EQ(layout.info.tensors[2].offset_bytes, 384u);
  EXPECT_EQ(layout.info.tensors[3].offset_bytes, 384u);
  EXPECT_EQ(layout.info.size_bytes, 385u);
  ASSERT_EQ(layout.placements.size(), 3u) << "an empty tensor is not read";
  EXPECT_EQ(layout.placements[1].file_offset_bytes, 200u);
  EXPECT_EQ(layout.placements[1].block_offset_bytes, 128u);
}

TEST(block_layout, has_an_address_even_without_bytes) {
  const tensor_list tensors({{"a", 0}, {"b", 0}});
  EXPECT_EQ(sources::lay_out_block({"block", {0, 1}}, tensors, 64).info.size_bytes, 64u);
}

TEST(block_layout, refuses_more_than_a_number_holds) {
  const header_tensor huge{.name = "huge", .dtype = "U8", .shape = {}, .data_offsets = {0, UINT64_MAX - 10}};
  const std::vector<located_tensor> tensors = {{0, &huge}, {1, &huge}};
  expect_refusal(
      [&] {
        static_cast<void>(sources::lay_out_block({"block", {0, 1}}, tensors, 256));
      },
      errc::invalid_argument, {"'block'", "2^64"});
}

}  // namespace
}  // namespace pinrail::test
