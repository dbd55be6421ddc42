// The scheduler: one per device. Owns the budget, every runtime's residency, copies and eviction.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pinrail/device.hpp"
#include "pinrail/error.hpp"
#include "pinrail/guards.hpp"
#include "pinrail/model.hpp"
#include "pinrail/options.hpp"
#include "pinrail/runtime.hpp"
#include "pinrail/statistics.hpp"

namespace pinrail {

/// The budget of a scheduler. All sizes in whole pages.
class budget_control {
 public:
  /// Takes bytes out of the budget; evicts what it must, waiting up to the deadline. Throws
  /// `errc::insufficient_headroom` if reservations leave no room, `errc::no_victim` with the blockers named if
  /// nothing could be evicted in time.
  byte_reservation reserve_bytes(std::uint64_t size_bytes, std::string_view name, const byte_options& options = {});
  [[nodiscard]] result<byte_reservation> try_reserve_bytes(std::uint64_t size_bytes, std::string_view name,
                                                           const byte_options& options = {}) noexcept;

  [[nodiscard]] std::uint64_t total_bytes() const noexcept;
  [[nodiscard]] std::uint64_t used_bytes() const noexcept;
  [[nodiscard]] std::uint64_t reserved_bytes() const noexcept;
  /// total less reserved: what guests and new reservations can be granted.
  [[nodiscard]] std::uint64_t headroom_bytes() const noexcept;

 private:
  friend class scheduler;
  std::shared_ptr<residency::scheduler_state> state_;
};

class scheduler {
 public:
  /// Allocates the arena and starts one thread (none on a simulated device). The device must have been made by
  /// `open_device`, and is kept alive. Throws `errc::invalid_argument`, `errc::out_of_memory`.
  explicit scheduler(pinrail::device& on, const scheduler_options& options = {});
  scheduler(scheduler&&) noexcept = default;
  scheduler& operator=(scheduler&&) = delete;
  /// Wakes who waits (their calls fail with `errc::closed`), waits until uses have ended and the device is done,
  /// writes dirty blocks back, frees. Handles that are still alive become inert.
  ~scheduler();

  /// Registers a model; its blocks are frozen in execution order. Throws `errc::limit`, `errc::invalid_argument`,
  /// and `errc::too_large` if a block can never fit.
  runtime add_runtime(std::string name, model blocks);
  /// Forgets a runtime: its blocks leave. Throws `errc::in_use`, naming by what, while it has guards, a
  /// reservation, guests, passes, uses, or protected blocks. Nothing changes then.
  void remove_runtime(const runtime& target);

  [[nodiscard]] budget_control& budget() noexcept { return budget_; }
  /// Changes the budget while everything runs. Growing is immediate, up to the arena. Shrinking evicts, waiting
  /// up to `deadline` (default: load_deadline); if that fails the old budget stays, and `errc::no_victim` names
  /// the blockers; `errc::insufficient_headroom` if reservations don't fit, `errc::too_large` beyond the arena.
  void set_vram_budget(std::uint64_t size_bytes, std::optional<std::chrono::nanoseconds> deadline = std::nullopt);
  [[nodiscard]] result<void> try_set_vram_budget(
      std::uint64_t size_bytes, std::optional<std::chrono::nanoseconds> deadline = std::nullopt) noexcept;

  [[nodiscard]] pinrail::statistics statistics() const;
  /// Who holds bytes that can't be evicted now, largest first.
  [[nodiscard]] std::vector<blocker> blockers() const;
  /// The first error that no caller could be told: in a destructor, a prefetch, a write-back.
  [[nodiscard]] std::optional<std::string> first_error() const;
  /// Waits on the CPU until every load and every write-back that is under way is done on the device. Where the device
  /// can't be waited for it is lost.
  void synchronize();

  [[nodiscard]] pinrail::device& device() const noexcept;

 private:
  friend class workspace;
  std::shared_ptr<residency::scheduler_state> state_;
  budget_control budget_;
};

}  // namespace pinrail
