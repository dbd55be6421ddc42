// The arena: one stretch of device memory, in pages, and who holds them.
//
// A page is free or held. Free pages may still be in use by kernels or copies that were enqueued before they
// were freed: each free page has a fence, the ticket that its next user's stream waits for. Until the fence is
// complete the page counts as used in the budget (rule 10), which is called draining.
//
// Invariants:
//   A1  Fence and owner of a page are written only by who holds the page (page map pairs 16 -> 17).
//   A2  A free page with a fence is counted in `used`; one without is not.
//   A3  Who takes pages gets their fences, and waits for them on the device before it writes.
//
// Progress: take and give are lock-free. `reap` holds pages for a moment while it looks at their fences.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include <boost/lockfree/queue.hpp>

#include "core/budget.hpp"
#include "core/page_grid.hpp"
#include "core/page_map.hpp"
#include "device/backend.hpp"
#include "device/timeline.hpp"
#include "residency/fence_set.hpp"

namespace pinrail::residency {

using core::page_run;

/// A run of held pages, and what to wait for before writing to them.
struct extent {
  page_run run;
  fence_set fences;
};

/// Which block has a page: runtime index and position, or nobody.
struct page_owner {
  std::uint32_t runtime = 0;
  std::uint32_t position = 0;
};

class arena {
 public:
  using budget_word = core::budget_word<core::native_atomics>;

  /// Takes over `memory` (size: that of the grid). `join_stream` orders fences of several streams.
  arena(devices::timeline& timeline, std::uint32_t join_stream, std::byte* memory, const core::page_grid& grid,
        std::uint64_t withheld_pages);

  [[nodiscard]] std::uint32_t pages() const noexcept { return map_.size(); }
  [[nodiscard]] const core::page_grid& grid() const noexcept { return grid_; }
  [[nodiscard]] std::uint64_t pages_for(std::uint64_t size_bytes) const noexcept { return grid_.pages_for(size_bytes); }
  [[nodiscard]] std::byte* address(std::uint32_t page) const noexcept { return memory_ + grid_.offset_bytes(page); }
  /// The page that begins at an address, if one does.
  [[nodiscard]] std::optional<std::uint32_t> page_at(const void* address) const noexcept;
  [[nodiscard]] budget_word& budget() noexcept { return budget_; }
  [[nodiscard]] const budget_word& budget() const noexcept { return budget_; }

  /// `count` contiguous free pages, charged to the budget. False if there are none, or no budget. Where the budget
  /// is short, pages that drain are taken: they are in it already.
  [[nodiscard]] bool take_free(std::uint32_t count, extent& out) noexcept;
  /// Is so much free, in one piece or not? A hint.
  [[nodiscard]] bool may_be_free(std::uint64_t count) const noexcept {
    return budget_.capacity() - budget_.load().sum() >= count;
  }
  /// Exactly these free pages.
  [[nodiscard]] bool take_exact(page_run run, extent& out) noexcept;
  /// What taking free pages would add to the budget: those that drain are in it already. A hint.
  [[nodiscard]] std::uint64_t uncharged_pages(page_run run) const noexcept;
  /// Is there a free run of this length, budget aside?
  [[nodiscard]] bool has_free_run(std::uint32_t count) const noexcept;

  /// Frees held pages once what `fences` cover is done. Pages whose fences can't be joined now (a device error) are
  /// stranded: held, counted as draining, and freed by a later `reap`. False if there is no room to remember them:
  /// then they are out of use for good.
  bool give(page_run run, const fence_set& fences) noexcept;
  /// Moves held pages, whose bytes nobody needs, down to the low end of the free pages right below them, and frees
  /// those that they leave. They stay where they are if nothing is free there, or the budget has no room for both
  /// meanwhile.
  void move_down(extent& held) noexcept;
  /// Adds to a fence set that may be full, by joining what it has into one ticket.
  [[nodiscard]] devices::status absorb(fence_set& into, ticket t) noexcept;

  /// One ticket that covers two, on a stream of Pinrail's own.
  [[nodiscard]] result<ticket> join(ticket a, ticket b) noexcept;

  void set_owner(page_run run, page_owner owner) noexcept;
  void clear_owner(page_run run) noexcept;
  [[nodiscard]] std::optional<page_owner> owner(std::uint32_t page) const noexcept;

  /// Ends the draining of pages whose fences are complete. Returns the pages that became reusable or, stranded before,
  /// free.
  std::uint64_t reap() noexcept;
  [[nodiscard]] std::uint64_t draining_pages() const noexcept { return draining_.load(core::order::relaxed); }
  [[nodiscard]] std::uint64_t largest_free_pages() const noexcept;
  [[nodiscard]] const core::page_map<core::native_atomics>& map() const noexcept { return map_; }

 private:
  static constexpr std::size_t most_stranded = 256;

  [[nodiscard]] bool admit(page_run run, extent& out) noexcept;
  [[nodiscard]] page_run cheapest_free_run(std::uint32_t count) const noexcept;
  [[nodiscard]] result<ticket> joined(const fence_set& fences) noexcept;
  void release(page_run run, ticket fence) noexcept;
  [[nodiscard]] bool strand(const extent& held) noexcept;
  /// Tries again to free what is stranded. Returns the pages that are free now.
  std::uint64_t free_stranded() noexcept;
  std::uint64_t reap_run(page_run run) noexcept;
  [[nodiscard]] bool is_draining(std::uint32_t free_page) const noexcept {
    return fences_[free_page].load(core::order::relaxed) != 0;
  }

  devices::timeline& timeline_;
  std::uint32_t join_stream_;
  std::byte* memory_;
  core::page_grid grid_;
  core::page_map<core::native_atomics> map_;
  budget_word budget_;
  std::unique_ptr<core::atomic<std::uint64_t>[]> fences_;
  std::unique_ptr<core::atomic<std::uint64_t>[]> owners_;
  core::atomic<std::uint64_t> draining_{0};
  boost::lockfree::queue<extent, boost::lockfree::fixed_sized<true>> stranded_{most_stranded};
};

}  // namespace pinrail::residency
