// Tensor names with a block's number in them: "transformer_blocks.{}." matches
// "transformer_blocks.12.norm.weight".
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pinrail::sources {

class block_pattern {
 public:
  /// Throws errc::invalid_argument unless `text` has exactly one "{}".
  explicit block_pattern(std::string text);

  [[nodiscard]] const std::string& text() const noexcept { return text_; }
  /// The number in a name that starts with the pattern: all the digits that stand where "{}" does. Empty: no
  /// match.
  [[nodiscard]] std::string_view match(std::string_view name) const noexcept;
  /// "transformer_blocks.12": the pattern with its number, without a dot at the end.
  [[nodiscard]] std::string block_name(std::string_view number) const;

 private:
  std::string text_;
  std::size_t number_at_;
};

/// Orders runs of digits by value, however long they are; "7" and "07" are equal.
struct numeric_less {
  [[nodiscard]] bool operator()(std::string_view a, std::string_view b) const noexcept;
};

struct sized_name {
  std::string_view name;
  std::uint64_t size_bytes = 0;
};

/// The pattern for a model whose user gave none: of all prefixes that end in ".{}." (or are "{}."), the one
/// whose tensors have most bytes, among those that have two numbers or more. Of equals, the shortest: the
/// outermost. Empty: no name has such a part in its first 512 bytes.
[[nodiscard]] std::optional<block_pattern> automatic_pattern(std::span<const sized_name> tensors);

}  // namespace pinrail::sources
