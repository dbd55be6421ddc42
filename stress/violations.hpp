// What the oracle found.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

namespace stress {

/// Which check found it.
enum class check : std::uint8_t {
  content,     ///< a kernel read other bytes than the block's
  order,       ///< the device's order checker
  budget,      ///< used or reserved bytes above the budget, or a figure that contradicts another
  protection,  ///< a block that a guard protects has left
  primary,     ///< a block of a primary reservation has left
  secondary,   ///< a block of a secondary reservation has left, uncounted
  extents,     ///< two holders of the same memory, or one block in two places
  lost_bytes,  ///< a source lacks what was written
  leak,        ///< something is left after everything has ended
  errors,      ///< an error that the call doesn't document, or one with no numbers
  handles,     ///< a handle that tells other things than it should
};
inline constexpr std::size_t checks = 11;

[[nodiscard]] const char* to_string(check what) noexcept;

/// Thread-safety: any thread may call anything.
class violations {
 public:
  struct finding {
    check what;
    double after_s;  ///< since the run began
    std::uint64_t round;
    std::string text;
  };

  /// The first few are printed at once: what follows may crash.
  void report(check what, const std::string& text) noexcept;
  void begin_round(std::uint64_t round) noexcept { round_.store(round, std::memory_order_relaxed); }

  [[nodiscard]] bool any() const noexcept { return count_.load(std::memory_order_relaxed) != 0; }
  [[nodiscard]] std::uint64_t count() const noexcept { return count_.load(std::memory_order_relaxed); }
  [[nodiscard]] double elapsed_s() const noexcept;
  /// The first ones.
  [[nodiscard]] std::vector<finding> findings() const;

 private:
  static constexpr std::size_t kept = 20;

  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  std::atomic<std::uint64_t> count_{0};
  std::atomic<std::uint64_t> round_{0};
  mutable std::mutex mutex_;
  std::vector<finding> findings_;
};

}  // namespace stress
