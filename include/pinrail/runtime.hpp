// A runtime: one registered model. A handle, cheap to copy; every member may be called from any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "pinrail/block_pin.hpp"
#include "pinrail/block_range.hpp"
#include "pinrail/forward_pass.hpp"
#include "pinrail/guards.hpp"
#include "pinrail/model.hpp"
#include "pinrail/options.hpp"
#include "pinrail/statistics.hpp"

namespace pinrail {

/// A target is this runtime where none is named. Calls with a target of another scheduler, or of a scheduler
/// that has ended, or of a removed runtime, fail with `errc::invalid_argument` or `errc::closed`.
class runtime {
 public:
  runtime() = default;

  [[nodiscard]] const std::string& name() const noexcept;
  /// 0, 1, 2 ... in execution order.
  [[nodiscard]] block_range blocks() const noexcept { return block_range(block_count()); }
  [[nodiscard]] block_index block_count() const noexcept;
  [[nodiscard]] const block_info& block(block_index index) const;
  [[nodiscard]] std::uint64_t size_bytes() const noexcept;
  [[nodiscard]] runtime_statistics statistics() const;

  /// Is the block on the device, such that no eviction under way can still take it? Under a guard "yes" stays.
  [[nodiscard]] bool is_resident(block_index index) const noexcept;

  // ---- protection: rules 1, 2. Wait-free but for {.load = true} -------------------------------------------
  residency_guard keep_resident(const keep_options& options = {}) const { return keep_resident(*this, options); }
  residency_guard keep_resident(const runtime& target, const keep_options& options = {}) const;
  [[nodiscard]] result<residency_guard> try_keep_resident() const noexcept { return try_keep_resident(*this); }
  [[nodiscard]] result<residency_guard> try_keep_resident(const runtime& target) const noexcept;

  /// Protects chosen blocks. An index out of range is an error and protects nothing.
  block_guard protect_blocks(std::vector<block_index> indices) const;
  [[nodiscard]] result<block_guard> try_protect_blocks(std::vector<block_index> indices) const noexcept;

  // ---- reservations: rules 3 to 6. Lock-free ----------------------------------------------------------------
  reservation reserve_for_resident(const reserve_options& options = {}) const {
    return reserve_for_resident(*this, options);
  }
  reservation reserve_for_resident(const runtime& target, const reserve_options& options = {}) const;
  [[nodiscard]] result<reservation> try_reserve_for_resident(const reserve_options& options = {}) const noexcept {
    return try_reserve_for_resident(*this, options);
  }
  [[nodiscard]] result<reservation> try_reserve_for_resident(const runtime& target,
                                                             const reserve_options& options = {}) const noexcept;
  /// Ends the target's reservation, if it has one. Idempotent. Returns whether this call ended one.
  bool release_reservation() const noexcept { return release_reservation(*this); }
  bool release_reservation(const runtime& target) const noexcept;

  // ---- guests: rule 7. Lock-free ------------------------------------------------------------------------------
  guest_guard as_guest(const runtime& guest) const;
  guest_guard as_guest() const { return as_guest(*this); }
  [[nodiscard]] result<guest_guard> try_as_guest(const runtime& guest) const noexcept;

  // ---- use ------------------------------------------------------------------------------------------------------
  forward_pass managed_forward(stream_ref stream, const pass_options& options = {}) const;
  /// Without text and exceptions; allocates nothing unless the order is a list.
  [[nodiscard]] result<forward_pass> try_managed_forward(stream_ref stream,
                                                         const pass_options& options = {}) const noexcept;

  /// Holds a block without a pass. Loads it first if it is absent, waiting up to scheduler_options::load_deadline;
  /// throws then `errc::no_victim` with the blockers named, or what the load failed with.
  block_pin pin(block_index block) const;
  [[nodiscard]] result<block_pin> try_pin(block_index block) const noexcept;

  [[nodiscard]] const std::shared_ptr<residency::runtime_state>& state() const noexcept { return state_; }
  explicit runtime(std::shared_ptr<residency::runtime_state> state) noexcept : state_(std::move(state)) {}
  friend bool operator==(const runtime& a, const runtime& b) noexcept { return a.state_ == b.state_; }

 private:
  std::shared_ptr<residency::runtime_state> state_;
};

}  // namespace pinrail
