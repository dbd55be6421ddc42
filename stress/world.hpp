// One device of a round: a scheduler, models, streams, and what the oracle knows about them.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "dice.hpp"
#include "extents.hpp"
#include "moderation.hpp"
#include "options.hpp"
#include "pinrail/pinrail.hpp"
#include "runtime_slot.hpp"
#include "tally.hpp"
#include "violations.hpp"

namespace stress {

/// All of it follows from (seed, round, device).
struct world_plan {
  std::uint32_t device = 0;
  std::string device_spec;
  /// Without the checks that take locks (the device's order checker, the map of extents) more is left for
  /// ThreadSanitizer to see.
  bool order_checked = true;
  pinrail::scheduler_options scheduler;
  std::uint64_t least_budget_bytes = 0;
  std::uint32_t streams = 0;
  std::vector<slot_plan> slots;

  [[nodiscard]] std::uint64_t most_budget_bytes() const noexcept { return scheduler.max_vram_budget; }
};

[[nodiscard]] world_plan draw_world(const options& o, std::uint64_t round, std::uint32_t device);

/// Changes of the budget: between the beginning and the end of one, figures that are read one after the other may
/// belong to different budgets.
class budget_changes {
 public:
  void begin() noexcept { begun_.fetch_add(1, std::memory_order_seq_cst); }
  void end() noexcept { ended_.fetch_add(1, std::memory_order_seq_cst); }
  [[nodiscard]] std::uint64_t begun() const noexcept { return begun_.load(std::memory_order_seq_cst); }
  [[nodiscard]] std::uint64_t ended() const noexcept { return ended_.load(std::memory_order_seq_cst); }

 private:
  std::atomic<std::uint64_t> begun_{0};
  std::atomic<std::uint64_t> ended_{0};
};

class world {
 public:
  world(world_plan plan, violations& found);

  [[nodiscard]] const world_plan& plan() const noexcept { return plan_; }
  [[nodiscard]] violations& found() const noexcept { return found_; }
  void report(check what, const std::string& text) const noexcept;

  [[nodiscard]] pinrail::device& device() const noexcept { return *device_; }
  [[nodiscard]] pinrail::scheduler& sched() noexcept { return *scheduler_; }
  [[nodiscard]] std::uint32_t slot_count() const noexcept { return static_cast<std::uint32_t>(slots_.size()); }
  [[nodiscard]] runtime_slot& slot(std::uint32_t number) noexcept { return slots_[number]; }
  /// A thread has two streams of its own, and there are two for all.
  [[nodiscard]] pinrail::stream_ref stream(std::uint32_t index) const noexcept { return streams_[index]; }
  [[nodiscard]] std::uint32_t own_stream(std::uint32_t thread, dice& d) const noexcept {
    return static_cast<std::uint32_t>(2 * thread + d.below(2));
  }
  [[nodiscard]] std::uint32_t any_stream(std::uint32_t thread, dice& d) const noexcept {
    return d.chance(15) ? static_cast<std::uint32_t>(streams_.size() - 1 - d.below(2)) : own_stream(thread, d);
  }
  [[nodiscard]] std::uint64_t new_owner() noexcept { return owners_.fetch_add(1, std::memory_order_relaxed); }

  /// Device memory in someone's hands. False if it is also someone else's.
  [[nodiscard]] bool take_extent(const void* data, std::uint64_t size_bytes, std::uint64_t owner) {
    return !plan_.order_checked || extents_.add(data, size_bytes, owner);
  }
  void give_extent(const void* data, std::uint64_t owner) {
    if (plan_.order_checked) extents_.remove(data, owner);
  }
  [[nodiscard]] moderation& tied_up() noexcept { return tied_up_; }
  [[nodiscard]] budget_changes& budgets() noexcept { return budgets_; }

  /// Waits for the streams, and checks that the device's checker found nothing.
  void synchronize();
  void check_order() noexcept;
  /// Ends the scheduler. What is left afterwards is a leak.
  void end_scheduler() { scheduler_.reset(); }
  void end_streams() { streams_.clear(); }

  /// Counts of runtimes that were removed, and of all that are still there.
  void count(const pinrail::runtime_statistics& s);
  [[nodiscard]] library_counts counts();

 private:
  world_plan plan_;
  violations& found_;
  std::shared_ptr<pinrail::device> device_;
  std::deque<runtime_slot> slots_;  ///< outlive the scheduler, which writes back at its end
  std::optional<pinrail::scheduler> scheduler_;
  std::vector<pinrail::stream> streams_;
  extents extents_;
  moderation tied_up_;
  budget_changes budgets_;
  std::atomic<std::uint64_t> owners_;
  std::mutex counts_mutex_;
  library_counts counts_;
};

}  // namespace stress
