// An average of measurements in which one that was disturbed counts little.
#pragma once

#include <algorithm>

namespace pinrail::residency {

/// Exponentially weighted. A sample far above the average is cut: a thread that looked late says nothing of what it
/// measured; a lasting change still arrives after some samples.
class running_average {
 public:
  void add(double sample) noexcept {
    constexpr double newest = 0.2;
    constexpr double most = 1.5;
    if (value_ != 0) sample = std::min(sample, most * value_);
    value_ = value_ == 0 ? sample : (1 - newest) * value_ + newest * sample;
  }
  /// 0: no sample yet.
  [[nodiscard]] double value() const noexcept { return value_; }

 private:
  double value_ = 0;
};

}  // namespace pinrail::residency
