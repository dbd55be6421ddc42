// A live forward pass. Lives in its runtime, so that opening one allocates nothing.
#pragma once

#include <cstdint>
#include <memory>

#include "core/atomic.hpp"
#include "core/passes.hpp"
#include "core/walk.hpp"
#include "residency/use_samples.hpp"

namespace pinrail::residency {

struct alignas(core::cache_line_bytes) pass_state {
  static constexpr std::uint32_t not_open = UINT32_MAX;
  static constexpr std::uint64_t one_use = std::uint64_t{1} << 24;
  static constexpr std::uint64_t open_mask = one_use - 1;

  std::uint32_t slot = not_open;  ///< in runtime_blocks::live_passes()
  std::uint32_t stream = 0;       ///< on the device's timeline
  core::pass_cursor cursor{};
  std::shared_ptr<const core::list_order> list;
  bool wraps = true;
  std::uint64_t deadline_ns = 0;  ///< how long a use may wait

  /// Uses so far, of this pass and of those that had the slot before (bits 24-63), and uses open now (bits
  /// 0-23), in one word: one read-modify-write counts both.
  core::atomic<std::uint64_t> activity{0};

  use_samples samples;

  std::uint64_t pace_mark_ns = 0;    ///< when the pace was last measured
  std::uint64_t pace_mark_uses = 0;  ///< uses at that time
  std::uint64_t pace_ns = 0;

  [[nodiscard]] std::uint64_t uses() const noexcept { return activity.load(core::order::relaxed) / one_use; }
  [[nodiscard]] std::uint64_t open_uses() const noexcept { return activity.load(core::order::seq_cst) & open_mask; }
};

}  // namespace pinrail::residency
