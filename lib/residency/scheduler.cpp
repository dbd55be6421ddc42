#include "pinrail/scheduler.hpp"

#include <fmt/format.h>

#include "pinrail/units.hpp"
#include "residency/byte_room.hpp"
#include "residency/holders.hpp"
#include "residency/refusals.hpp"
#include "residency/statistics.hpp"
#include "residency/transfers.hpp"

namespace pinrail {

using residency::scheduler_state;

namespace {

std::uint64_t deadline_of(const scheduler_state& s, std::optional<std::chrono::nanoseconds> given) noexcept {
  const auto wait = given.value_or(s.options().load_deadline).count();
  return s.now_ns() + static_cast<std::uint64_t>(std::max<std::int64_t>(0, wait));
}

failure shortage(const scheduler_state& s, const core::ruling& r) noexcept {
  return {.code = r.what == core::verdict::limit ? errc::limit : errc::insufficient_headroom,
          .needed_bytes = s.to_bytes(r.needed_pages),
          .available_bytes = s.to_bytes(r.free_pages)};
}

}  // namespace

// ---- scheduler --------------------------------------------------------------------------------------------------

scheduler::scheduler(pinrail::device& on, const scheduler_options& options)
    : state_(std::make_shared<scheduler_state>(on.shared_from_this(), options)) {
  state_->start();
  budget_.state_ = state_;
}

scheduler::~scheduler() {
  if (state_ != nullptr) state_->close();
}

runtime scheduler::add_runtime(std::string name, model blocks) {
  return runtime(state_->add_runtime(std::move(name), std::move(blocks)));
}

void scheduler::remove_runtime(const runtime& target) {
  if (target.state() == nullptr || &target.state()->owner() != state_.get())
    throw error(errc::invalid_argument,
                fmt::format("remove_runtime('{}'): it is not a runtime of this scheduler", target.name()));
  state_->remove_runtime(*target.state());
}

result<void> scheduler::try_set_vram_budget(std::uint64_t size_bytes,
                                            std::optional<std::chrono::nanoseconds> deadline) noexcept {
  scheduler_state& s = *state_;
  const std::uint64_t pages = s.arena().grid().whole_pages(size_bytes);
  const std::uint64_t arena = s.arena().budget().capacity();
  if (pages == 0 || pages > arena)
    return failure{.code = pages == 0 ? errc::invalid_argument : errc::too_large,
                   .needed_bytes = size_bytes,
                   .available_bytes = s.to_bytes(arena)};
  return s.withhold(arena - pages, deadline_of(s, deadline));
}

void scheduler::set_vram_budget(std::uint64_t size_bytes, std::optional<std::chrono::nanoseconds> deadline) {
  const auto done = try_set_vram_budget(size_bytes, deadline);
  if (done) return;
  const std::string what = fmt::format("set_vram_budget({})", format_bytes(size_bytes));
  if (done.code() == errc::invalid_argument)
    throw error(done.why(),
                fmt::format("{}: less than one page of {}", what, format_bytes(state_->arena().grid().page_bytes())));
  if (done.code() == errc::too_large)
    throw error(done.why(), fmt::format("{}: the arena was made for {} (scheduler_options::max_vram_budget)", what,
                                        format_bytes(done.why().available_bytes)));
  residency::refuse(*state_, done.why(), what);
}

statistics scheduler::statistics() const { return statistics_of(*state_); }
std::vector<blocker> scheduler::blockers() const { return blockers_of(*state_, nullptr); }
std::optional<std::string> scheduler::first_error() const { return state_->first_error(); }
void scheduler::synchronize() {
  const scheduler_state::working call(*state_);
  if (call) state_->moves().synchronize();
}
device& scheduler::device() const noexcept { return state_->device(); }

// ---- budget_control ---------------------------------------------------------------------------------------------

std::uint64_t budget_control::total_bytes() const noexcept { return state_->to_bytes(state_->budget_pages()); }

std::uint64_t budget_control::used_bytes() const noexcept {
  const auto b = state_->arena().budget().load();
  return state_->to_bytes(b.used + b.set_aside);
}

std::uint64_t budget_control::headroom_bytes() const noexcept { return state_->to_bytes(state_->headroom_pages()); }
std::uint64_t budget_control::reserved_bytes() const noexcept { return state_->to_bytes(state_->reserved_pages()); }

result<byte_reservation> budget_control::try_reserve_bytes(std::uint64_t size_bytes, std::string_view name,
                                                           const byte_options& options) noexcept {
  scheduler_state& s = *state_;
  if (s.halted()) return s.why_halted();
  const std::uint64_t pages = s.arena().pages_for(size_bytes);
  if (pages > s.arena().budget().capacity())
    return failure{.code = errc::too_large, .needed_bytes = size_bytes, .available_bytes = total_bytes()};
  const auto entry = s.claim_byte_entry(name);
  if (!entry) return residency::at_limit(scheduler_state::byte_entries);
  byte_reservation handle;
  handle.entry_ = *entry;
  const auto granted = s.table().reserve(*entry, core::holder::bytes, pages, pages);
  if (granted.what != core::verdict::granted) {
    s.free_byte_entry(*entry);
    return shortage(s, granted);
  }
  const auto memory = residency::take_bytes(s, static_cast<std::uint32_t>(pages), options.with_memory,
                                            deadline_of(s, options.deadline));
  if (!memory) {
    s.table().release(*entry);
    s.free_byte_entry(*entry);
    return memory.why();
  }
  handle.scheduler_ = state_;
  handle.size_bytes_ = s.to_bytes(pages);
  handle.memory_ = *memory;
  s.trace_used();
  return handle;
}

byte_reservation budget_control::reserve_bytes(std::uint64_t size_bytes, std::string_view name,
                                               const byte_options& options) {
  auto handle = try_reserve_bytes(size_bytes, name, options);
  if (handle) return std::move(*handle);
  residency::refuse(*state_, handle.why(), fmt::format("reserve_bytes({}, '{}')", format_bytes(size_bytes), name));
}

void byte_reservation::end() noexcept {
  if (scheduler_ == nullptr) return;
  scheduler_state& s = *scheduler_;
  residency::return_bytes(s, static_cast<std::uint32_t>(s.arena().pages_for(size_bytes_)), memory_);
  s.table().release(entry_);
  s.free_byte_entry(entry_);
  s.trace_used();
  s.progress().notify();
  scheduler_.reset();
  memory_ = nullptr;
}

}  // namespace pinrail
