// The blocks of a runtime, as a range of their indices.
//
// std::views::iota would do, but clang before 16 rejects the one of libstdc++.
#pragma once

#include <cstddef>
#include <iterator>

#include "pinrail/model.hpp"

namespace pinrail {

/// 0, 1, 2 ... size() - 1.
class block_range {
 public:
  class iterator {
   public:
    using iterator_concept = std::bidirectional_iterator_tag;
    using iterator_category = std::input_iterator_tag;  // of before C++20: dereferencing gives no reference
    using value_type = block_index;
    using difference_type = std::ptrdiff_t;
    using reference = block_index;
    using pointer = void;

    iterator() = default;
    constexpr explicit iterator(block_index at) noexcept : at_(at) {}

    constexpr block_index operator*() const noexcept { return at_; }
    constexpr iterator& operator++() noexcept { return ++at_, *this; }
    constexpr iterator operator++(int) noexcept { return iterator(at_++); }
    constexpr iterator& operator--() noexcept { return --at_, *this; }
    constexpr iterator operator--(int) noexcept { return iterator(at_--); }
    friend constexpr bool operator==(const iterator&, const iterator&) = default;

   private:
    block_index at_ = 0;
  };

  constexpr explicit block_range(block_index size) noexcept : size_(size) {}

  [[nodiscard]] constexpr iterator begin() const noexcept { return iterator(0); }
  [[nodiscard]] constexpr iterator end() const noexcept { return iterator(size_); }
  [[nodiscard]] constexpr block_index size() const noexcept { return size_; }
  [[nodiscard]] constexpr bool empty() const noexcept { return size_ == 0; }

 private:
  block_index size_;
};

}  // namespace pinrail
