#include "residency/arena.hpp"

#include <algorithm>

namespace pinrail::residency {
namespace order = core::order;

arena::arena(devices::timeline& timeline, std::uint32_t join_stream, std::byte* memory, const core::page_grid& grid,
             std::uint64_t withheld_pages)
    : timeline_(timeline),
      join_stream_(join_stream),
      memory_(memory),
      grid_(grid),
      map_(grid.pages()),
      budget_(grid.pages(), withheld_pages),
      fences_(std::make_unique<core::atomic<std::uint64_t>[]>(grid.pages())),
      owners_(std::make_unique<core::atomic<std::uint64_t>[]>(grid.pages())) {}

std::optional<std::uint32_t> arena::page_at(const void* address) const noexcept {
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  const auto begin = reinterpret_cast<std::uintptr_t>(memory_);
  return at < begin ? std::nullopt : grid_.page_at(at - begin);
}

bool arena::take_free(std::uint32_t count, extent& out) noexcept {
  // The search is linear in pages: not where memory is full, as it is in a steady state.
  if (!may_be_free(count - std::min<std::uint64_t>(count, draining_pages()))) return false;
  const page_run run = map_.take_best(count);
  if (run.count == 0) return false;
  if (admit(run, out)) return true;
  const page_run draining = cheapest_free_run(count);
  return draining.count != 0 && take_exact(draining, out);
}

/// Of the free runs of this length the one with the most pages that drain; count 0 if none drains.
page_run arena::cheapest_free_run(std::uint32_t count) const noexcept {
  page_run best{0, 0};
  if (draining_pages() == 0) return best;
  std::uint64_t most = 0;
  for (page_run free = map_.free_run(0); free.count > 0; free = map_.free_run(free.end())) {
    if (free.count < count) continue;
    std::uint64_t draining = count - 1 - uncharged_pages({free.first, count - 1});
    for (std::uint32_t first = free.first; first + count <= free.end(); ++first) {
      draining += is_draining(first + count - 1);
      if (draining > most) {
        most = draining;
        best = {first, count};
      }
      draining -= is_draining(first);
    }
  }
  return best;
}

std::uint64_t arena::uncharged_pages(page_run run) const noexcept {
  std::uint64_t sum = 0;
  for (std::uint32_t p = run.first; p < run.end(); ++p) sum += !is_draining(p);
  return sum;
}

bool arena::take_exact(page_run run, extent& out) noexcept { return map_.take(run) && admit(run, out); }

/// The run is held. Charges it to the budget, less what is draining in it, and collects its fences (A2, A3).
bool arena::admit(page_run run, extent& out) noexcept {
  const std::uint64_t draining = run.count - uncharged_pages(run);
  if (!budget_.take(run.count - draining)) {
    map_.give(run);
    return false;
  }
  fence_set collected;  // `out` is written by a take that succeeds only: callers give back what they find in it
  for (std::uint32_t p = run.first; draining > 0 && p < run.end(); ++p) {
    const ticket t(fences_[p].load(order::relaxed));
    if (!t) continue;
    if (absorb(collected, t)) continue;
    budget_.give(run.count - draining);
    map_.give(run);
    return false;
  }
  for (std::uint32_t p = run.first; draining > 0 && p < run.end(); ++p) fences_[p].store(0, order::relaxed);
  if (draining > 0) draining_.fetch_sub(draining, order::relaxed);
  out = {run, collected};
  return true;
}

bool arena::has_free_run(std::uint32_t count) const noexcept { return largest_free_pages() >= count; }

std::uint64_t arena::largest_free_pages() const noexcept {
  std::uint32_t largest = 0;
  for (page_run run = map_.free_run(0); run.count > 0; run = map_.free_run(run.end()))
    largest = std::max(largest, run.count);
  return largest;
}

devices::status arena::absorb(fence_set& into, ticket t) noexcept {
  if (into.add(t)) return {};
  into.prune([this](ticket x) { return timeline_.is_complete(x); });
  if (into.add(t)) return {};
  const auto one = timeline_.join(join_stream_, into.view());
  if (!one) return one.why();
  into.assign(*one);
  (void)into.add(t);
  return {};
}

result<ticket> arena::joined(const fence_set& fences) noexcept {
  fence_set open = fences;
  open.prune([this](ticket t) { return timeline_.is_complete(t); });
  if (open.empty()) return ticket();
  if (open.view().size() == 1) return open.view().front();
  return timeline_.join(join_stream_, open.view());
}

result<ticket> arena::join(ticket a, ticket b) noexcept {
  const std::array both{a, b};
  return timeline_.join(join_stream_, both);
}

bool arena::give(page_run run, const fence_set& fences) noexcept {
  if (run.count == 0) return true;
  const auto fence = joined(fences);
  if (!fence) return strand({run, fences});
  release(run, *fence);
  return true;
}

void arena::move_down(extent& held) noexcept {
  std::uint32_t first = held.run.first;
  while (first > 0 && !map_.taken(first - 1)) --first;
  const std::uint32_t count = std::min(held.run.first - first, held.run.count);
  extent below;
  if (count == 0 || !take_exact({first, count}, below)) return;
  if (count == held.run.count) {  // none of its old pages are kept
    (void)give(held.run, held.fences);
    held = below;
    return;
  }
  for (const ticket t : below.fences.view()) {
    if (absorb(held.fences, t)) continue;
    (void)give(below.run, below.fences);
    return;
  }
  const page_run top{held.run.end() - count, count};
  held.run.first = first;
  (void)give(top, held.fences);
}

void arena::release(page_run run, ticket fence) noexcept {
  for (std::uint32_t p = run.first; p < run.end(); ++p) {
    fences_[p].store(fence.packed(), order::relaxed);
    owners_[p].store(0, order::relaxed);
  }
  if (fence) {
    draining_.fetch_add(run.count, order::relaxed);
  } else {
    budget_.give(run.count);
  }
  map_.give(run);
}

bool arena::strand(const extent& held) noexcept {
  clear_owner(held.run);
  draining_.fetch_add(held.run.count, order::relaxed);
  if (stranded_.bounded_push(held)) return true;
  draining_.fetch_sub(held.run.count, order::relaxed);
  return false;
}

std::uint64_t arena::free_stranded() noexcept {
  std::uint64_t freed = 0;
  extent held;
  while (stranded_.pop(held)) {
    draining_.fetch_sub(held.run.count, order::relaxed);
    const auto fence = joined(held.fences);
    if (!fence) {
      (void)strand(held);
      break;  // the others would be refused too
    }
    release(held.run, *fence);
    freed += held.run.count;
  }
  return freed;
}

void arena::set_owner(page_run run, page_owner owner) noexcept {
  const std::uint64_t packed = (std::uint64_t{owner.runtime} + 1) << 32 | owner.position;
  for (std::uint32_t p = run.first; p < run.end(); ++p) owners_[p].store(packed, order::release);
}

void arena::clear_owner(page_run run) noexcept {
  for (std::uint32_t p = run.first; p < run.end(); ++p) owners_[p].store(0, order::release);
}

std::optional<page_owner> arena::owner(std::uint32_t page) const noexcept {
  const std::uint64_t packed = owners_[page].load(order::acquire);
  if (packed == 0) return std::nullopt;
  return page_owner{static_cast<std::uint32_t>(packed >> 32) - 1, static_cast<std::uint32_t>(packed)};
}

std::uint64_t arena::reap() noexcept {
  if (draining_pages() == 0) return 0;
  std::uint64_t reusable = free_stranded();
  for (page_run free = map_.free_run(0); free.count > 0; free = map_.free_run(free.end())) {
    // One stretch of equal fences at a time: it was freed at once, and one query tells about all of it.
    for (std::uint32_t p = free.first; p < free.end();) {
      const std::uint64_t fence = fences_[p].load(order::relaxed);
      std::uint32_t end = p + 1;
      while (end < free.end() && fences_[end].load(order::relaxed) == fence) ++end;
      if (fence != 0 && timeline_.is_complete(ticket(fence))) reusable += reap_run({p, end - p});
      p = end;
    }
  }
  return reusable;
}

std::uint64_t arena::reap_run(page_run run) noexcept {
  if (!map_.take(run)) return 0;
  std::uint64_t done = 0;
  for (std::uint32_t p = run.first; p < run.end(); ++p) {
    const ticket fence(fences_[p].load(order::relaxed));
    if (!fence || !timeline_.is_complete(fence)) continue;
    fences_[p].store(0, order::relaxed);
    ++done;
  }
  draining_.fetch_sub(done, order::relaxed);
  budget_.give(done);
  map_.give(run);
  return done;
}

}  // namespace pinrail::residency
