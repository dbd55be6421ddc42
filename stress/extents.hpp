// Device memory in someone's hands: uses and byte reservations. No two holders may overlap, except uses of one block,
// which are in one place.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>

namespace stress {

class extents {
 public:
  /// `owner` identifies the block or the reservation. False if the range overlaps another owner's, or if the owner
  /// is held elsewhere already; it is noted all the same.
  [[nodiscard]] bool add(const void* data, std::uint64_t size_bytes, std::uint64_t owner);
  void remove(const void* data, std::uint64_t owner);

 private:
  struct holding {
    std::uint64_t size_bytes;
    std::uint64_t owner;
    std::uint32_t times;
  };

  std::mutex mutex_;
  std::multimap<std::uintptr_t, holding> by_address_;
};

}  // namespace stress
