// A safetensors file that breaks the format in any way is refused, and the message names the file, the tensor
// and the value. Each case is one file.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "pinrail/model.hpp"
#include "refusal.hpp"
#include "temp_folder.hpp"

namespace pinrail::test {
namespace {

using namespace std::string_literals;

struct malformed_case {
  std::string name;
  std::string bytes;
  std::vector<std::string> message_names;
};

void PrintTo(const malformed_case& c, std::ostream* out) { *out << c.name; }

/// A header with one tensor, "w", with these fields.
std::string with_tensor(const std::string& fields, std::size_t data_bytes) {
  return raw_safetensors("{\"w\":{"s + fields + "}}", data_bytes);
}

std::string with_shape(const std::string& shape, std::size_t data_bytes) {
  return with_tensor(R"("dtype":"F32","shape":)"s + shape + R"(,"data_offsets":[0,)" + std::to_string(data_bytes) + "]",
                     data_bytes);
}

std::string with_offsets(const std::string& offsets, std::size_t data_bytes) {
  return with_tensor(R"("dtype":"U8","shape":[8],"data_offsets":)"s + offsets, data_bytes);
}

/// "name":{U8 tensor of these bytes}
std::string bytes_tensor(const std::string& name, std::uint64_t begin, std::uint64_t end) {
  return "\""s + name + R"(":{"dtype":"U8","shape":[)" + std::to_string(end - begin) + R"(],"data_offsets":[)" +
         std::to_string(begin) + "," + std::to_string(end) + "]}";
}

std::vector<malformed_case> broken_lengths() {
  return {
      {"empty_file", "", {"has 0 bytes"}},
      {"seven_bytes", "1234567", {"has 7 bytes", "8"}},
      {"no_header", header_length(0), {"only whitespace"}},
      {"length_2_63", header_length(1ull << 63) + "{}", {"9223372036854775808", "limit is 100000000"}},
      {"length_max", header_length(UINT64_MAX) + "{}", {"18446744073709551615", "limit is 100000000"}},
      {"length_above_limit", header_length(100'000'001), {"100000001", "100000000"}},
      {"length_above_file", header_length(3) + "{}", {"header of 3 bytes", "file of 10 bytes"}},
      {"length_is_big_endian", std::string("\0\0\0\0\0\0\0\2", 8) + "{}", {"144115188075855872"}},
  };
}

std::vector<malformed_case> broken_json() {
  const std::string good = bytes_tensor("w", 0, 8);
  return {
      {"only_spaces", raw_safetensors("    "), {"only whitespace"}},
      {"array", raw_safetensors("[]"), {"0x5B"}},
      {"byte_order_mark", raw_safetensors("\xEF\xBB\xBF{}"), {"0xEF"}},
      {"not_json", raw_safetensors("{w}"), {"not valid JSON", "byte 2"}},
      {"cut", raw_safetensors("{"s + good, 8), {"not valid JSON"}},
      {"trailing_comma", raw_safetensors("{"s + good + ",}", 8), {"not valid JSON"}},
      {"two_objects", raw_safetensors("{}{}"), {"not valid JSON", "byte 3"}},
      {"nul_padding", raw_safetensors(std::string("{}\0\0", 4)), {"byte 2 is NUL"}},
      {"hidden_behind_nul", raw_safetensors(std::string("{}\0{\"w\":1}", 10)), {"byte 2 is NUL"}},
      {"comment", raw_safetensors("{/* */}"), {"not valid JSON"}},
      {"not_utf8_name", raw_safetensors("{"s + bytes_tensor("w\xFF", 0, 8) + "}", 8), {"not valid JSON", "UTF-8"}},
      {"overlong_utf8", raw_safetensors("{"s + bytes_tensor("\xC0\xAF", 0, 8) + "}", 8), {"UTF-8"}},
      {"lone_surrogate", raw_safetensors("{"s + bytes_tensor("\\ud800", 0, 8) + "}", 8), {"not valid JSON"}},
      {"control_character", raw_safetensors("{"s + bytes_tensor("a\nb", 0, 8) + "}", 8), {"not valid JSON"}},
      {"deep_nesting", with_shape(std::string(100'000, '['), 8), {"'w'", "shape has an array"}},
      {"long_bad_token", raw_safetensors("{\""s + std::string(100'000, 'x')), {"not valid JSON"}},
      {"tensor_twice", raw_safetensors("{"s + good + "," + good + "}", 8), {"'w'", "twice"}},
      {"tensor_twice_by_escape",
       raw_safetensors("{"s + good + "," + bytes_tensor("\\u0077", 8, 16) + "}", 16),
       {"'w'", "twice"}},
  };
}

std::vector<malformed_case> broken_metadata() {
  return {
      {"metadata_null", raw_safetensors(R"({"__metadata__":null})"), {"__metadata__ is null"}},
      {"metadata_text", raw_safetensors(R"({"__metadata__":"pt"})"), {"__metadata__ is a string"}},
      {"metadata_number", raw_safetensors(R"({"__metadata__":{"format":1}})"), {"__metadata__", "the number 1"}},
      {"metadata_nested", raw_safetensors(R"({"__metadata__":{"a":{}}})"), {"__metadata__", "an object"}},
      {"metadata_twice", raw_safetensors(R"({"__metadata__":{},"__metadata__":{}})"), {"'__metadata__'", "twice"}},
      {"metadata_key_twice", raw_safetensors(R"({"__metadata__":{"k":"1","k":"1"}})"), {"__metadata__", "'k' twice"}},
  };
}

std::vector<malformed_case> broken_fields() {
  return {
      {"entry_number", raw_safetensors(R"({"w":5})"), {"'w'", "the number 5"}},
      {"entry_array", raw_safetensors(R"({"w":[]})"), {"'w'", "an array"}},
      {"no_dtype", with_tensor(R"("shape":[8],"data_offsets":[0,8])", 8), {"'w'", "no field 'dtype'"}},
      {"no_shape", with_tensor(R"("dtype":"U8","data_offsets":[0,8])", 8), {"'w'", "no field 'shape'"}},
      {"no_offsets", with_tensor(R"("dtype":"U8","shape":[8])", 8), {"'w'", "no field 'data_offsets'"}},
      {"dtype_twice",
       with_tensor(R"("dtype":"U8","dtype":"U8","shape":[8],"data_offsets":[0,8])", 8),
       {"'w'", "'dtype' comes twice"}},
      {"unknown_field",
       with_tensor(R"("dtype":"U8","shape":[8],"data_offsets":[0,8],"codec":"zip")", 8),
       {"'w'", "unknown field 'codec'"}},
      {"dtype_number",
       with_tensor(R"("dtype":8,"shape":[8],"data_offsets":[0,8])", 8),
       {"'w'", "dtype is the number 8"}},
      {"dtype_unknown", with_tensor(R"("dtype":"F7","shape":[8],"data_offsets":[0,8])", 8), {"'w'", "'F7'", "BF16"}},
      {"dtype_lower_case", with_tensor(R"("dtype":"u8","shape":[8],"data_offsets":[0,8])", 8), {"'w'", "'u8'"}},
      {"dtype_with_line_feed", with_tensor(R"("dtype":"U8\n","shape":[8],"data_offsets":[0,8])", 8), {R"('U8\x0A')"}},
  };
}

std::vector<malformed_case> broken_shapes() {
  return {
      {"shape_number", with_shape("2", 8), {"'w'", "shape is the number 2"}},
      {"shape_negative", with_shape("[-2]", 8), {"'w'", "-2"}},
      {"shape_minus_zero", with_shape("[-0]", 0), {"'w'", "-0"}},
      {"shape_fraction", with_shape("[2.0]", 8), {"'w'", "2.0"}},
      {"shape_exponent", with_shape("[2e0]", 8), {"'w'", "2e0"}},
      {"shape_text", with_shape("[\"2\"]", 8), {"'w'", "a string"}},
      {"shape_null", with_shape("[null]", 8), {"'w'", "null"}},
      {"shape_2_64", with_shape("[18446744073709551616]", 8), {"'w'", "18446744073709551616"}},
      {"shape_overflow", with_shape("[4294967296,4294967296]", 8), {"'w'", "[4294967296, 4294967296]", "2^64"}},
      {"shape_overflow_before_zero", with_shape("[4294967296,4294967296,0]", 0), {"'w'", "2^64"}},
      {"bits_overflow", with_shape("[2305843009213693952]", 0), {"'w'", "F32 [2305843009213693952]", "2^64"}},
      {"shape_too_small", with_shape("[1]", 8), {"'w'", "hold 8 bytes", "needs 4"}},
      {"shape_too_large", with_shape("[3]", 8), {"'w'", "hold 8 bytes", "F32 [3] needs 12"}},
      {"scalar_of_two", with_shape("[]", 8), {"'w'", "F32 [] needs 4"}},
      {"half_bytes", with_tensor(R"("dtype":"F4","shape":[3],"data_offsets":[0,2])", 2), {"'w'", "F4 [3]", "12 bits"}},
      {"six_bit_sizes", with_tensor(R"("dtype":"F6_E2M3","shape":[4],"data_offsets":[0,4])", 4), {"'w'", "needs 3"}},
      {"long_shape",
       with_shape("[2"s + std::string(20'000, ' ') + std::string(",1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]"), 4),
       {"17 dimensions"}},
  };
}

std::vector<malformed_case> broken_offsets() {
  const std::string a = bytes_tensor("a", 0, 8);
  const std::string hostile_name(50'000, 'n');
  return {
      {"offsets_object", with_offsets("{}", 8), {"'w'", "data_offsets is an object"}},
      {"offsets_empty", with_offsets("[]", 8), {"'w'", "0 numbers"}},
      {"offsets_one", with_offsets("[0]", 8), {"'w'", "1 numbers"}},
      {"offsets_three", with_offsets("[0,8,16]", 8), {"'w'", "16 is the third"}},
      {"offsets_negative", with_offsets("[-1,7]", 8), {"'w'", "-1"}},
      {"offsets_swapped", with_offsets("[8,0]", 8), {"'w'", "[8, 0]", "end before they begin"}},
      {"offsets_after_file", with_offsets("[0,8]", 7), {"'w'", "[0, 8]", "7 bytes"}},
      {"offsets_huge", with_offsets("[18446744073709551607,18446744073709551615]", 8), {"'w'", "18446744073709551615"}},
      {"hole_at_start", with_offsets("[1,9]", 9), {"'w'", "hole of 1 bytes"}},
      {"hole_between",
       raw_safetensors("{"s + a + "," + bytes_tensor("b", 9, 17) + "}", 17),
       {"'b'", "hole of 1 bytes"}},
      {"overlap",
       raw_safetensors("{"s + a + "," + bytes_tensor("b", 7, 15) + "}", 15),
       {"'b'", "inside of tensor 'a'"}},
      {"same_bytes",
       raw_safetensors("{"s + a + "," + bytes_tensor("b", 0, 8) + "}", 8),
       {"'b'", "inside of tensor 'a'"}},
      {"empty_inside",
       raw_safetensors("{"s + a + "," + bytes_tensor("b", 4, 4) + "}", 8),
       {"'b'", "inside of tensor 'a'"}},
      {"empty_in_hole", raw_safetensors("{"s + a + "," + bytes_tensor("b", 9, 9) + "}", 9), {"'b'", "hole of 1 bytes"}},
      {"trailing_data", raw_safetensors("{"s + a + "}", 11), {"3 bytes of trailing data"}},
      {"data_without_tensors", raw_safetensors("{}", 1), {"1 bytes of trailing data"}},
      {"hostile_name", raw_safetensors("{"s + bytes_tensor(hostile_name, 1, 9) + "}", 9), {"nnnn", "(50000 bytes)"}},
  };
}

class malformed_header : public testing::TestWithParam<malformed_case> {};

TEST_P(malformed_header, is_refused) {
  const temp_folder folder;
  const std::filesystem::path file = folder.write("broken.safetensors", GetParam().bytes);
  std::vector<std::string> named = GetParam().message_names;
  named.push_back(file.string());
  expect_refusal([&] { static_cast<void>(model_from_safetensors(file)); }, errc::malformed_file, named);
}

TEST(malformed_header_message, does_not_repeat_what_it_could_not_read) {
  const temp_folder folder;
  const auto file = folder.write("broken.safetensors", raw_safetensors("{\"" + std::string(100, 'x')));
  const std::optional<error> refused = caught([&] { static_cast<void>(model_from_safetensors(file)); });
  ASSERT_TRUE(refused);
  EXPECT_THAT(refused->what(), testing::Not(testing::HasSubstr("xx")));
}

TEST_P(malformed_header, is_refused_as_the_second_shard) {
  const temp_folder folder;
  const std::filesystem::path good =
      folder.write("good.safetensors", raw_safetensors("{"s + bytes_tensor("first", 0, 3) + "}", 3));
  const std::filesystem::path file = folder.write("broken.safetensors", GetParam().bytes);
  expect_refusal(
      [&] {
        static_cast<void>(model_from_safetensors({good, file}));
      },
      errc::malformed_file, {file.string()});
}

std::string case_name(const testing::TestParamInfo<malformed_case>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(length, malformed_header, testing::ValuesIn(broken_lengths()), case_name);
INSTANTIATE_TEST_SUITE_P(json, malformed_header, testing::ValuesIn(broken_json()), case_name);
INSTANTIATE_TEST_SUITE_P(metadata, malformed_header, testing::ValuesIn(broken_metadata()), case_name);
INSTANTIATE_TEST_SUITE_P(fields, malformed_header, testing::ValuesIn(broken_fields()), case_name);
INSTANTIATE_TEST_SUITE_P(shapes, malformed_header, testing::ValuesIn(broken_shapes()), case_name);
INSTANTIATE_TEST_SUITE_P(offsets, malformed_header, testing::ValuesIn(broken_offsets()), case_name);

}  // namespace
}  // namespace pinrail::test
