#include "sources/tensor_groups.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <unordered_set>
#include <utility>

#include "sources/block_pattern.hpp"
#include "sources/checked.hpp"
#include "sources/messages.hpp"

namespace pinrail::sources {

namespace {

constexpr std::size_t names_in_messages = 5;

/// The first few tensors, for people who mistyped a pattern.
std::string some_names(std::span<const located_tensor> tensors) {
  if (tensors.empty()) return "there are no tensors";
  std::string names;
  for (const located_tensor& each : tensors.first(std::min(tensors.size(), names_in_messages))) {
    names += (names.empty() ? "" : ", ") + in_quotes(each.tensor->name);
  }
  return fmt::format("the {} tensors are {}{}", tensors.size(), names,
                     tensors.size() > names_in_messages ? ", ..." : "");
}

/// Sorts tensors into blocks, one at a time.
class grouper {
 public:
  explicit grouper(std::vector<block_pattern> patterns)
      : patterns_(std::move(patterns)), blocks_(patterns_.size()), matches_(patterns_.size()) {}

  void add(std::uint32_t index, std::string_view name);
  /// Every pattern has a block.
  void check_patterns(std::span<const located_tensor> tensors) const;
  std::vector<tensor_group> take(const safetensors_options& options);

 private:
  struct numbered_block {
    std::string_view number;
    std::vector<std::uint32_t> tensors;
  };
  using numbered_blocks = std::map<std::string_view, numbered_block, numeric_less>;

  std::vector<block_pattern> patterns_;
  std::vector<numbered_blocks> blocks_;  // of each pattern
  std::vector<std::size_t> matches_;     // of each pattern, those taken by an earlier one included
  std::vector<std::uint32_t> rest_;
};

void grouper::add(std::uint32_t index, std::string_view name) {
  bool is_taken = false;
  for (std::size_t p = 0; p < patterns_.size(); ++p) {
    const std::string_view number = patterns_[p].match(name);
    if (number.empty()) continue;
    ++matches_[p];
    if (std::exchange(is_taken, true)) continue;
    numbered_block& block = blocks_[p].try_emplace(number, numbered_block{number, {}}).first->second;
    if (block.number != number) {
      throw_invalid(fmt::format("block pattern {}: tensor {} has number {}, which another tensor writes as {}",
                                in_quotes(patterns_[p].text()), in_quotes(name), printable(number),
                                printable(block.number)));
    }
    block.tensors.push_back(index);
  }
  if (!is_taken) rest_.push_back(index);
}

void grouper::check_patterns(std::span<const located_tensor> tensors) const {
  for (std::size_t p = 0; p < patterns_.size(); ++p) {
    if (!blocks_[p].empty()) continue;
    const std::string pattern = in_quotes(patterns_[p].text());
    if (matches_[p] > 0) {
      throw_invalid(
          fmt::format("block pattern {}: earlier patterns take all {} tensors that it matches", pattern, matches_[p]));
    }
    throw_invalid(fmt::format("block pattern {} matches no tensor; {}", pattern, some_names(tensors)));
  }
}

std::vector<tensor_group> grouper::take(const safetensors_options& options) {
  std::vector<tensor_group> groups;
  for (std::size_t p = 0; p < patterns_.size(); ++p) {
    for (auto& [number, block] : blocks_[p]) {
      groups.push_back({patterns_[p].block_name(number), std::move(block.tensors)});
    }
  }
  if (!rest_.empty() && options.rest != rest_block::omit) {
    tensor_group rest{options.rest_name, std::move(rest_)};
    groups.insert(options.rest == rest_block::first ? groups.begin() : groups.end(), std::move(rest));
  }
  return groups;
}

std::vector<tensor_group> one_block_per_tensor(std::span<const located_tensor> tensors) {
  std::vector<tensor_group> groups;
  for (std::uint32_t i = 0; i < tensors.size(); ++i) groups.push_back({tensors[i].tensor->name, {i}});
  return groups;
}

void check_names_differ(std::span<const tensor_group> groups) {
  std::unordered_set<std::string_view> names;
  for (const tensor_group& group : groups) {
    if (!names.insert(group.name).second) {
      throw_invalid(
          fmt::format("two blocks are named {}: block_patterns and rest_name must differ more", in_quotes(group.name)));
    }
  }
}

}  // namespace

std::vector<tensor_group> group_tensors(std::span<const located_tensor> tensors, const safetensors_options& options) {
  std::vector<block_pattern> patterns;
  for (const std::string& text : options.block_patterns) patterns.emplace_back(text);
  if (patterns.empty()) {
    std::vector<sized_name> sizes;
    for (const located_tensor& each : tensors) sizes.push_back({each.tensor->name, each.tensor->size_bytes()});
    std::optional<block_pattern> found = automatic_pattern(sizes);
    if (!found) return one_block_per_tensor(tensors);
    patterns.push_back(std::move(*found));
  }
  grouper into(std::move(patterns));
  for (std::uint32_t i = 0; i < tensors.size(); ++i) into.add(i, tensors[i].tensor->name);
  into.check_patterns(tensors);
  std::vector<tensor_group> groups = into.take(options);
  check_names_differ(groups);
  return groups;
}

block_layout lay_out_block(const tensor_group& group, std::span<const located_tensor> tensors,
                           std::uint64_t alignment_bytes) {
  block_layout layout;
  layout.info.name = group.name;
  layout.info.tensors.reserve(group.tensors.size());
  std::optional<std::uint64_t> end = 0;
  for (const std::uint32_t index : group.tensors) {
    const auto& [shard, tensor] = tensors[index];
    const std::optional<std::uint64_t> offset = checked_align_up(*end, alignment_bytes);
    end = offset ? checked_add(*offset, tensor->size_bytes()) : std::nullopt;
    if (!end) throw_invalid(fmt::format("block {} is larger than 2^64 - 1 bytes", in_quotes(group.name)));
    layout.info.tensors.push_back({.name = tensor->name,
                                   .dtype = tensor->dtype,
                                   .shape = tensor->shape,
                                   .offset_bytes = *offset,
                                   .size_bytes = tensor->size_bytes()});
    if (tensor->size_bytes() == 0) continue;
    layout.placements.push_back({.shard = shard,
                                 .file_offset_bytes = tensor->file_offset_bytes,
                                 .block_offset_bytes = *offset,
                                 .size_bytes = tensor->size_bytes()});
  }
  layout.info.size_bytes = *end == 0 ? alignment_bytes : *end;
  return layout;
}

}  // namespace pinrail::sources
