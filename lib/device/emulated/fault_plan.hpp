// Faults on request, and the count of calls that could fail.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "core/atomic.hpp"
#include "pinrail/emulated.hpp"
#include "pinrail/error.hpp"

namespace pinrail::devices {

/// Thread-safety: any thread may call anything. While no fault is planned, `enter` takes no lock, so that it
/// orders nothing between the threads that call the device.
class fault_plan {
 public:
  /// Throws `errc::invalid_argument` for a code that a device does not give.
  void inject(const emulated::fault& what);
  /// Forgets what is planned. A lost device stays lost.
  void clear() noexcept;

  /// Counts one call, and says how it must fail, if it must.
  [[nodiscard]] std::optional<failure> enter(emulated::call which) noexcept;
  [[nodiscard]] bool armed() const noexcept { return armed_.load(core::order::acquire); }
  [[nodiscard]] bool lost() const noexcept { return lost_.load(core::order::acquire); }
  [[nodiscard]] std::uint64_t calls_made() const noexcept { return calls_.load(core::order::relaxed); }

 private:
  [[nodiscard]] errc take_due(emulated::call which) noexcept;

  core::atomic<std::uint64_t> calls_{0};
  core::atomic<bool> lost_{false};
  core::atomic<bool> armed_{false};  ///< something is planned; changes under the lock
  std::mutex mutex_;
  std::vector<emulated::fault> planned_;
};

}  // namespace pinrail::devices
