// Victims: choosing a block over all runtimes that a request may take from, and evicting it.
#pragma once

#include <cstdint>
#include <optional>

#include "core/claim.hpp"
#include "core/selection.hpp"
#include "pinrail/statistics.hpp"
#include "residency/scheduler_state.hpp"

namespace pinrail::residency {

using core::native_atomics;
using selection = core::selection<native_atomics>;

/// Who wants room, and what it may do for it.
struct room_request {
  runtime_state* runtime = nullptr;  ///< null: for bytes of the budget
  std::uint32_t pages = 0;
  bool demand = true;  ///< someone waits; else a prefetch
  eviction_cause cause = eviction_cause::demand;
  /// Prefetch: victims must be needed later than this.
  double later_than_ns = 0;
  /// Last resorts of demands (see selection_limits, and rule 5).
  bool waiting_windows = false;
  bool extreme = false;
  /// Have the best dirty block written back, whatever the clean ones are: they did not do.
  bool write_back = false;
  /// Look at every block, not only at the heads.
  bool every_block = false;
  /// Only the request's own runtime: it has its share.
  bool own_only = false;
  /// Whose blocks may go.
  enum class victims : std::uint8_t { anyone, idle_runtimes, nobody };
  victims from = victims::anyone;
  /// For moves: only blocks and free pages that no kernel or copy uses any more, so that nothing waits for one.
  bool quiet = false;

  [[nodiscard]] core::requester relation_to(const runtime_state& r) const noexcept {
    if (&r == runtime) return core::requester::owner;
    return extreme ? core::requester::other_extreme : core::requester::other;
  }
};

/// Everything that must be done before a block's memory is written again: its load, its uses.
inline void read_fences(const core::block<native_atomics>& block, fence_set& out) noexcept {
  static_assert(fence_set::capacity > core::last_uses<native_atomics>::capacity, "all of them fit");
  out.clear();
  (void)out.add(core::ticket(block.ready.load(core::order::relaxed)));
  for (std::size_t i = 0; i < block.uses.capacity; ++i) (void)out.add(block.uses.read(i));
}

/// The best victim now. A dirty block that would be better is written back in the background, to be one later.
/// Inside a `reading`.
[[nodiscard]] std::optional<core::victim> choose_victim(scheduler_state& s, const room_request& request) noexcept;

/// Evicts one block if the protocol allows it: its pages are then the caller's, held and charged to the budget.
/// Inside a `reading`.
[[nodiscard]] bool evict_block(scheduler_state& s, runtime_state& r, std::uint32_t position, core::requester who,
                               eviction_cause cause, extent& out) noexcept;

/// A claim fails only because someone else got on with that block; this many in a row and the caller waits.
inline constexpr int claim_attempts = 32;

/// Evicts a chosen block.
[[nodiscard]] bool evict_chosen(scheduler_state& s, const room_request& request, const core::victim& v,
                                extent& out) noexcept;
/// Chooses and evicts until a claim succeeds.
[[nodiscard]] bool evict_best(scheduler_state& s, const room_request& request, extent& out) noexcept;

/// Evicts and frees. Inside a `reading`.
bool evict_and_free(scheduler_state& s, runtime_state& r, std::uint32_t position, eviction_cause cause) noexcept;

/// Frees every block of a runtime that can be; asks for dirty ones to be written back first.
/// Returns how many are still there.
std::uint64_t evict_all(scheduler_state& s, runtime_state& r, eviction_cause cause) noexcept;

}  // namespace pinrail::residency
