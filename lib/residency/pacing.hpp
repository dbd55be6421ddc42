// Pacing of one runtime: measured compute and copy times, and the plan made of them (core/plan.hpp).
//
// Blocks' compute times are measured by when the transfer thread sees their uses end on the device: a use takes from
// the end of the use before it, or from the arrival of its block if that was later. Copy time per page is measured on
// copies that waited for nothing.
//
// A plan is made for a runtime that is walked forward again and again by one pass at a time and is larger than its
// share; it is made anew when share, compute or copy times differ from what it was made for by more than `threshold`.
// Readers find it by a pointer, inside a `scheduler_state::reading`; what is replaced is retired.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/atomic.hpp"
#include "core/plan.hpp"
#include "residency/running_average.hpp"

namespace pinrail::residency {

class runtime_state;
class scheduler_state;

class pacing {
 public:
  explicit pacing(std::uint32_t blocks) : compute_ns_(blocks), ready_ns_(blocks, 0) {}

  /// The plan to follow now, or null. Inside a `reading`.
  [[nodiscard]] const core::plan* plan() const noexcept { return current_.load(core::order::acquire); }
  /// Are uses to be sampled? Only of runtimes that a plan could serve.
  [[nodiscard]] bool samples() const noexcept { return samples_.load(core::order::relaxed) != 0; }

  // ---- transfer thread --------------------------------------------------------------------------------------
  /// A block's bytes were seen to be there.
  void note_arrival(std::uint32_t position, std::uint64_t now_ns) noexcept {
    if (position < ready_ns_.size()) ready_ns_[position] = now_ns;
  }
  /// Takes in the uses that have ended. Often: this is when their ends are seen.
  void take_samples(scheduler_state& s, runtime_state& r) noexcept;
  /// Makes or replaces the plan, if it is time to.
  void update(scheduler_state& s, runtime_state& r, double copy_ns_per_page) noexcept;

 private:
  [[nodiscard]] bool wants_plan(const scheduler_state& s, const runtime_state& r) noexcept;
  [[nodiscard]] bool is_outdated(std::uint64_t share_pages, double compute_ns, double copy_ns_per_page) const noexcept;
  void replace(scheduler_state& s, std::shared_ptr<const core::plan> next) noexcept;
  [[nodiscard]] bool retire_replaced(scheduler_state& s) noexcept;

  core::atomic<const core::plan*> current_{nullptr};
  core::atomic<std::uint32_t> samples_{0};

  // Transfer thread.
  std::vector<running_average> compute_ns_;  ///< by block
  std::vector<std::uint64_t> ready_ns_;      ///< by block: when it last arrived
  std::uint64_t last_end_ns_ = 0;            ///< of a use
  std::shared_ptr<const core::plan> owned_;
  std::shared_ptr<const core::plan> replaced_;  ///< not retired yet
  std::uint64_t made_for_share_pages_ = 0;
  double made_for_compute_ns_ = 0;
  double made_for_copy_ns_per_page_ = 0;
};

/// What a runtime may hold: its share, or, for the only live runtime without one, what nobody has reserved.
[[nodiscard]] std::uint64_t plannable_pages(scheduler_state& s, const runtime_state& r) noexcept;

}  // namespace pinrail::residency
