#include "residency/address_map.hpp"

namespace pinrail::residency {
namespace {

using kind = span_of_pages::kind;

/// The pages to take of spans[first..last], which hold at least `pages`: next to the neighbour that stays, so
/// that what is left over stays in one piece with the free span it came from.
page_run placed(const std::vector<span_of_pages>& spans, std::size_t first, std::size_t last, std::uint32_t pages) {
  const std::uint32_t begin = spans[first].run.first;
  const std::uint32_t end = spans[last].run.end();
  if (spans[first].what == kind::free) return {end - pages, pages};
  return {begin, pages};
}

/// Two ends that walk along the spans: [first, last] is the shortest stretch that ends at `last` and still holds
/// `pages` of what `counts` says, with no barrier inside. `better` decides between stretches.
template <class Counts, class Barrier, class Cost>
std::optional<window> sweep(const std::vector<span_of_pages>& spans, std::uint32_t pages, Counts&& counts,
                            Barrier&& barrier, Cost&& cost) {
  std::optional<window> best;
  double best_cost = 0;
  std::uint64_t best_over = 0;
  std::size_t first = 0;
  std::uint64_t have = 0;
  double sum = 0;
  for (std::size_t last = 0; last < spans.size(); ++last) {
    if (barrier(spans[last])) {
      first = last + 1;
      have = 0;
      sum = 0;
      continue;
    }
    have += counts(spans[last]);
    sum += cost(spans[last]);
    while (have - counts(spans[first]) >= pages) {
      have -= counts(spans[first]);
      sum -= cost(spans[first]);
      ++first;
    }
    if (have < pages) continue;
    const std::uint64_t over = have - pages;
    if (best && (sum > best_cost || (sum == best_cost && over >= best_over))) continue;
    best = window{first, last, {}};
    best_cost = sum;
    best_over = over;
  }
  return best;
}

}  // namespace

std::optional<window> cheapest_window(const std::vector<span_of_pages>& spans, std::uint32_t pages) {
  auto found = sweep(
      spans, pages, [](const span_of_pages& s) { return s.run.count; },
      [](const span_of_pages& s) { return s.what != kind::free && s.what != kind::evictable; },
      [](const span_of_pages& s) { return s.what == kind::evictable ? s.cost : 0.0; });
  if (found) found->run = placed(spans, found->first, found->last, pages);
  return found;
}

std::optional<window> cheapest_slide(const std::vector<span_of_pages>& spans, std::uint32_t pages) {
  auto found = sweep(
      spans, pages, [](const span_of_pages& s) { return s.what == kind::movable ? 0u : s.run.count; },
      [](const span_of_pages& s) { return s.what == kind::fixed; },
      [](const span_of_pages& s) { return s.what == kind::movable ? static_cast<double>(s.run.count) : 0.0; });
  if (found) found->run = {spans[found->first].run.first, spans[found->last].run.end() - spans[found->first].run.first};
  return found;
}

}  // namespace pinrail::residency
