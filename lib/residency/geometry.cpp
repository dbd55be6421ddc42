#include "residency/geometry.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "core/budget.hpp"
#include "pinrail/error.hpp"
#include "pinrail/units.hpp"

namespace pinrail::residency {
namespace {

constexpr std::uint64_t most_pages = core::budget_word<core::native_atomics>::max_pages;
constexpr std::uint64_t least_page_bytes = 4096;
constexpr std::uint64_t fewest_pages = 32768;

template <class... Args>
void require(bool holds, fmt::format_string<Args...> text, Args&&... args) {
  if (!holds) throw error(errc::invalid_argument, fmt::format(text, std::forward<Args>(args)...));
}

/// The product of the small primes in `units`, up to `limit`: with so many pages, or a multiple, every simple part of
/// the arena that is whole units is whole pages too.
std::uint64_t simple_parts(std::uint64_t units, std::uint64_t limit) {
  const auto most_of = [](std::uint64_t prime) { return prime == 2 ? 6 : prime == 3 ? 3 : prime < 11 ? 2 : 1; };
  std::uint64_t parts = 1;
  for (const std::uint64_t prime : {2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61})
    for (int left = most_of(prime); left > 0 && units % prime == 0 && parts * prime <= limit; --left) {
      parts *= prime;
      units /= prime;
    }
  return parts;
}

/// 32,768 to 65,536 pages of 4 KiB to 2 MiB: fine enough to waste little, coarse enough to search quickly. Fewer in
/// small arenas, more in very large ones.
core::page_grid usual_grid(std::uint64_t arena_bytes) {
  const std::uint64_t units = arena_bytes / core::page_grid::unit_bytes;
  const std::uint64_t most = arena_bytes / least_page_bytes;
  if (arena_bytes % least_page_bytes == 0 && arena_bytes <= 1_MiB) return {units, static_cast<std::uint32_t>(most)};
  std::uint64_t pages = simple_parts(units, std::min(most, 2 * fewest_pages));
  while ((pages < fewest_pages || arena_bytes / pages > 2_MiB) && 2 * pages <= std::min(most, most_pages)) pages *= 2;
  return {units, static_cast<std::uint32_t>(pages)};
}

core::page_grid grid_of(const scheduler_options& o) {
  if (o.page_bytes == 0) return usual_grid(o.max_vram_budget);
  const std::uint64_t pages = o.max_vram_budget / o.page_bytes;
  return {pages * (o.page_bytes / core::page_grid::unit_bytes), static_cast<std::uint32_t>(pages)};
}

}  // namespace

scheduler_options completed(scheduler_options o, const pinrail::device& on) {
  const std::uint64_t memory = on.memory_bytes();
  if (o.vram_budget == 0) o.vram_budget = memory;
  if (o.max_vram_budget == 0) o.max_vram_budget = o.vram_budget;
  require(o.max_vram_budget <= memory, "max_vram_budget is {}, but {} has {}", format_bytes(o.max_vram_budget),
          on.name(), format_bytes(memory));
  require(o.vram_budget <= o.max_vram_budget, "vram_budget is {}, above max_vram_budget, {}",
          format_bytes(o.vram_budget), format_bytes(o.max_vram_budget));
  require(o.low_watermark > 0 && o.low_watermark <= o.high_watermark && o.high_watermark <= 1,
          "watermarks are low {} and high {}; 0 < low <= high <= 1 is needed", o.low_watermark, o.high_watermark);
  if (o.page_bytes != 0) {
    require(std::has_single_bit(o.page_bytes) && o.page_bytes >= core::page_grid::unit_bytes && o.page_bytes <= 1_GiB,
            "page_bytes is {}; a power of two from {} to 1 GiB is needed", o.page_bytes, core::page_grid::unit_bytes);
    require(o.max_vram_budget / o.page_bytes <= most_pages, "{} in pages of {} are {} pages; at most {} are possible",
            format_bytes(o.max_vram_budget), format_bytes(o.page_bytes), o.max_vram_budget / o.page_bytes, most_pages);
  }
  const std::uint64_t least = o.page_bytes != 0 ? o.page_bytes : least_page_bytes;
  require(o.vram_budget >= least, "vram_budget is {}, less than one page of {}", format_bytes(o.vram_budget),
          format_bytes(least));
  const geometry g = geometry_of(o);  // whose pages may be larger
  require(g.budget_pages > 0, "vram_budget is {}, less than one page of {}", format_bytes(o.vram_budget),
          format_bytes(g.arena.page_bytes()));
  require(o.guest_minimum_bytes < o.vram_budget, "guest_minimum_bytes is {}, not below the budget of {}",
          format_bytes(o.guest_minimum_bytes), format_bytes(o.vram_budget));
  require(o.chunk_bytes >= 4096 && o.chunk_bytes % 4096 == 0, "chunk_bytes is {}; a multiple of 4096 is needed",
          o.chunk_bytes);
  require(o.staging_slabs >= 1 && o.staging_slabs <= 1024, "staging_slabs is {}; 1 to 1024 are possible",
          o.staging_slabs);
  require(o.reader_threads <= 256, "reader_threads is {}; at most 256 are possible", o.reader_threads);
  require(o.max_runtimes >= 1 && o.max_runtimes <= 4096, "max_runtimes is {}; 1 to 4096 are possible", o.max_runtimes);
  require(o.load_deadline.count() >= 0, "load_deadline is {} ns, below 0", o.load_deadline.count());
  return o;
}

geometry geometry_of(const scheduler_options& o) {
  const core::page_grid arena = grid_of(o);
  return {.arena = arena,
          .budget_pages =
              static_cast<std::uint32_t>(std::min<std::uint64_t>(arena.whole_pages(o.vram_budget), arena.pages()))};
}

}  // namespace pinrail::residency
