#include "runtime_slot.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <span>
#include <thread>

#include "content.hpp"

namespace stress {

runtime_slot::runtime_slot(slot_plan plan)
    : plan_(std::move(plan)),
      name_(fmt::format("runtime {}", plan_.number)),
      records_(std::make_unique<block_record[]>(plan_.sizes_bytes.size())) {
  for (const std::uint64_t size : plan_.sizes_bytes) {
    bytes_.emplace_back(size);
    write_content(bytes_.back(), content_key(owner_of(block_count() - 1), 0));
    footprint_bytes_ += size;
    largest_bytes_ = std::max(largest_bytes_, size);
  }
  if (plan_.source == slot_plan::source_kind::pinned)
    for (auto& b : bytes_) locked_.emplace_back(b);
}

std::optional<std::string> runtime_slot::compare_source() const {
  for (std::uint32_t b = 0; b < block_count(); ++b) {
    const std::uint64_t version = records_[b].version();
    const auto wrong = first_difference(bytes_[b], content_key(owner_of(b), version));
    if (!wrong) continue;
    std::string found = "neither";
    for (std::uint64_t v = version; v-- > 0 && found == "neither";)
      if (looks_like(bytes_[b], *wrong, content_key(owner_of(b), v))) found = fmt::format("version {}", v);
    return fmt::format("the source of block {} of {} lacks version {} from byte {} of {} on; there is {}", b, name_,
                       version, *wrong, bytes_[b].size(), found == "neither" ? "no version of it" : found);
  }
  return std::nullopt;
}

// ---- source ---------------------------------------------------------------------------------------------------

pinrail::model runtime_slot::make_model() {
  if (plan_.source == slot_plan::source_kind::callback) return make_callback_model();
  std::vector<pinrail::memory_block> blocks;
  for (auto& b : bytes_) blocks.push_back({fmt::format("block {}", blocks.size()), b});
  return pinrail::model_from_memory(
      blocks, {.pinned = plan_.source == slot_plan::source_kind::pinned, .writable = plan_.writable});
}

pinrail::model runtime_slot::make_callback_model() {
  std::vector<pinrail::block_info> infos;
  for (const auto& b : bytes_) infos.push_back({fmt::format("block {}", infos.size()), b.size(), {}});
  pinrail::read_callback read = [this](pinrail::block_index b, std::uint64_t at, std::span<std::byte> to) {
    if (!callback_succeeds()) return false;
    std::memcpy(to.data(), bytes_[b].data() + at, to.size());
    return true;
  };
  pinrail::write_callback write = [this](pinrail::block_index b, std::uint64_t at, std::span<const std::byte> from) {
    if (!callback_succeeds()) return false;
    std::memcpy(bytes_[b].data() + at, from.data(), from.size());
    return true;
  };
  return pinrail::model_from_callback(std::move(infos), read, plan_.writable ? write : pinrail::write_callback{});
}

bool runtime_slot::callback_succeeds() noexcept {
  if (!faults_.load(std::memory_order_relaxed)) return true;
  dice d(plan_.seed, 0, plan_.number, callbacks_.fetch_add(1, std::memory_order_relaxed));
  if (d.chance(10)) std::this_thread::sleep_for(std::chrono::microseconds(d.below(300)));
  return d.below(200) != 0;
}

// ---- registration ---------------------------------------------------------------------------------------------

void runtime_slot::add_to(pinrail::scheduler& s) {
  pinrail::runtime added = s.add_runtime(name_, make_model());
  const std::lock_guard lock(mutex_);
  handle_ = std::move(added);
}

pinrail::runtime runtime_slot::handle() const {
  const std::lock_guard lock(mutex_);
  return handle_;
}

void runtime_slot::forget_handle() {
  const std::lock_guard lock(mutex_);
  handle_ = {};
}

}  // namespace stress
