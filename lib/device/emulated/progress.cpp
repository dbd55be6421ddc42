#include "device/emulated/progress.hpp"

#include <algorithm>

namespace pinrail::devices {

void progress::complete(std::uint64_t number, std::uint64_t end_ns) {
  const std::lock_guard lock(mutex_);
  completed_ = number;
  end_ns_[number % remembered] = end_ns;
  // Under the lock: a waiter that is not yet asleep would otherwise be free to end this object's life.
  if (waiting_ != 0) changed_.notify_all();
}

bool progress::is_complete(std::uint64_t number) const {
  const std::lock_guard lock(mutex_);
  return completed_ >= number;
}

std::uint64_t progress::wait(std::uint64_t number) {
  std::unique_lock lock(mutex_);
  ++waiting_;
  changed_.wait(lock, [&] { return completed_ >= number; });
  --waiting_;
  return end_of(number);
}

std::uint64_t progress::end_of(std::uint64_t number) const noexcept {
  if (number == 0) return 0;
  const std::uint64_t oldest = completed_ < remembered ? 1 : completed_ - remembered + 1;
  return end_ns_[std::max(number, oldest) % remembered];
}

}  // namespace pinrail::devices
