// Blocks that were seen resident while something protects them, and must stay so until it ends.
#pragma once

#include <cstdint>
#include <vector>

#include "world.hpp"

namespace stress {

/// Under a guard: what was seen resident once stays resident.
class guarded_sightings {
 public:
  /// Looks at the guarded blocks. The guard is alive, and `guard` says what it is.
  void look(const world& w, const pinrail::runtime& r, const std::vector<pinrail::block_index>& blocks,
            const char* guard);

 private:
  std::vector<pinrail::block_index> seen_;
};

/// Under a reservation of the whole footprint: once all blocks are resident the runtime has nothing to load, so no
/// block leaves but by its own doing (a smaller share granted before, a guest's exit that is still under way), or, if
/// it is secondary, by an eviction that is counted.
class reserved_sightings {
 public:
  /// `reserved` may have been replaced or released meanwhile: then nothing is said.
  void look(const world& w, const pinrail::runtime& r, const pinrail::reservation& reserved, bool primary);

 private:
  /// Evictions that are allowed.
  [[nodiscard]] static std::uint64_t allowed(const pinrail::runtime_statistics& s, bool primary) noexcept;
  [[nodiscard]] static bool all_resident(const pinrail::runtime& r) noexcept;
  [[nodiscard]] bool explained(const pinrail::runtime& r, bool primary) const;

  bool seen_whole_ = false;
  std::uint64_t allowed_before_ = 0;
};

}  // namespace stress
