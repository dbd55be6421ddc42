#include "extents.hpp"

#include <algorithm>

namespace stress {

bool extents::add(const void* data, std::uint64_t size_bytes, std::uint64_t owner) {
  const auto begin = reinterpret_cast<std::uintptr_t>(data);
  const std::lock_guard lock(mutex_);
  bool disjoint = true;
  for (auto& [at, h] : by_address_) {  // a few dozen are held at a time
    if (at == begin && h.owner == owner) {
      ++h.times;
      return true;
    }
    const bool apart = at + h.size_bytes <= begin || begin + size_bytes <= at;
    if (!apart || h.owner == owner) disjoint = false;
  }
  by_address_.emplace(begin, holding{size_bytes, owner, 1});
  return disjoint;
}

void extents::remove(const void* data, std::uint64_t owner) {
  const std::lock_guard lock(mutex_);
  const auto [first, last] = by_address_.equal_range(reinterpret_cast<std::uintptr_t>(data));
  const auto found = std::find_if(first, last, [owner](const auto& entry) { return entry.second.owner == owner; });
  if (found != last && --found->second.times == 0) by_address_.erase(found);
}

}  // namespace stress
