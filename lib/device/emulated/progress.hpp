// How far a stream has come.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace pinrail::devices {

/// The works of a stream are numbered from 1 and end in that order. Work 0 is complete from the start.
/// Outlives its stream where events still refer to it.
///
/// Thread-safety: one thread calls `complete`, any may call the rest.
class progress {
 public:
  /// `end_ns` by the schedule; not less than that of the work before.
  void complete(std::uint64_t number, std::uint64_t end_ns);
  [[nodiscard]] bool is_complete(std::uint64_t number) const;
  /// Blocks until the work is complete. Returns when it ended by the schedule, or a little later time if that
  /// was long ago.
  std::uint64_t wait(std::uint64_t number);

 private:
  static constexpr std::uint64_t remembered = 128;

  [[nodiscard]] std::uint64_t end_of(std::uint64_t number) const noexcept;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t completed_ = 0;
  std::uint32_t waiting_ = 0;
  std::array<std::uint64_t, remembered> end_ns_{};  ///< of the latest works, by number modulo `remembered`
};

}  // namespace pinrail::devices
