#include "world.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "pinrail/emulated.hpp"
#include "support/test_device.hpp"

namespace stress {

using namespace pinrail::literals;

namespace {

constexpr std::uint64_t geometry = 1'000'000;  // who decides, for the dice; threads are 0, 1, ...

slot_plan draw_slot(dice& d, std::uint32_t number, std::uint64_t page_bytes) {
  slot_plan s;
  s.number = number;
  s.seed = d.roll();
  s.source =
      d.one_of({slot_plan::source_kind::pinned, slot_plan::source_kind::staged, slot_plan::source_kind::callback});
  s.writable = number == 0 || d.chance(60);
  const std::uint64_t blocks = d.between(10, 36);
  const bool mixed_sizes = d.chance(60);
  const std::uint64_t usual_pages = d.between(1, 5);
  for (std::uint64_t b = 0; b < blocks; ++b) {
    const std::uint64_t pages = mixed_sizes ? d.between(1, 8) : usual_pages;
    s.sizes_bytes.push_back(pages * page_bytes - (d.chance(50) ? d.below(page_bytes) : 0));
  }
  return s;
}

std::string draw_device(dice& d, bool& order_checked) {
  const char* rate = d.one_of({"", ",h2d=3GB/s,d2h=3GB/s", ",h2d=700MB/s,d2h=400MB/s,d2d=2GB/s"});
  const char* latency = d.one_of({"", "", ",latency=20us", ",latency=100us"});
  return fmt::format("emulated:vram=1GiB{}{},check={}", rate, latency, order_checked ? "on" : "off");
}

}  // namespace

world_plan draw_world(const options& o, std::uint64_t round, std::uint32_t device) {
  dice d(o.seed, round, geometry, device);
  world_plan w;
  w.device = device;
  w.order_checked = device == 0 ? round % 4 != 3 : d.chance(50);
  w.device_spec = draw_device(d, w.order_checked);
  w.streams = 2 * o.threads + 2;
  pinrail::scheduler_options& s = w.scheduler;
  s.page_bytes = d.one_of({4096u, 4096u, 8192u});
  const std::uint64_t runtimes = o.runtimes != 0 ? o.runtimes : d.between(3, 6);
  std::uint64_t all_bytes = 0;
  std::uint64_t largest_bytes = 0;
  std::uint64_t owner = d.roll() & ~std::uint64_t{0xffffff};
  for (std::uint32_t i = 0; i < runtimes; ++i) {
    w.slots.push_back(draw_slot(d, i, s.page_bytes));
    w.slots.back().owner = owner;
    for (const std::uint64_t size : w.slots.back().sizes_bytes) {
      all_bytes += size;
      largest_bytes = std::max(largest_bytes, size);
      ++owner;
    }
  }
  // At least what the threads together need for their uses.
  const std::uint64_t at_work_bytes = (8 + 2 * o.threads) * largest_bytes;
  s.max_vram_budget = std::max(all_bytes * d.between(45, 80) / 100, at_work_bytes) / s.page_bytes * s.page_bytes;
  s.vram_budget = s.max_vram_budget;
  w.least_budget_bytes = s.max_vram_budget * d.between(70, 90) / 100;
  s.high_watermark = d.one_of({1.0, 0.95, 0.8});
  s.low_watermark = s.high_watermark - 0.1;
  s.load_deadline = std::chrono::seconds(2);
  s.guest_minimum_bytes = d.chance(50) ? 2 * largest_bytes : 0;
  s.chunk_bytes = d.one_of({32_KiB, 64_KiB, 1_MiB});  // with its slack a slab is larger than any block
  s.staging_slabs = static_cast<std::uint32_t>(d.between(1, 4));
  s.max_runtimes = static_cast<std::uint32_t>(runtimes + 2);
  return w;
}

world::world(world_plan plan, violations& found)
    : plan_(std::move(plan)),
      found_(found),
      device_(pinrail::test::open_test_device(plan_.device_spec)),
      tied_up_(plan_.least_budget_bytes / 3),
      owners_(plan_.slots.back().owner + 0x10000) {
  scheduler_.emplace(*device_, plan_.scheduler);
  for (slot_plan& s : plan_.slots) slots_.emplace_back(s);
  for (runtime_slot& s : slots_) s.add_to(*scheduler_);
  for (std::uint32_t i = 0; i < plan_.streams; ++i) streams_.push_back(device_->create_stream());
}

void world::report(check what, const std::string& text) const noexcept {
  try {
    found_.report(what, fmt::format("device {}: {}", plan_.device, text));
  } catch (const std::bad_alloc&) {
    found_.report(what, text);
  }
}

void world::synchronize() {
  for (const pinrail::stream& s : streams_) s.synchronize();
}

void world::check_order() noexcept {
  try {
    const auto sentences = pinrail::emulated::violations(*device_);
    if (!sentences.empty()) report(check::order, fmt::format("{} ({} in all)", sentences.front(), sentences.size()));
  } catch (const std::bad_alloc&) {  // looked at again later
  }
}

void world::count(const pinrail::runtime_statistics& s) {
  const std::lock_guard lock(counts_mutex_);
  counts_.add(s);
}

library_counts world::counts() {
  const std::lock_guard lock(counts_mutex_);
  return counts_;
}

}  // namespace stress
