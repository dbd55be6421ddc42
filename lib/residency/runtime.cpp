#include "pinrail/runtime.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "residency/grants.hpp"
#include "residency/pass_control.hpp"
#include "residency/refusals.hpp"
#include "residency/statistics.hpp"

namespace pinrail {

using residency::runtime_state;
using residency::scheduler_state;

namespace {

/// The target of a call, if it may be used together with the caller.
result<runtime_state*> usable(const runtime& caller, const runtime& target) noexcept {
  if (caller.state() == nullptr || target.state() == nullptr || &caller.state()->owner() != &target.state()->owner())
    return failure{.code = errc::invalid_argument};
  runtime_state& r = *target.state();
  if (r.owner().halted()) return r.owner().why_halted();
  if (r.state.load() != runtime_state::phase::live) return failure{.code = errc::closed};
  return &r;
}

/// Throws what a `try_` form refused.
[[noreturn]] void refuse_call(const char* call, const runtime& caller, const runtime& target, const failure& why) {
  if (target.state() == nullptr || caller.state() == nullptr)
    throw error(errc::invalid_argument, fmt::format("{}: an empty runtime handle", call));
  const std::string what = fmt::format("{}('{}')", call, target.name());
  if (&caller.state()->owner() != &target.state()->owner())
    throw error(errc::invalid_argument, fmt::format("{}: '{}' belongs to another scheduler", what, caller.name()));
  residency::refuse(target.state()->owner(), why, what, target.state().get());
}

}  // namespace

const std::string& runtime::name() const noexcept {
  static const std::string none = "(no runtime)";
  return state_ != nullptr ? state_->name() : none;
}

block_index runtime::block_count() const noexcept { return state_ != nullptr ? state_->blocks().size() : 0; }

const block_info& runtime::block(block_index index) const {
  if (index >= block_count())
    throw error(errc::invalid_argument, fmt::format("block {} of '{}', which has {}", index, name(), block_count()));
  return state_->source_model().blocks()[index];
}

std::uint64_t runtime::size_bytes() const noexcept {
  return state_ != nullptr ? state_->source_model().size_bytes() : 0;
}

runtime_statistics runtime::statistics() const {
  return state_ != nullptr ? statistics_of(state_->owner(), *state_) : runtime_statistics{};
}

bool runtime::is_resident(block_index index) const noexcept {
  return index < block_count() && state_->at(index).word.seen_resident();
}

// ---- protection -----------------------------------------------------------------------------------------------

result<residency_guard> runtime::try_keep_resident(const runtime& target) const noexcept {
  const auto r = usable(*this, target);
  if (!r) return r.why();
  residency_guard guard;
  scheduler_state& s = (*r)->owner();
  if (target.block_count() == 0) {
    s.log(log_level::warning, "keep_resident: the target has no blocks; the guard does nothing");
    return guard;
  }
  if (const auto kept = residency::keep(**r); !kept) return kept.why();
  guard.runtime_ = target.state_;
  if (s.tracing()) {
    guard.trace_id_ = s.next_trace_id();
    s.trace(trace_kind::guard_begin, *r, 0, guard.trace_id_, 0, "keep_resident");
  }
  return guard;
}

residency_guard runtime::keep_resident(const runtime& target, const keep_options& options) const {
  auto guard = try_keep_resident(target);
  if (!guard) refuse_call("keep_resident", *this, target, guard.why());
  if (options.load && guard->active())
    if (const auto loaded = residency::load_all(*target.state_); !loaded)
      refuse_call("keep_resident({.load = true})", *this, target, loaded.why());
  return std::move(*guard);
}

result<block_guard> runtime::try_protect_blocks(std::vector<block_index> indices) const noexcept {
  const auto r = usable(*this, *this);
  if (!r) return r.why();
  for (const block_index b : indices)
    if (b >= block_count())
      return failure{.code = errc::invalid_argument, .needed_bytes = b, .available_bytes = block_count()};
  if (const auto done = residency::protect(**r, indices); !done) return done.why();
  block_guard guard;
  guard.runtime_ = state_;
  guard.blocks_ = std::move(indices);
  return guard;
}

block_guard runtime::protect_blocks(std::vector<block_index> indices) const {
  const auto bad = std::find_if(indices.begin(), indices.end(), [this](block_index b) { return b >= block_count(); });
  if (bad != indices.end())
    throw error(errc::invalid_argument,
                fmt::format("protect_blocks('{}'): block {} of {}", name(), *bad, block_count()));
  auto guard = try_protect_blocks(std::move(indices));
  if (!guard) refuse_call("protect_blocks", *this, *this, guard.why());
  return std::move(*guard);
}

// ---- reservations -----------------------------------------------------------------------------------------------

result<reservation> runtime::try_reserve_for_resident(const runtime& target, const reserve_options& o) const noexcept {
  const auto r = usable(*this, target);
  if (!r) return r.why();
  if (target.block_count() == 0 && o.bytes == 0) return failure{.code = errc::invalid_argument};
  const auto granted = residency::reserve(**r, o);
  if (!granted) return granted.why();
  reservation handle;
  handle.runtime_ = target.state_;
  handle.epoch_ = granted->epoch;
  handle.share_bytes_ = (*r)->owner().to_bytes(granted->pages);
  return handle;
}

reservation runtime::reserve_for_resident(const runtime& target, const reserve_options& options) const {
  auto handle = try_reserve_for_resident(target, options);
  if (handle) return std::move(*handle);
  const failure& why = handle.why();
  if (why.code == errc::invalid_argument && why.needed_bytes != 0)
    throw error(why, fmt::format("reserve_for_resident('{}'): {} bytes are less than its largest block, {} in whole "
                                 "pages",
                                 target.name(), why.available_bytes, why.needed_bytes));
  if (why.code == errc::conflict)
    throw error(why, fmt::format("reserve_for_resident('{}'): it is a guest; let its as_guest scopes end first",
                                 target.name()));
  refuse_call("reserve_for_resident", *this, target, why);
}

bool runtime::release_reservation(const runtime& target) const noexcept {
  if (target.state_ == nullptr || state_ == nullptr || &target.state_->owner() != &state_->owner()) return false;
  return residency::release(*target.state_);
}

// ---- guests -------------------------------------------------------------------------------------------------------

result<guest_guard> runtime::try_as_guest(const runtime& guest) const noexcept {
  const auto r = usable(*this, guest);
  if (!r) return r.why();
  const auto granted = residency::enter_guest(**r);
  if (!granted) return granted.why();
  guest_guard scope;
  scope.runtime_ = guest.state_;
  scheduler_state& s = (*r)->owner();
  scope.share_bytes_ = s.to_bytes(granted->pages);
  if (s.tracing()) {
    scope.trace_id_ = s.next_trace_id();
    s.trace(trace_kind::guard_begin, *r, 0, scope.trace_id_, scope.share_bytes_, "guest");
  }
  return scope;
}

guest_guard runtime::as_guest(const runtime& guest) const {
  auto scope = try_as_guest(guest);
  if (scope) return std::move(*scope);
  if (scope.code() == errc::conflict)
    throw error(scope.why(), fmt::format("as_guest('{}'): it holds a reservation; release it first", guest.name()));
  refuse_call("as_guest", *this, guest, scope.why());
}

// ---- use --------------------------------------------------------------------------------------------------------

result<forward_pass> runtime::try_managed_forward(stream_ref stream, const pass_options& options) const noexcept {
  const auto r = usable(*this, *this);
  if (!r) return r.why();
  std::shared_ptr<const core::list_order> list;
  if (options.order.type() == order::kind::listed) {
    const auto& blocks = options.order.blocks();
    for (const block_index b : blocks)
      if (b >= block_count())
        return failure{.code = errc::invalid_argument, .needed_bytes = b, .available_bytes = block_count()};
    try {
      list = std::make_shared<const core::list_order>(blocks, block_count());
    } catch (const std::bad_alloc&) {
      return failure{.code = errc::out_of_memory};
    }
  }
  const auto pass = residency::open_pass(**r, stream, options, std::move(list));
  if (!pass) return pass.why();
  return forward_pass(state_, *pass);
}

forward_pass runtime::managed_forward(stream_ref stream, const pass_options& options) const {
  auto pass = try_managed_forward(stream, options);
  if (pass) return std::move(*pass);
  const failure& why = pass.why();
  if (why.code == errc::invalid_argument && state_ != nullptr) {
    if (stream.device() != &state_->owner().device())
      throw error(why, fmt::format("managed_forward('{}'): the stream is not one of the scheduler's device", name()));
    if (options.prefetch_blocks > 64)
      throw error(why, fmt::format("managed_forward('{}'): prefetch_blocks is {}; at most 64 are possible", name(),
                                   options.prefetch_blocks));
    throw error(why, fmt::format("managed_forward('{}'): the order names block {} of {}", name(), why.needed_bytes,
                                 why.available_bytes));
  }
  if (why.code == errc::limit)
    throw error(
        why, fmt::format("managed_forward('{}'): {} passes are live, which is the limit", name(), why.available_bytes));
  refuse_call("managed_forward", *this, *this, why);
}

}  // namespace pinrail
