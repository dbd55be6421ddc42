// Waiting for bytes or room: the only waiting there is, on a futex and without a lock, so that who notifies
// never meets a waiter that was stopped.
//
//   waiter:   key = prepare(); look at the condition; if it fails wait(key), else cancel()
//   notifier: change the condition; notify()
//
// `notify` costs one load when nobody waits. Its callers change block words with release, not seq_cst, so on some
// machines a waiter may be missed that prepares at the same moment; waits are therefore cut to `slice_ns`, after
// which the condition is looked at again. (On x86-64 read-modify-writes are full fences and none is missed.)
#pragma once

#include <cstdint>

#include "core/atomic.hpp"

namespace pinrail::residency {

class event_count {
 public:
  static constexpr std::uint64_t slice_ns = 2'000'000;

  [[nodiscard]] std::uint32_t prepare() noexcept {
    waiters_.fetch_add(1, core::order::seq_cst);
    return epoch_.load(core::order::seq_cst);
  }
  void cancel() noexcept { waiters_.fetch_sub(1, core::order::relaxed); }
  /// Returns after a notify since `prepare`, after `limit_ns`, or for no reason.
  void wait(std::uint32_t key, std::uint64_t limit_ns) noexcept;

  void notify() noexcept {
    if (waiters_.load(core::order::seq_cst) != 0) wake();
  }
  [[nodiscard]] bool has_waiters() const noexcept { return waiters_.load(core::order::relaxed) != 0; }

 private:
  void wake() noexcept;

  core::atomic<std::uint32_t> epoch_{0};
  core::atomic<std::uint32_t> waiters_{0};
};

}  // namespace pinrail::residency
