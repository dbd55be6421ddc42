#include "residency/runtime_state.hpp"

#include <algorithm>

namespace pinrail::residency {
namespace order = core::order;

runtime_state::runtime_state(std::shared_ptr<scheduler_state> owner, std::uint32_t index, std::string name,
                             model blocks, std::vector<std::uint64_t> pages)
    : owner_(std::move(owner)),
      index_(index),
      name_(std::move(name)),
      model_(std::move(blocks)),
      blocks_(std::move(pages)),
      extra_(std::make_unique<block_extra[]>(blocks_.size())),
      pacing_(blocks_.size()) {
  std::uint64_t second = 0;
  for (std::uint32_t p = 0; p < blocks_.size(); ++p) {
    const std::uint64_t size = blocks_.pages(p);
    footprint_pages_ += size;
    second = std::max(second, std::min(size, largest_pages_));
    largest_pages_ = std::max(largest_pages_, size);
  }
  minimum_pages_ = largest_pages_ + second;
}

bool runtime_state::try_charge(std::uint64_t pages, std::uint64_t limit) noexcept {
  std::uint64_t seen = charged_.load(order::relaxed);
  do {
    if (seen + pages > limit) return false;
  } while (!charged_.compare_exchange_weak(seen, seen + pages, order::acq_rel, order::relaxed));
  return true;
}

std::uint64_t runtime_state::uses() const noexcept {
  std::uint64_t sum = 0;
  for (const pass_state& p : passes_) sum += p.uses();
  return sum;
}

std::uint64_t runtime_state::open_uses() const noexcept {
  std::uint64_t sum = 0;
  for (const pass_state& p : passes_) sum += p.open_uses();
  return sum;
}

bool runtime_state::has_pins() const noexcept {
  std::uint64_t pins = 0;
  for (std::uint32_t p = 0; p < blocks_.size(); ++p) pins += blocks_.at(p).word.load().pins();
  return pins > stuck_pins_.load(order::seq_cst);
}

}  // namespace pinrail::residency
