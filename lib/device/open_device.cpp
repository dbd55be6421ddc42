#include <memory>

#include "device/emulated/backend.hpp"
#include "device/simulated/backend.hpp"
#include "device/spec.hpp"
#include "pinrail/device.hpp"
#include "pinrail/error.hpp"

#ifdef PINRAIL_HAVE_CUDA
#include "device/cuda/open_cuda.hpp"
#endif

namespace pinrail {
namespace {

#ifdef PINRAIL_HAVE_CUDA
using devices::open_cuda;
#else
std::unique_ptr<devices::backend> open_cuda(int) {
  throw error(errc::device_unavailable, "this build has no CUDA backend (CUDA Toolkit not found when it was built)");
}
#endif

std::unique_ptr<devices::backend> open_best() {
  try {
    return open_cuda(0);
  } catch (const error& e) {
    if (e.code() != errc::device_unavailable) throw;
    return std::make_unique<devices::emulated_backend>(devices::host_device_options{});
  }
}

std::unique_ptr<devices::backend> open_backend(const devices::device_spec& spec) {
  using family = devices::device_spec::family;
  switch (spec.kind) {
    case family::cuda:
      return open_cuda(spec.ordinal);
    case family::emulated:
      return std::make_unique<devices::emulated_backend>(spec.options);
    case family::simulated:
      return std::make_unique<devices::simulated_backend>(spec.options);
    case family::best:
      break;
  }
  return open_best();
}

}  // namespace

std::shared_ptr<device> open_device(std::string_view spec) {
  return std::make_shared<device>(open_backend(devices::parse_device_spec(spec)));
}

}  // namespace pinrail
