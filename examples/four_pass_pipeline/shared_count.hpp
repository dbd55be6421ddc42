// Counters that several threads share.
#pragma once

#include <atomic>
#include <cstdint>

namespace examples {

class shared_count {
 public:
  /// The value before.
  std::uint64_t add(std::uint64_t n = 1) noexcept { return value_.fetch_add(n, std::memory_order_relaxed); }
  void raise_to(std::uint64_t n) noexcept {
    std::uint64_t seen = value();
    while (seen < n && !value_.compare_exchange_weak(seen, n, std::memory_order_relaxed)) {
    }
  }
  [[nodiscard]] std::uint64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

}  // namespace examples
