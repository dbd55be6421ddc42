#include "holdings.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "content.hpp"
#include "kernels.hpp"

namespace stress {
namespace {

std::string describe(const world& w, const runtime_slot& slot, const pinrail::use& use) {
  return fmt::format("block {} of {}, device {}", use.block(), slot.name(), w.plan().device);
}

}  // namespace

// ---- uses -------------------------------------------------------------------------------------------------------

held_use::held_use(world& w, runtime_slot& slot, pinrail::stream_ref stream, pinrail::use use, block_access access,
                   std::string who)
    : world_(w), slot_(slot), stream_(stream), who_(std::move(who)), access_(std::move(access)), use_(std::move(use)) {
  if (!world_.take_extent(use_.device_ptr(), use_.size_bytes(), slot_.owner_of(use_.block())))
    world_.report(check::extents, fmt::format("{}: its memory is also someone else's, or it is in two places",
                                              describe(world_, slot_, use_)));
  check("at the beginning");
}

held_use::~held_use() {
  check("at the end");
  world_.give_extent(use_.device_ptr(), slot_.owner_of(use_.block()));
  use_.end();
}

void held_use::write() {
  access_.note_written();
  launch_write(stream_, {static_cast<std::byte*>(use_.device_ptr()), use_.size_bytes()},
               content_key(slot_.owner_of(use_.block()), access_.version()));
}

void held_use::check(const char* when) {
  launch_check(stream_, {static_cast<const std::byte*>(use_.device_ptr()), use_.size_bytes()},
               {&world_, slot_.owner_of(use_.block()), access_.version(),
                fmt::format("block {} of {} {} of a use by {}", use_.block(), slot_.name(), when, who_)});
}

pinrail::block_index open_pass::next_block(dice& d) {
  const std::uint32_t blocks = slot.block_count();
  if (order == pinrail::order::kind::data_dependent || d.chance(5))
    return static_cast<pinrail::block_index>(d.below(blocks));
  const std::uint64_t at = place++;
  if (order == pinrail::order::kind::listed) return list[at % list.size()];
  const auto rank = static_cast<pinrail::block_index>(at % blocks);
  return order == pinrail::order::kind::forward ? rank : blocks - 1 - rank;
}

// ---- guards and reservations --------------------------------------------------------------------------------------

void protection::look() {
  const bool whole = std::holds_alternative<pinrail::residency_guard>(guard);
  seen.look(where, handle, blocks, whole ? "keep_resident" : "protect_blocks");
}

void reserved_share::look() {
  if (whole) seen.look(where, handle, reservation, primary);
}

// ---- bytes ----------------------------------------------------------------------------------------------------------

std::span<std::byte> taken_bytes::memory() const noexcept {
  return {static_cast<std::byte*>(bytes.device_ptr()), bytes.device_ptr() != nullptr ? bytes.size_bytes() : 0};
}

void taken_bytes::begin() {
  if (memory().empty()) return;
  if (!where.take_extent(memory().data(), memory().size(), owner))
    where.report(check::extents, "reserve_bytes gave memory that is also someone else's");
  launch_write(where.stream(stream), memory(), content_key(owner, 0));
}

taken_bytes::~taken_bytes() {
  if (memory().empty()) return;
  launch_check(where.stream(stream), memory(), {&where, owner, 0, "memory from reserve_bytes at its end"});
  where.stream(stream).synchronize();  // the caller's work on it must be done
  where.give_extent(memory().data(), owner);
}

// ---- handing over -----------------------------------------------------------------------------------------------

namespace {

struct slot_finder {
  template <class T>
  runtime_slot* operator()(const std::unique_ptr<T>& h) const noexcept {
    return &h->slot;
  }
  runtime_slot* operator()(const std::unique_ptr<taken_bytes>&) const noexcept { return nullptr; }
};

}  // namespace

runtime_slot* slot_of(const holding& h) noexcept { return std::visit(slot_finder{}, h); }

bool lobby::leave(holding& h) {
  const std::lock_guard lock(mutex_);
  if (left_.size() == capacity) return false;
  left_.push_back(std::move(h));
  return true;
}

std::optional<holding> lobby::take(dice& d) {
  const std::lock_guard lock(mutex_);
  if (left_.empty()) return std::nullopt;
  std::swap(left_[d.below(left_.size())], left_.back());
  std::optional<holding> taken(std::move(left_.back()));
  left_.pop_back();
  return taken;
}

}  // namespace stress
