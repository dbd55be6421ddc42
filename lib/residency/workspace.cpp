#include "pinrail/workspace.hpp"

#include <fmt/format.h>

#include "pinrail/scheduler.hpp"
#include "pinrail/units.hpp"
#include "residency/holders.hpp"
#include "residency/refusals.hpp"
#include "residency/say.hpp"
#include "residency/workspace_state.hpp"

namespace pinrail {

workspace::workspace(scheduler& on, const workspace_options& options)
    : state_(std::make_shared<residency::workspace_state>(on.state_, options)) {}

result<void*> workspace::try_allocate(std::uint64_t size_bytes, stream_ref stream) noexcept {
  if (state_ == nullptr || stream.device() != &state_->owner().device())
    return failure{.code = errc::invalid_argument, .needed_bytes = size_bytes};
  return state_->allocate(size_bytes, stream.index());
}

void* workspace::allocate(std::uint64_t size_bytes, stream_ref stream) {
  const auto memory = try_allocate(size_bytes, stream);
  if (memory) return *memory;
  const std::string what = fmt::format("workspace '{}', {}", state_ ? state_->name() : "", format_bytes(size_bytes));
  if (memory.code() == errc::invalid_argument)
    throw error(memory.why(), what + ": the stream is not one of the workspace's device");
  if (memory.code() != errc::out_of_memory) residency::refuse(state_->owner(), memory.why(), what);
  auto holders = residency::blockers_of(state_->owner(), nullptr);
  const std::string text = fmt::format("{}: out of memory for now: {} needed, {} possible; held by {}", what,
                                       format_bytes(memory.why().needed_bytes),
                                       format_bytes(memory.why().available_bytes), residency::describe(holders));
  throw error(memory.why(), text, std::move(holders));
}

result<void> workspace::try_deallocate(void* memory, std::uint64_t size_bytes, stream_ref stream) noexcept {
  if (state_ == nullptr || stream.device() != &state_->owner().device())
    return failure{.code = errc::invalid_argument, .needed_bytes = size_bytes};
  return state_->deallocate(memory, size_bytes, stream.index());
}

void workspace::deallocate(void* memory, std::uint64_t size_bytes, stream_ref stream) noexcept {
  const auto done = try_deallocate(memory, size_bytes, stream);
  if (done || state_ == nullptr || done.code() != errc::invalid_argument) return;  // a device error is kept already
  state_->owner().keep_error(
      log_level::error,
      residency::say("workspace '{}': {} were given back at an address where {} are out", state_->name(),
                     format_bytes(size_bytes), format_bytes(done.why().available_bytes)));
}

result<stream_ref> workspace::try_native_stream(void* native) noexcept {
  if (state_ == nullptr) return failure{.code = errc::invalid_argument};
  const auto found = state_->streams().find(native);
  if (!found) return found.why();
  return stream_ref(state_->owner().device(), *found);
}

void workspace::add_stream(stream_ref stream) {
  if (state_ == nullptr || stream.device() != &state_->owner().device())
    throw error(errc::invalid_argument, "add_stream: the stream is not one of the workspace's device");
  (void)state_->streams().add(stream.index()).value();
}

void workspace::forget_stream(void* native) noexcept {
  if (state_ != nullptr) state_->streams().forget(native);
}

void workspace::note_refusal(std::uint64_t size_bytes, const failure& why) const noexcept {
  if (state_ == nullptr) return;
  state_->owner().log(log_level::warning, residency::say("workspace '{}': {} refused: {}, {} possible (native code {})",
                                                         state_->name(), format_bytes(size_bytes), to_string(why.code),
                                                         format_bytes(why.available_bytes), why.native_code));
}

std::uint64_t workspace::used_bytes() const noexcept { return state_ != nullptr ? state_->used_bytes() : 0; }
std::uint64_t workspace::peak_used_bytes() const noexcept { return state_ != nullptr ? state_->peak_used_bytes() : 0; }

}  // namespace pinrail
