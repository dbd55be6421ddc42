// The emulated device's notion of when work ends.
//
// Threads wake up late. If lateness added up, a device set to 25 GB/s would copy at 23. So each stream and
// each engine keeps, next to real time, the time at which its work ends by the schedule: the time it was
// ready plus what it costs. Real ends come after scheduled ends, but the distance does not grow, and rates
// come out exact.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace pinrail::devices {

/// How far the schedule may lie behind real time. A stall longer than this (a debugger, a starved machine) is
/// not caught up with, so that it is not followed by a burst at memcpy speed.
inline constexpr std::uint64_t longest_lag_ns = 10'000'000;

[[nodiscard]] inline std::uint64_t steady_now_ns() noexcept {
  const auto since_start = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(since_start).count());
}

[[nodiscard]] inline std::uint64_t limit_lag(std::uint64_t scheduled_ns, std::uint64_t now_ns) noexcept {
  return std::max(scheduled_ns, now_ns - std::min(now_ns, longest_lag_ns));
}

}  // namespace pinrail::devices
