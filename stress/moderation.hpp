// How much of the budget the stress ties up at once, so that most of what it asks for can be granted.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <utility>

namespace stress {

class moderation {
 public:
  /// Bytes that the caller may tie up until the end of its life. Move-only.
  class leave {
   public:
    leave(moderation& from, std::uint64_t bytes) noexcept : from_(&from), bytes_(bytes) {}
    leave(leave&& other) noexcept : from_(std::exchange(other.from_, nullptr)), bytes_(other.bytes_) {}
    leave& operator=(leave&&) = delete;
    ~leave() {
      if (from_ != nullptr) from_->tied_up_.fetch_sub(bytes_, std::memory_order_relaxed);
    }

   private:
    moderation* from_;
    std::uint64_t bytes_;
  };

  explicit moderation(std::uint64_t limit_bytes) noexcept : limit_bytes_(limit_bytes) {}

  /// `greedy` callers are given leave beyond the limit.
  [[nodiscard]] std::optional<leave> ask(std::uint64_t bytes, bool greedy) noexcept {
    const std::uint64_t before = tied_up_.fetch_add(bytes, std::memory_order_relaxed);
    leave mine(*this, bytes);
    if (before + bytes > limit_bytes_ && !greedy) return std::nullopt;
    return mine;
  }

 private:
  std::uint64_t limit_bytes_;
  std::atomic<std::uint64_t> tied_up_{0};
};

}  // namespace stress
