#include "device/emulated/shadow_map.hpp"

#include <algorithm>

namespace pinrail::devices {

void shadow::note_read(const touch& who, const vector_clock& known) {
  // What must come after this read then also comes after those that it comes after.
  std::erase_if(reads, [&](const touch& earlier) { return known.covers(earlier.when); });
  const auto place =
      std::find_if(reads.begin(), reads.end(), [&](const touch& other) { return other.when.stream > who.when.stream; });
  reads.insert(place, who);
}

void shadow::note_write(const touch& who) {
  write = who;
  reads.clear();
  discarded = who.what == toucher::discard;
}

void shadow::forget(const vector_clock& over) {
  if (over.covers(write.when)) write = {};
  std::erase_if(reads, [&](const touch& read) { return over.covers(read.when); });
}

std::vector<shadow_map::piece> shadow_map::pieces(address begin, address end) const {
  std::vector<piece> found;
  const auto [first, last] = shadows_.equal_range(interval(begin, end));
  address at = begin;
  for (auto it = first; it != last; ++it) {
    const address from = std::max(begin, it->first.lower());
    const address to = std::min(end, it->first.upper());
    if (at < from) found.push_back({at, from, {}});
    found.push_back({from, to, it->second});
    at = to;
  }
  if (at < end) found.push_back({at, end, {}});
  return found;
}

void shadow_map::assign(const std::vector<piece>& pieces) {
  for (const piece& p : pieces) shadows_.set({interval(p.begin, p.end), p.last});
}

void shadow_map::erase(address begin, address end) { shadows_.erase(interval(begin, end)); }

void shadow_map::forget(const vector_clock& over) {
  map kept;
  for (const auto& [range, last] : shadows_) {
    shadow rest = last;
    rest.forget(over);
    if (rest != shadow{}) kept.set({range, std::move(rest)});
  }
  shadows_ = std::move(kept);
}

}  // namespace pinrail::devices
