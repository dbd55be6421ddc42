// The input is text: lines with block patterns, an empty line, and lines with tensor names.
//
// Grouping is refused with errc::invalid_argument, or puts each tensor in the block that a plain reading of the
// patterns gives, blocks in the order of patterns and numbers. Without patterns, the automatic one covers most bytes.
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/support/expect.hpp"
#include "pinrail/model.hpp"
#include "sources/block_pattern.hpp"
#include "sources/tensor_groups.hpp"

using namespace pinrail;

namespace {

struct input {
  std::vector<std::string> patterns;
  std::vector<sources::header_tensor> tensors;  // in file order, names differ
};

input read_input(std::string_view text) {
  input in;
  std::set<std::string_view> seen;
  bool names = false;
  std::uint64_t offset = 0;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (!names && line.empty()) {
      names = true;
    } else if (!names) {
      in.patterns.emplace_back(line);
    } else if (seen.insert(line).second) {
      const std::uint64_t size = line.size() % 5;  // some are empty
      in.tensors.push_back({.name = std::string(line),
                            .dtype = "U8",
                            .shape = {size},
                            .data_offsets = {offset, offset + size},
                            .file_offset_bytes = offset});
      offset += size;
    }
  }
  return in;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// The number that stands in `name` where "{}" does in `pattern`, with its digits as they are; none if there is none.
std::optional<std::string> number_in(std::string_view pattern, std::string_view name) {
  const std::size_t at = pattern.find("{}");
  std::size_t end = at;
  while (end < name.size() && is_digit(name[end])) ++end;
  if (end == at || name.substr(0, at) != pattern.substr(0, at)) return std::nullopt;
  const std::string_view after = pattern.substr(at + 2);
  if (name.substr(end, after.size()) != after) return std::nullopt;
  return std::string(name.substr(at, end - at));
}

/// Sorts as the number it is.
std::pair<std::size_t, std::string> rank_of(std::string number) {
  number.erase(0, std::min(number.find_first_not_of('0'), number.size() - 1));
  return {number.size(), number};
}

std::string block_name(std::string pattern, const std::string& number) {
  pattern.replace(pattern.find("{}"), 2, number);
  if (pattern.ends_with('.')) pattern.pop_back();
  return pattern;
}

/// What the groups must be; rest first.
std::vector<sources::tensor_group> expected_groups(const input& in, const std::vector<std::string>& patterns) {
  std::map<std::pair<std::size_t, std::pair<std::size_t, std::string>>, sources::tensor_group> blocks;
  sources::tensor_group rest{"rest", {}};
  for (std::uint32_t i = 0; i < in.tensors.size(); ++i) {
    bool taken = false;
    for (std::size_t p = 0; p < patterns.size() && !taken; ++p) {
      const auto number = number_in(patterns[p], in.tensors[i].name);
      if (!number) continue;
      auto& block = blocks[{p, rank_of(*number)}];
      block.name = block_name(patterns[p], *number);
      block.tensors.push_back(i);
      taken = true;
    }
    if (!taken) rest.tensors.push_back(i);
  }
  std::vector<sources::tensor_group> all;
  if (!rest.tensors.empty()) all.push_back(std::move(rest));
  for (auto& [key, block] : blocks) all.push_back(std::move(block));
  return all;
}

/// Bytes that a prefix "...{}." covers, if two numbers or more stand there.
std::optional<std::uint64_t> coverage(const input& in, const std::string& pattern) {
  std::set<std::string> numbers;
  std::uint64_t bytes = 0;
  for (const sources::header_tensor& tensor : in.tensors) {
    const auto number = number_in(pattern, tensor.name);
    if (!number) continue;
    numbers.insert(*number);
    bytes += tensor.size_bytes();
  }
  return numbers.size() < 2 ? std::nullopt : std::optional(bytes);
}

/// Every prefix "...{}." that a name has.
std::set<std::string> prefixes(const input& in) {
  std::set<std::string> all;
  for (const sources::header_tensor& tensor : in.tensors) {
    const std::string& name = tensor.name;
    for (std::size_t begin = 0; begin < name.size();) {
      const std::size_t end = name.find('.', begin);
      if (end == name.npos) break;
      bool digits = end > begin && name.find("{}") >= begin;
      for (std::size_t i = begin; i < end; ++i) digits = digits && is_digit(name[i]);
      if (digits) all.insert(name.substr(0, begin) + "{}.");
      begin = end + 1;
    }
  }
  return all;
}

/// Long names, and names with many numbers in them, are cut: see automatic_pattern. Here they are left out.
bool is_cut(const input& in) {
  for (const sources::header_tensor& tensor : in.tensors) {
    if (tensor.name.size() > 512) return true;
    std::size_t dots = 0;
    for (const char c : tensor.name) dots += c == '.';
    if (dots > 8) return true;
  }
  return false;
}

std::optional<std::string> expected_automatic(const input& in) {
  std::optional<std::string> best;
  std::uint64_t most = 0;
  for (const std::string& candidate : prefixes(in)) {  // in their order, which decides between equals of one length
    const auto bytes = coverage(in, candidate);
    if (!bytes) continue;
    if (best && (*bytes < most || (*bytes == most && candidate.size() >= best->size()))) continue;
    best = candidate;
    most = *bytes;
  }
  return best;
}

void expect_automatic(const input& in, const std::optional<std::string>& found) {
  if (is_cut(in)) return;
  const auto expected = expected_automatic(in);
  fuzz::expect(found == expected, "the automatic pattern is '{}', and not '{}'", found.value_or("(none)"),
               expected.value_or("(none)"));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const input in = read_input({reinterpret_cast<const char*>(data), size});
  std::vector<sources::located_tensor> located;
  std::vector<sources::sized_name> names;
  for (const sources::header_tensor& tensor : in.tensors) {
    located.push_back({0, &tensor});
    names.push_back({tensor.name, tensor.size_bytes()});
  }

  std::vector<std::string> patterns = in.patterns;
  if (patterns.empty()) {
    const auto found = sources::automatic_pattern(names);
    expect_automatic(in, found ? std::optional(found->text()) : std::nullopt);
    if (found) patterns.push_back(found->text());
  }
  const safetensors_options options{.block_patterns = in.patterns};
  std::vector<sources::tensor_group> groups;
  const auto refused =
      fuzz::refusal({errc::invalid_argument}, [&] { groups = sources::group_tensors(located, options); });
  if (refused || patterns.empty()) return 0;
  const auto expected = expected_groups(in, patterns);
  fuzz::expect(groups.size() == expected.size(), "{} blocks, and not {}", groups.size(), expected.size());
  for (std::size_t i = 0; i < groups.size(); ++i)
    fuzz::expect(groups[i].name == expected[i].name && groups[i].tensors == expected[i].tensors,
                 "block {} is '{}' of {} tensors, and not '{}' of {}", i, groups[i].name, groups[i].tensors.size(),
                 expected[i].name, expected[i].tensors.size());
  return 0;
}
