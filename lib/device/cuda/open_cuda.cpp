#include "device/cuda/open_cuda.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include <cstdlib>

#include "device/cuda/api.hpp"
#include "device/cuda/call_scope.hpp"
#include "device/cuda/cuda_backend.hpp"
#include "pinrail/error.hpp"

namespace pinrail::devices {
namespace {

constexpr const char* driver_library = "libcuda.so.1";

[[noreturn]] void refuse(int ordinal, cudaError_t code, const std::string& cause) {
  throw error(failure{.code = errc::device_unavailable, .native_code = static_cast<std::int32_t>(code)},
              fmt::format("cuda:{} is not available: {}", ordinal, cause));
}

/// 12040 -> "12.4"
std::string version_text(int version) { return fmt::format("{}.{}", version / 1000, version % 1000 / 10); }

std::string too_old_text(const cuda_api& api) {
  int driver = 0;
  int runtime = 0;
  static_cast<void>(call_quietly(api, api.driver_get_version, &driver));
  static_cast<void>(call_quietly(api, api.runtime_get_version, &runtime));
  const std::string newest = driver == 0 ? "does not tell its version" : "goes up to CUDA " + version_text(driver);
  return fmt::format("the NVIDIA driver is too old: it {}, and Pinrail was built with the CUDA {} runtime", newest,
                     version_text(runtime));
}

std::string visible_devices_text(const driver_probe& probe) {
  if (!probe.visible_devices) return "CUDA_VISIBLE_DEVICES is not set";
  return fmt::format("CUDA_VISIBLE_DEVICES is '{}' and hides what it does not list", *probe.visible_devices);
}

std::string cuda_text(const cuda_api& api, cudaError_t code) {
  return fmt::format("{} ({}, error {})", api.get_error_string(code), api.get_error_name(code), static_cast<int>(code));
}

/// Why cudaGetDeviceCount failed.
std::string no_devices_text(const cuda_api& api, const driver_probe& probe, cudaError_t code) {
  switch (code) {
    case cudaErrorInsufficientDriver:
    case cudaErrorCallRequiresNewerDriver:
      if (probe.library_found) return too_old_text(api);
      return fmt::format("no NVIDIA driver is installed ({})", probe.load_error);
    case cudaErrorStubLibrary:
      return fmt::format(
          "the {} that is found first is the CUDA Toolkit's stub, which is only for linking; "
          "take the Toolkit's folder 'stubs' out of LD_LIBRARY_PATH",
          driver_library);
    case cudaErrorNoDevice:
      return fmt::format("the driver sees no GPU; {}", visible_devices_text(probe));
    default:
      return cuda_text(api, code);
  }
}

void check_ordinal(const cuda_api& api, const driver_probe& probe, int ordinal) {
  int count = 0;
  const cudaError_t code = call_quietly(api, api.get_device_count, &count);
  if (code != cudaSuccess) refuse(ordinal, code, no_devices_text(api, probe, code));
  if (count == 0) refuse(ordinal, cudaErrorNoDevice, no_devices_text(api, probe, cudaErrorNoDevice));
  if (ordinal >= 0 && ordinal < count) return;
  refuse(ordinal, cudaErrorInvalidDevice,
         fmt::format("there {}, and ordinals start at 0; {}",
                     count == 1 ? "is 1 GPU" : fmt::format("are {} GPUs", count), visible_devices_text(probe)));
}

driver_api load_driver(const cuda_api& api, int ordinal) {
  driver_api driver;
  if (const char* missing = load_driver_api(api, driver)) {
    refuse(ordinal, cudaErrorSymbolNotFound, fmt::format("the NVIDIA driver has no {}", missing));
  }
  return driver;
}

/// Completion words: does the GPU write 64-bit values by stream order, and has the driver the call?
bool writes_words(const driver_api& driver, CUdevice device) {
  int yes = 0;
  return driver.device_get_attribute != nullptr && driver.stream_write_value != nullptr &&
         driver.device_get_attribute(&yes, CU_DEVICE_ATTRIBUTE_CAN_USE_64_BIT_STREAM_MEM_OPS, device) == CUDA_SUCCESS &&
         yes != 0;
}

cuda_backend::identity identify(const cuda_api& api, const driver_api& driver, int ordinal) {
  cudaDeviceProp properties{};
  cudaError_t code = call_quietly(api, api.get_device_properties, &properties, ordinal);
  if (code != cudaSuccess) refuse(ordinal, code, cuda_text(api, code));
  cuda_backend::identity who{.ordinal = ordinal, .name = properties.name, .memory_bytes = properties.totalGlobalMem};
  code = from_driver(driver.device_get(&who.device, ordinal));
  // The first to retain creates the context: this is where a GPU that is full, or in exclusive mode and
  // taken, refuses.
  if (code == cudaSuccess) code = from_driver(driver.primary_context_retain(&who.context, who.device));
  if (code != cudaSuccess) refuse(ordinal, code, cuda_text(api, code));
  who.writes_words = writes_words(driver, who.device);
  return who;
}

}  // namespace

driver_probe probe_driver() {
  driver_probe seen;
  // Never closed: the runtime is about to load the same library and keeps it for the life of the process.
  if (dlopen(driver_library, RTLD_LAZY | RTLD_LOCAL) != nullptr) {
    seen.library_found = true;
  } else if (const char* why = dlerror()) {
    seen.load_error = why;
  }
  if (const char* visible = std::getenv("CUDA_VISIBLE_DEVICES")) seen.visible_devices = visible;
  return seen;
}

std::unique_ptr<backend> open_cuda(const cuda_api& api, const driver_probe& probe, int ordinal) {
  check_ordinal(api, probe, ordinal);
  const driver_api driver = load_driver(api, ordinal);
  return std::make_unique<cuda_backend>(api, driver, identify(api, driver, ordinal));
}

std::unique_ptr<backend> open_cuda(int ordinal) { return open_cuda(runtime_api(), probe_driver(), ordinal); }

int cuda_device_count(const cuda_api& api) noexcept {
  int count = 0;
  return call_quietly(api, api.get_device_count, &count) == cudaSuccess ? count : 0;
}

int cuda_device_count() noexcept { return cuda_device_count(runtime_api()); }

}  // namespace pinrail::devices
