// Guards: scopes and handles that keep blocks and bytes where they are.
//
// All are move-only, may end on another thread than they began on, and end on exceptions like any destructor. One that
// is assigned to ends what it held.
// Ending one never throws; an error in it is kept in `scheduler::first_error()`. A guard may outlive its
// scheduler: it then guards nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "pinrail/error.hpp"
#include "pinrail/model.hpp"

namespace pinrail {

namespace residency {
class runtime_state;
class scheduler_state;
}  // namespace residency

/// keep_resident: while it lives, nobody chooses a block of the runtime as a victim (rule 1). Guards nest,
/// overlap and compose: protection ends with the last one.
/// Progress: beginning and ending one is wait-free, at any number of blocks.
class [[nodiscard]] residency_guard {
 public:
  residency_guard() = default;
  residency_guard(residency_guard&& other) noexcept = default;
  residency_guard& operator=(residency_guard&& other) noexcept {
    residency_guard taken(std::move(other));  // ends with what this one held
    std::swap(runtime_, taken.runtime_);
    std::swap(trace_id_, taken.trace_id_);
    return *this;
  }
  ~residency_guard() { end(); }

  /// Ends the protection now. Idempotent.
  void end() noexcept;
  /// False for a guard of a runtime without blocks (rule 2), moved from, or ended.
  [[nodiscard]] bool active() const noexcept { return runtime_ != nullptr; }

 private:
  friend class runtime;

  std::shared_ptr<residency::runtime_state> runtime_;
  std::uint64_t trace_id_ = 0;
};

/// reserve_for_resident: a handle to a reservation. The reservation outlives the handle; it ends with
/// `release()` of the newest handle, or with `runtime::release_reservation()`.
/// Thread-safety: as a value; `release` may race with anything. Progress: lock-free.
class reservation {
 public:
  reservation() = default;

  /// Ends the reservation if it is still the one of this handle: a no-op once replaced or released (rule 6).
  /// Returns whether this call ended it.
  bool release() noexcept;
  /// Is it still the reservation that this handle was given?
  [[nodiscard]] bool active() const noexcept;
  /// What was granted, in whole pages.
  [[nodiscard]] std::uint64_t share_bytes() const noexcept { return share_bytes_; }

 private:
  friend class runtime;
  std::shared_ptr<residency::runtime_state> runtime_;
  std::uint32_t epoch_ = 0;
  std::uint64_t share_bytes_ = 0;
};

/// as_guest: while it lives, the runtime may use `share_bytes()` of unreserved memory; at the end of the last
/// such scope its blocks leave (rule 7).
class [[nodiscard]] guest_guard {
 public:
  guest_guard() = default;
  guest_guard(guest_guard&& other) noexcept = default;
  guest_guard& operator=(guest_guard&& other) noexcept {
    guest_guard taken(std::move(other));  // ends with what this one held
    std::swap(runtime_, taken.runtime_);
    std::swap(share_bytes_, taken.share_bytes_);
    std::swap(trace_id_, taken.trace_id_);
    return *this;
  }
  ~guest_guard() { end(); }

  void end() noexcept;
  [[nodiscard]] bool active() const noexcept { return runtime_ != nullptr; }
  [[nodiscard]] std::uint64_t share_bytes() const noexcept { return share_bytes_; }

 private:
  friend class runtime;
  std::shared_ptr<residency::runtime_state> runtime_;
  std::uint64_t share_bytes_ = 0;
  std::uint64_t trace_id_ = 0;
};

/// protect_blocks: as keep_resident, for chosen blocks.
class [[nodiscard]] block_guard {
 public:
  block_guard() = default;
  block_guard(block_guard&& other) noexcept = default;
  block_guard& operator=(block_guard&& other) noexcept {
    block_guard taken(std::move(other));  // ends with what this one held
    std::swap(runtime_, taken.runtime_);
    std::swap(blocks_, taken.blocks_);
    return *this;
  }
  ~block_guard() { end(); }

  void end() noexcept;
  [[nodiscard]] bool active() const noexcept { return runtime_ != nullptr; }

 private:
  friend class runtime;
  std::shared_ptr<residency::runtime_state> runtime_;
  std::vector<block_index> blocks_;
};

/// reserve_bytes: bytes of the budget with no blocks (workspaces, KV cache). Given back at the end.
class [[nodiscard]] byte_reservation {
 public:
  byte_reservation() = default;
  byte_reservation(byte_reservation&& other) noexcept
      : scheduler_(std::move(other.scheduler_)),
        entry_(other.entry_),
        size_bytes_(std::exchange(other.size_bytes_, 0)),
        memory_(std::exchange(other.memory_, nullptr)) {}
  byte_reservation& operator=(byte_reservation&& other) noexcept {
    byte_reservation taken(std::move(other));
    std::swap(scheduler_, taken.scheduler_);
    std::swap(entry_, taken.entry_);
    std::swap(size_bytes_, taken.size_bytes_);
    std::swap(memory_, taken.memory_);
    return *this;
  }
  ~byte_reservation() { end(); }

  /// Gives the bytes back. With memory, the caller's device work on it must be done.
  void end() noexcept;
  [[nodiscard]] bool active() const noexcept { return scheduler_ != nullptr; }
  /// In whole pages.
  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return size_bytes_; }
  /// Device memory, if asked for by `byte_options::with_memory`; else nullptr.
  [[nodiscard]] void* device_ptr() const noexcept { return memory_; }

 private:
  friend class budget_control;
  std::shared_ptr<residency::scheduler_state> scheduler_;
  std::uint32_t entry_ = 0;
  std::uint64_t size_bytes_ = 0;
  std::byte* memory_ = nullptr;
};

}  // namespace pinrail
