// Vector clocks over the streams of a device.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace pinrail::devices {

/// A moment in the life of one stream. Times start at 1; time 0 is before everything.
struct stamp {
  std::uint32_t stream = 0;
  std::uint64_t time = 0;
  friend bool operator==(const stamp&, const stamp&) = default;
};

/// For each stream, the latest moment that is known to be over.
class vector_clock {
 public:
  [[nodiscard]] std::uint64_t at(std::uint32_t stream) const noexcept {
    return stream < times_.size() ? times_[stream] : 0;
  }
  [[nodiscard]] bool covers(const stamp& moment) const noexcept { return at(moment.stream) >= moment.time; }

  void set(std::uint32_t stream, std::uint64_t time) {
    if (stream >= times_.size()) times_.resize(std::size_t{stream} + 1);
    times_[stream] = time;
  }
  void join(const vector_clock& other) {
    if (times_.size() < other.times_.size()) times_.resize(other.times_.size());
    for (std::size_t i = 0; i < other.times_.size(); ++i) times_[i] = std::max(times_[i], other.times_[i]);
  }

 private:
  std::vector<std::uint64_t> times_;
};

}  // namespace pinrail::devices
