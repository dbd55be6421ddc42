#include "pinrail/emulated.hpp"

#include <fmt/format.h>

#include <string_view>
#include <utility>

#include "device/emulated/emulation.hpp"

namespace pinrail::emulated {
namespace {

devices::emulation& backend_of(const device& where, std::string_view what) {
  auto* const emulated = dynamic_cast<devices::emulation*>(&where.backend());
  if (emulated == nullptr) {
    throw error(errc::not_supported, fmt::format("emulated::{}: the device is not emulated: {}", what, where.name()));
  }
  return *emulated;
}

}  // namespace

void launch(stream_ref stream, std::function<void()> kernel, std::span<const access> accesses) {
  if (stream.device() == nullptr) throw error(errc::invalid_argument, "emulated::launch: the stream is empty");
  backend_of(*stream.device(), "launch").launch({stream.native_handle()}, std::move(kernel), accesses);
}

void inject(device& where, const fault& what) { backend_of(where, "inject").inject(what); }

void clear_faults(device& where) { backend_of(where, "clear_faults").clear_faults(); }
bool has_faults(const device& where) { return backend_of(where, "has_faults").has_faults(); }

std::vector<std::string> violations(const device& where) { return backend_of(where, "violations").violations(); }

resources live_resources(const device& where) { return backend_of(where, "live_resources").live_resources(); }

std::uint64_t calls_made(const device& where) { return backend_of(where, "calls_made").calls_made(); }

}  // namespace pinrail::emulated
