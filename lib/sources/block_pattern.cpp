#include "sources/block_pattern.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>

#include "sources/messages.hpp"

namespace pinrail::sources {

namespace {

constexpr std::string_view placeholder = "{}";

// A name can be as long as a header, and can be nothing but numbers: "0.0.0...". These keep what is
// remembered per name in proportion to it.
constexpr std::size_t longest_prefix_bytes = 512;
constexpr std::size_t most_numbers = 8;

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

std::string_view leading_digits(std::string_view text) noexcept {
  return text.substr(0, static_cast<std::size_t>(std::find_if_not(text.begin(), text.end(), is_digit) - text.begin()));
}

std::string_view without_leading_zeros(std::string_view digits) noexcept {
  while (digits.size() > 1 && digits.front() == '0') digits.remove_prefix(1);
  return digits;
}

/// What is known of the tensors under one prefix.
struct coverage {
  std::uint64_t size_bytes = 0;  // may wrap in absurd files; it only decides between patterns
  std::string_view first_number;
  bool has_several_numbers = false;
};

using coverage_by_prefix = std::map<std::string, coverage, std::less<>>;

void count_prefixes(const sized_name& tensor, coverage_by_prefix& prefixes) {
  const std::string_view name = tensor.name.substr(0, longest_prefix_bytes);
  std::size_t numbers = 0;
  for (std::size_t begin = 0; begin < name.size() && numbers < most_numbers;) {
    const std::size_t end = name.find('.', begin);
    const std::string_view before = name.substr(0, begin);
    if (end == name.npos || before.find(placeholder) != before.npos) return;
    const std::string_view part = name.substr(begin, end - begin);
    if (!part.empty() && leading_digits(part) == part) {
      ++numbers;
      coverage& seen = prefixes[fmt::format("{}{}.", before, placeholder)];
      seen.size_bytes += tensor.size_bytes;
      if (seen.first_number.empty()) seen.first_number = part;
      if (seen.first_number != part) seen.has_several_numbers = true;
    }
    begin = end + 1;
  }
}

}  // namespace

block_pattern::block_pattern(std::string text) : text_(std::move(text)), number_at_(text_.find(placeholder)) {
  if (number_at_ == text_.npos || text_.find(placeholder, number_at_ + placeholder.size()) != text_.npos) {
    throw_invalid(
        fmt::format("block pattern {} must have exactly one '{{}}' for the block's number", in_quotes(text_)));
  }
}

std::string_view block_pattern::match(std::string_view name) const noexcept {
  const std::string_view before = std::string_view(text_).substr(0, number_at_);
  const std::string_view after = std::string_view(text_).substr(number_at_ + placeholder.size());
  if (!name.starts_with(before)) return {};
  name.remove_prefix(before.size());
  const std::string_view number = leading_digits(name);
  return name.substr(number.size()).starts_with(after) ? number : std::string_view();
}

std::string block_pattern::block_name(std::string_view number) const {
  std::string name = text_;
  name.replace(number_at_, placeholder.size(), number);
  if (name.ends_with('.')) name.pop_back();
  return name;
}

bool numeric_less::operator()(std::string_view a, std::string_view b) const noexcept {
  a = without_leading_zeros(a);
  b = without_leading_zeros(b);
  return a.size() != b.size() ? a.size() < b.size() : a < b;
}

std::optional<block_pattern> automatic_pattern(std::span<const sized_name> tensors) {
  coverage_by_prefix prefixes;
  for (const sized_name& tensor : tensors) count_prefixes(tensor, prefixes);
  const coverage_by_prefix::value_type* best = nullptr;
  for (const auto& candidate : prefixes) {
    if (!candidate.second.has_several_numbers) continue;
    const bool is_better =
        best == nullptr || candidate.second.size_bytes > best->second.size_bytes ||
        (candidate.second.size_bytes == best->second.size_bytes && candidate.first.size() < best->first.size());
    if (is_better) best = &candidate;
  }
  return best == nullptr ? std::nullopt : std::optional(block_pattern(best->first));
}

}  // namespace pinrail::sources
