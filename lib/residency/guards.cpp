#include "pinrail/guards.hpp"

#include "residency/grants.hpp"

namespace pinrail {

void residency_guard::end() noexcept {
  if (runtime_ == nullptr) return;
  residency::unkeep(*runtime_);
  runtime_->owner().trace(trace_kind::guard_end, runtime_.get(), 0, trace_id_);
  runtime_.reset();
}

bool reservation::release() noexcept { return runtime_ != nullptr && residency::release(*runtime_, epoch_); }

bool reservation::active() const noexcept {
  if (runtime_ == nullptr || runtime_->owner().halted()) return false;
  const auto now = runtime_->owner().read(*runtime_);
  return now.reserved() && now.epoch == epoch_;
}

void guest_guard::end() noexcept {
  if (runtime_ == nullptr) return;
  residency::leave_guest(*runtime_);
  runtime_->owner().trace(trace_kind::guard_end, runtime_.get(), 0, trace_id_);
  runtime_.reset();
}

void block_guard::end() noexcept {
  if (runtime_ == nullptr) return;
  residency::unprotect(*runtime_, blocks_);
  runtime_.reset();
}

}  // namespace pinrail
