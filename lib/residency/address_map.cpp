#include "residency/address_map.hpp"

#include <algorithm>

namespace pinrail::residency {
namespace {

using kind = span_of_pages::kind;

bool is_free(const std::vector<span_of_pages>& spans, std::size_t i) {
  return i < spans.size() && spans[i].what == kind::free;
}

/// What is left over of a window stays in one piece with free pages on either side of it.
struct leftover {
  std::uint64_t with_those_below = 0;
  std::uint64_t with_those_above = 0;

  [[nodiscard]] std::uint64_t largest() const { return std::max(with_those_below, with_those_above); }
};

leftover left_over(const std::vector<span_of_pages>& spans, std::size_t first, std::size_t last, std::uint64_t over) {
  leftover left{over, over};
  if (first > 0 && is_free(spans, first - 1)) left.with_those_below += spans[first - 1].run.count;
  if (is_free(spans, last + 1)) left.with_those_above += spans[last + 1].run.count;
  return left;
}

/// The pages to take of spans[first..last], which hold at least `pages`.
page_run placed(const std::vector<span_of_pages>& spans, std::size_t first, std::size_t last, std::uint32_t pages) {
  const std::uint32_t begin = spans[first].run.first;
  const std::uint32_t end = spans[last].run.end();
  const leftover left = left_over(spans, first, last, end - begin - pages);
  const bool at_the_end = left.with_those_below > left.with_those_above || is_free(spans, first);
  return {at_the_end ? end - pages : begin, pages};
}

/// Two ends that walk along the spans: [first, last] is the shortest stretch that ends at `last` and still holds
/// `pages` of what `counts` says, with no barrier inside. Among equally cheap ones the one with the highest `merit`.
template <class Counts, class Barrier, class Cost, class Merit>
std::optional<window> sweep(const std::vector<span_of_pages>& spans, std::uint32_t pages, Counts&& counts,
                            Barrier&& barrier, Cost&& cost, Merit&& merit) {
  std::optional<window> best;
  std::uint64_t best_merit = 0;
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
    if (have < pages || have - counts(spans[last]) >= pages) continue;  // as `first`, `last` is needed
    const std::uint64_t mine = merit(first, last, have - pages);
    if (best && (sum > best->cost || (sum == best->cost && mine <= best_merit))) continue;
    best = window{.first = first, .last = last, .run = {}, .cost = sum};
    best_merit = mine;
  }
  return best;
}

}  // namespace

std::optional<window> cheapest_window(const std::vector<span_of_pages>& spans, std::uint32_t pages) {
  auto found = sweep(
      spans, pages, [](const span_of_pages& s) { return s.run.count; },
      [](const span_of_pages& s) { return s.what != kind::free && s.what != kind::evictable; },
      [](const span_of_pages& s) { return s.what == kind::evictable ? s.cost : 0.0; },
      [&](std::size_t first, std::size_t last, std::uint64_t over) {
        return left_over(spans, first, last, over).largest();
      });
  if (found) found->run = placed(spans, found->first, found->last, pages);
  return found;
}

std::optional<window> cheapest_slide(const std::vector<span_of_pages>& spans, std::uint32_t pages) {
  auto found = sweep(
      spans, pages, [](const span_of_pages& s) { return s.what == kind::movable ? 0u : s.run.count; },
      [](const span_of_pages& s) { return s.what == kind::fixed; },
      [](const span_of_pages& s) { return s.what == kind::movable ? static_cast<double>(s.run.count) : 0.0; },
      [](std::size_t, std::size_t, std::uint64_t over) { return ~over; });
  if (found) found->run = {spans[found->first].run.first, spans[found->last].run.end() - spans[found->first].run.first};
  return found;
}

}  // namespace pinrail::residency
