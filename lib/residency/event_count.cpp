#include "residency/event_count.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <ctime>

namespace pinrail::residency {
namespace order = core::order;

void event_count::wait(std::uint32_t key, std::uint64_t limit_ns) noexcept {
  const std::uint64_t ns = std::min(limit_ns, slice_ns);
  const timespec timeout{.tv_sec = static_cast<time_t>(ns / 1'000'000'000),
                         .tv_nsec = static_cast<long>(ns % 1'000'000'000)};
  static_assert(sizeof(epoch_) == sizeof(std::uint32_t));
  syscall(SYS_futex, &epoch_, FUTEX_WAIT_PRIVATE, key, &timeout, nullptr, 0);
  waiters_.fetch_sub(1, order::relaxed);
}

void event_count::wake() noexcept {
  epoch_.fetch_add(1, order::seq_cst);
  syscall(SYS_futex, &epoch_, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace pinrail::residency
