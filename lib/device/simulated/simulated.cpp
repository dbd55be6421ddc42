#include "pinrail/simulated.hpp"

#include <fmt/format.h>

#include "device/simulated/backend.hpp"
#include "pinrail/error.hpp"

namespace pinrail::simulated {

void launch(stream_ref stream, std::uint64_t duration_ns) {
  if (stream.device() == nullptr) throw error(errc::invalid_argument, "simulated::launch: the stream is empty");
  auto* const simulated = dynamic_cast<devices::simulated_backend*>(&stream.device()->backend());
  if (simulated == nullptr) {
    throw error(errc::not_supported,
                fmt::format("simulated::launch: the device is not simulated: {}", stream.device()->name()));
  }
  const devices::status launched = simulated->launch({stream.native_handle()}, duration_ns);
  if (!launched) throw error(launched.why(), "simulated::launch: the device refused the kernel");
}

}  // namespace pinrail::simulated
