#include "sightings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

namespace stress {

void guarded_sightings::look(const world& w, const pinrail::runtime& r, const std::vector<pinrail::block_index>& blocks,
                             const char* guard) {
  for (const pinrail::block_index b : seen_)
    if (!r.is_resident(b))
      w.report(check::protection, fmt::format("block {} of {} was resident under {} and has left{}", b, r.name(), guard,
                                              r.is_resident(b) ? "; now it is there again" : ""));
  seen_.clear();
  for (const pinrail::block_index b : blocks)
    if (r.is_resident(b)) seen_.push_back(b);
}

std::uint64_t reserved_sightings::allowed(const pinrail::runtime_statistics& s, bool primary) noexcept {
  const auto by = [&s](pinrail::eviction_cause c) { return s.victims[static_cast<std::size_t>(c)]; };
  using pinrail::eviction_cause;
  return by(eviction_cause::share) + by(eviction_cause::guest_exit) + by(eviction_cause::removal) +
         (primary ? 0 : s.secondary_evictions);
}

bool reserved_sightings::all_resident(const pinrail::runtime& r) noexcept {
  const auto blocks = r.blocks();
  return std::all_of(blocks.begin(), blocks.end(), [&r](pinrail::block_index b) { return r.is_resident(b); });
}

void reserved_sightings::look(const world& w, const pinrail::runtime& r, const pinrail::reservation& reserved,
                              bool primary) {
  if (!seen_whole_) {
    const auto before = r.statistics();
    if (!all_resident(r)) return;
    const auto after = r.statistics();
    // Without a load meanwhile all of them were resident at one time.
    seen_whole_ = before.loads == after.loads && reserved.active();
    allowed_before_ = allowed(before, primary);
    return;
  }
  if (all_resident(r) || !reserved.active()) return;  // still active: it was all the time
  if (!explained(r, primary))
    w.report(primary ? check::primary : check::secondary,
             fmt::format("{} was all resident under a {} reservation of its footprint, and a block has left{}",
                         r.name(), primary ? "primary" : "secondary", primary ? "" : " with no eviction counted"));
  seen_whole_ = false;
}

/// Evictors count after the fact, and may be late.
bool reserved_sightings::explained(const pinrail::runtime& r, bool primary) const {
  for (int i = 0; i < 2000; ++i) {
    if (allowed(r.statistics(), primary) != allowed_before_) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

}  // namespace stress
