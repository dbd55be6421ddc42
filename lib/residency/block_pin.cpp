#include "pinrail/block_pin.hpp"

#include <fmt/format.h>

#include "pinrail/runtime.hpp"
#include "residency/loads.hpp"
#include "residency/pass_control.hpp"
#include "residency/refusals.hpp"

namespace pinrail {

using residency::runtime_state;
using residency::scheduler_state;

namespace {

/// The block was not resident, and the caller's pin waits on it.
result<void> load_pinned(runtime_state& r, block_index block) noexcept {
  scheduler_state& s = r.owner();
  const scheduler_state::working call(s);
  if (!call) return s.why_halted();
  // After the pin, which who removes the runtime looks at after it has said so.
  if (r.state.load() != runtime_state::phase::live) return failure{.code = errc::closed};
  const auto wait = static_cast<std::uint64_t>(s.options().load_deadline.count());
  return residency::await_resident(s, r, block, s.now_ns() + wait);
}

[[gnu::noinline]] result<block_pin> out_of_range(const runtime& r, block_index block) noexcept {
  return failure{.code = errc::invalid_argument, .needed_bytes = block, .available_bytes = r.block_count()};
}

[[noreturn]] void refuse_call(const char* call, runtime_state* r, block_index block, const failure& why) {
  if (r == nullptr) throw error(why, fmt::format("{} of a pin that has ended", call));
  if (why.code == errc::invalid_argument)
    throw error(why, fmt::format("{} of block {} of '{}': the stream is not one of the scheduler's device", call, block,
                                 r->name()));
  residency::refuse(r->owner(), why, fmt::format("{} of block {} of '{}'", call, block, r->name()), r);
}

}  // namespace

std::uint64_t block_pin::size_bytes() const noexcept { return runtime_ != nullptr ? runtime_->size_bytes(block_) : 0; }

result<void> block_pin::try_order_after_load(stream_ref stream) const noexcept {
  if (runtime_ == nullptr || stream.device() != &runtime_->owner().device())
    return failure{.code = errc::invalid_argument};
  return residency::order_after_load(*runtime_, block_, stream.index());
}

void block_pin::order_after_load(stream_ref stream) const {
  if (const auto done = try_order_after_load(stream); !done)
    refuse_call("order_after_load()", runtime_, block_, done.why());
}

result<void> block_pin::try_record_use(stream_ref stream) const noexcept {
  if (runtime_ == nullptr || stream.device() != &runtime_->owner().device())
    return failure{.code = errc::invalid_argument};
  return residency::note_use(*runtime_, block_, stream.index());
}

void block_pin::record_use(stream_ref stream) const {
  if (const auto done = try_record_use(stream); !done) refuse_call("record_use()", runtime_, block_, done.why());
}

void block_pin::end() noexcept {
  if (runtime_ == nullptr) return;
  scheduler_state& s = runtime_->owner();
  std::exchange(runtime_, nullptr)->at(block_).word.unpin();
  s.progress().notify();
}

block_pin::block_pin(runtime_state& r, block_index block) noexcept
    : runtime_(&r), data_(r.owner().arena().address(r.at(block).run().first)), block_(block) {}

[[gnu::noinline]] result<block_pin> block_pin::of_absent(runtime_state& r, block_index block, bool refused) noexcept {
  scheduler_state& s = r.owner();
  if (refused) return failure{.code = errc::limit};
  const result<void> held = s.halted() ? result<void>(s.why_halted()) : load_pinned(r, block);
  if (held) return block_pin(r, block);
  r.at(block).word.unpin();
  s.progress().notify();
  return held.why();
}

// Refusals and absent blocks are functions of their own that return what this one does: then it saves no registers for
// them.
result<block_pin> runtime::try_pin(block_index block) const noexcept {
  if (state_ == nullptr || block >= state_->blocks().size()) return out_of_range(*this, block);
  runtime_state& r = *state_;
  const auto pinned = r.at(block).word.pin();
  if (pinned != core::pin_outcome::held || r.owner().halted()) [[unlikely]]  // the pin first: `close` halts, then looks
    return block_pin::of_absent(r, block, pinned == core::pin_outcome::refused);
  return block_pin(r, block);
}

block_pin runtime::pin(block_index block) const {
  auto pin = try_pin(block);
  if (pin) return std::move(*pin);
  if (pin.code() == errc::invalid_argument)
    throw error(pin.why(), fmt::format("pin({}) of '{}', which has {} blocks", block, name(), block_count()));
  residency::refuse(state_->owner(), pin.why(), fmt::format("pin({}) of '{}'", block, name()), state_.get());
}

}  // namespace pinrail
