// The candidate bits of one runtime: one bitset per size of block, in execution order.
//
// Runtimes with more than `max_classes` distinct sizes share bitsets between neighbouring sizes; a class then
// has a largest size, which bounds the score of its members.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/bitset.hpp"
#include "core/block_word.hpp"

namespace pinrail::core {

template <class A>
class candidates {
 public:
  static constexpr std::size_t max_classes = 16;

  struct size_class {
    std::uint64_t largest_pages = 0;
    std::unique_ptr<bitset<A>> members;
  };

  explicit candidates(std::span<const std::uint64_t> pages) : class_of_(pages.size()) {
    std::vector<std::uint64_t> sizes(pages.begin(), pages.end());
    std::sort(sizes.begin(), sizes.end());
    sizes.erase(std::unique(sizes.begin(), sizes.end()), sizes.end());
    const std::size_t classes = std::min(sizes.size(), max_classes);
    for (std::size_t c = 0; c < classes; ++c) {
      classes_.push_back({.largest_pages = sizes[(c + 1) * sizes.size() / classes - 1],
                          .members = std::make_unique<bitset<A>>(static_cast<std::uint32_t>(pages.size()))});
    }
    for (std::size_t p = 0; p < pages.size(); ++p) {
      const auto fits = [&](const size_class& c) { return c.largest_pages >= pages[p]; };
      class_of_[p] = static_cast<std::uint8_t>(std::find_if(classes_.begin(), classes_.end(), fits) - classes_.begin());
    }
  }

  void set(std::uint32_t position) noexcept { classes_[class_of_[position]].members->set(position); }
  /// After the block may have stopped being a candidate. The second look keeps E1: if it became one again in the
  /// meantime, whoever made it one set the bit before or after our clear; if before, we see the new word.
  void withdraw(std::uint32_t position, const block_word<A>& word) noexcept {
    bitset<A>& members = *classes_[class_of_[position]].members;
    members.clear(position);
    if (!is_broken<A>(mutant::withdraw_without_second_look) && word.load().candidate()) members.set(position);
  }
  [[nodiscard]] bool test(std::uint32_t position) const noexcept {
    return classes_[class_of_[position]].members->test(position);
  }

  [[nodiscard]] std::span<const size_class> classes() const noexcept { return classes_; }

 private:
  std::vector<size_class> classes_;
  std::vector<std::uint8_t> class_of_;
};

}  // namespace pinrail::core
