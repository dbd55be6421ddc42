#include "policies/bounds.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <vector>

namespace pinrail::bench {
namespace {

/// The size of all blocks, or 0 where they differ.
std::uint64_t only_size_bytes(const workload& w) {
  const std::uint64_t size = w.models.front().block_bytes.front();
  for (const model_table& m : w.models)
    for (const std::uint64_t other : m.block_bytes)
      if (other != size) return 0;
  return size;
}

}  // namespace

double bounds::time_ns(const workload& w) const { return std::max(compute_ns, w.copy_ns(min_bytes)); }

bounds bounds_of(const workload& w, std::uint64_t aside_bytes) {
  std::uint64_t budget = w.budget_bytes - std::min(aside_bytes, w.budget_bytes);
  if (const std::uint64_t size = only_size_bytes(w); size != 0) budget -= budget % size;
  constexpr std::size_t never = SIZE_MAX;
  using key = std::pair<std::uint32_t, std::uint32_t>;
  // The next use of each use.
  std::vector<std::size_t> next(w.steps.size(), never);
  std::map<key, std::size_t> coming;
  for (std::size_t i = w.steps.size(); i-- > 0;) {
    const step& s = w.steps[i];
    if (s.kind != step::what::use) continue;
    if (const auto it = coming.find({s.model, s.block}); it != coming.end()) next[i] = it->second;
    coming[{s.model, s.block}] = i;
  }
  bounds out;
  std::map<key, std::pair<std::size_t, std::uint64_t>> cached;  // next use, bytes
  std::set<std::pair<std::size_t, key>> by_next_use;
  std::uint64_t used = 0;
  for (std::size_t i = 0; i < w.steps.size(); ++i) {
    const step& s = w.steps[i];
    if (s.kind == step::what::mark) out = {};
    if (s.kind == step::what::use || s.kind == step::what::idle) out.compute_ns += static_cast<double>(s.compute_ns);
    if (s.kind != step::what::use) continue;
    const key mine{s.model, s.block};
    const std::uint64_t size = w.models[s.model].block_bytes[s.block];
    std::uint64_t has = 0;
    if (const auto it = cached.find(mine); it != cached.end()) {
      has = it->second.second;
      by_next_use.erase({it->second.first, mine});
      cached.erase(it);
    }
    const std::uint64_t missing = size - has;
    out.min_bytes += missing;
    used += missing;
    while (used > budget && !by_next_use.empty()) {
      const key farthest = std::prev(by_next_use.end())->second;
      auto& [when, bytes] = cached.at(farthest);
      const std::uint64_t goes = std::min(bytes, used - budget);
      used -= goes;
      bytes -= goes;
      if (bytes != 0) continue;
      by_next_use.erase({when, farthest});
      cached.erase(farthest);
    }
    cached[mine] = {next[i], size};
    by_next_use.insert({next[i], mine});
  }
  return out;
}

}  // namespace pinrail::bench
