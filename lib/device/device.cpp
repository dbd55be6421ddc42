#include "pinrail/device.hpp"

#include "device/backend.hpp"
#include "device/timeline.hpp"
#include "pinrail/error.hpp"

#include <fmt/format.h>

namespace pinrail {

device::device(std::unique_ptr<devices::backend> implementation)
    : backend_(std::move(implementation)),
      timeline_(std::make_unique<devices::timeline>(*backend_)),
      name_(backend_->name()) {}

device::~device() = default;

device_kind device::kind() const noexcept { return backend_->kind(); }
std::uint64_t device::memory_bytes() const noexcept { return backend_->memory_bytes(); }
std::uint64_t device::now_ns() const noexcept { return backend_->now_ns(); }

namespace {

[[noreturn]] void refuse_stream(const device& where, const failure& why, const char* what) {
  if (why.code == errc::limit)
    throw error(why, fmt::format("{}: {} streams are open, which is the limit; {} needs one more", where.name(),
                                 why.available_bytes, what));
  throw error(
      why, fmt::format("{}: {} failed: {} (native code {})", where.name(), what, to_string(why.code), why.native_code));
}

}  // namespace

stream device::create_stream() {
  const auto index = timeline_->create_stream();
  if (!index) refuse_stream(*this, index.why(), "create_stream");
  return stream(shared_from_this(), *index);
}

stream device::wrap_stream(void* native) {
  const auto index = timeline_->wrap_stream(native);
  if (!index) refuse_stream(*this, index.why(), "wrap_stream");
  return stream(shared_from_this(), *index);
}

void* stream_ref::native_handle() const noexcept {
  return device_ != nullptr ? device_->timeline().handle(index_).native : nullptr;
}

void stream_ref::synchronize() const {
  if (device_ == nullptr) return;
  const auto done = device_->timeline().synchronize(index_);
  if (!done) refuse_stream(*device_, done.why(), "synchronize");
}

stream& stream::operator=(stream&& other) noexcept {
  stream taken(std::move(other));  // ends with what this one held
  std::swap(owner_, taken.owner_);
  std::swap(index_, taken.index_);
  return *this;
}

stream::~stream() {
  if (owner_) owner_->timeline().close_stream(index_);
}

}  // namespace pinrail
