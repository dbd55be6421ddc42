// One block's hot fields, on one cache line: what pin, unpin and eviction touch.
#pragma once

#include <cstdint>

#include "core/atomic.hpp"
#include "core/block_word.hpp"
#include "core/page_map.hpp"
#include "core/ticket.hpp"

namespace pinrail::core {

template <class A>
struct alignas(cache_line_bytes) block {
  block_word<A> word;
  /// Where the bytes are: first page and count. Written by the owner of `loading` before publish (W3); atomic
  /// because window searches read it as a hint.
  typename A::template atomic<std::uint64_t> extent{0};
  /// When the bytes are there: the load, the move, or the last use that wrote them.
  typename A::template atomic<std::uint64_t> ready{0};
  last_uses<A> uses;

  [[nodiscard]] page_run run() const noexcept {
    const std::uint64_t packed = extent.load(order::relaxed);
    return {static_cast<std::uint32_t>(packed >> 32), static_cast<std::uint32_t>(packed)};
  }
  void set_run(page_run r) noexcept { extent.store(std::uint64_t{r.first} << 32 | r.count, order::relaxed); }
};

static_assert(sizeof(block<native_atomics>) == cache_line_bytes);

}  // namespace pinrail::core
