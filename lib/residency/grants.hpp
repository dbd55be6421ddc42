// Guards, reservations and guests: what the public handles do, without text and exceptions.
#pragma once

#include <cstdint>
#include <span>

#include "pinrail/options.hpp"
#include "residency/scheduler_state.hpp"

namespace pinrail::residency {

/// Rule 1. Wait-free. Fails with `limit` at 2^23 guards, or `closed`.
[[nodiscard]] result<void> keep(runtime_state& r) noexcept;
void unkeep(runtime_state& r) noexcept;
/// Loads every block of a kept runtime. Fails as a use would.
[[nodiscard]] result<void> load_all(runtime_state& r) noexcept;

/// The positions must be in range. All or none.
[[nodiscard]] result<void> protect(runtime_state& r, std::span<const block_index> positions) noexcept;
void unprotect(runtime_state& r, std::span<const block_index> positions) noexcept;

struct granted_share {
  std::uint64_t pages = 0;
  std::uint32_t epoch = 0;
};

/// A runtime that holds more than its share gives up its own blocks, the farthest first. What is in use stays; the
/// transfer thread comes back for it.
void trim_to_share(scheduler_state& s, runtime_state& r) noexcept;

/// Rules 3 to 5. Lock-free.
[[nodiscard]] result<granted_share> reserve(runtime_state& r, const reserve_options& options) noexcept;
/// Rule 6. Returns whether this call ended a reservation.
bool release(runtime_state& r) noexcept;
bool release(runtime_state& r, std::uint32_t epoch) noexcept;

/// Rule 7. Lock-free.
[[nodiscard]] result<granted_share> enter_guest(runtime_state& r) noexcept;
void leave_guest(runtime_state& r) noexcept;

}  // namespace pinrail::residency
