#include "device/emulated/fault_plan.hpp"

#include <fmt/format.h>

namespace pinrail::devices {

void fault_plan::inject(const emulated::fault& what) {
  if (what.code != errc::out_of_memory && what.code != errc::device_error && what.code != errc::device_lost) {
    throw error(errc::invalid_argument,
                fmt::format("a device call can't fail with {}; it fails with out_of_memory, device_error or "
                            "device_lost",
                            to_string(what.code)));
  }
  const std::lock_guard lock(mutex_);
  planned_.push_back(what);
  armed_.store(true, core::order::release);
}

void fault_plan::clear() noexcept {
  const std::lock_guard lock(mutex_);
  planned_.clear();
  armed_.store(false, core::order::release);
}

std::optional<failure> fault_plan::enter(emulated::call which) noexcept {
  calls_.fetch_add(1, core::order::relaxed);
  errc code = errc::none;
  if (armed_.load(core::order::acquire)) code = take_due(which);
  if (code == errc::device_lost) lost_.store(true, core::order::release);
  if (lost()) code = errc::device_lost;
  if (code == errc::none) return std::nullopt;
  return failure{.code = code};
}

errc fault_plan::take_due(emulated::call which) noexcept {
  const std::lock_guard lock(mutex_);
  errc code = errc::none;
  std::erase_if(planned_, [&](emulated::fault& fault) {
    if (fault.where != emulated::call::any && fault.where != which) return false;
    if (fault.after-- != 0) return false;
    // Of several that are due at once, a loss wins, then the first planned.
    if (code == errc::none || fault.code == errc::device_lost) code = fault.code;
    return true;
  });
  armed_.store(!planned_.empty(), core::order::release);
  return code;
}

}  // namespace pinrail::devices
