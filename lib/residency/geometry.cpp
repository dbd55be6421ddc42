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
constexpr std::uint64_t usual_pages = 65536;

template <class... Args>
void require(bool holds, fmt::format_string<Args...> text, Args&&... args) {
  if (!holds) throw error(errc::invalid_argument, fmt::format(text, std::forward<Args>(args)...));
}

/// About 65,536 pages: fine enough to waste little, coarse enough to search quickly.
std::uint64_t usual_page_bytes(std::uint64_t arena_bytes) {
  return std::clamp<std::uint64_t>(std::bit_ceil(arena_bytes / usual_pages + 1), 4096, 2_MiB);
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
  if (o.page_bytes == 0) o.page_bytes = usual_page_bytes(o.max_vram_budget);
  require(std::has_single_bit(o.page_bytes) && o.page_bytes >= 256 && o.page_bytes <= 1_GiB,
          "page_bytes is {}; a power of two from 256 to 1 GiB is needed", o.page_bytes);
  require(o.max_vram_budget / o.page_bytes <= most_pages, "{} in pages of {} are {} pages; at most {} are possible",
          format_bytes(o.max_vram_budget), format_bytes(o.page_bytes), o.max_vram_budget / o.page_bytes, most_pages);
  require(o.vram_budget >= o.page_bytes, "vram_budget is {}, less than one page of {}", format_bytes(o.vram_budget),
          format_bytes(o.page_bytes));
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
  return {.page_bytes = o.page_bytes,
          .arena_pages = static_cast<std::uint32_t>(o.max_vram_budget / o.page_bytes),
          .budget_pages = static_cast<std::uint32_t>(o.vram_budget / o.page_bytes)};
}

}  // namespace pinrail::residency
