#include "fake_gpu.hpp"

#include <fmt/format.h>

#include <cstring>

#include "device/cuda/open_cuda.hpp"

namespace pinrail::testing {
namespace {

constexpr std::byte poison{0xDB};

cudaStream_t native(devices::stream_handle stream) noexcept { return static_cast<cudaStream_t>(stream.native); }

}  // namespace

const char* cuda_name(emulated::call what) {
  using emulated::call;
  switch (what) {
    case call::allocate_arena:
      return "cudaMalloc";
    case call::allocate_pinned:
      return "cudaHostAlloc";
    case call::create_stream:
      return "cudaStreamCreateWithFlags";
    case call::synchronize_stream:
      return "cudaStreamSynchronize";
    case call::create_event:
      return "cudaEventCreateWithFlags";
    case call::record_event:
      return "cudaEventRecord";
    case call::query_event:
      return "cuEventQuery";
    case call::wait_event:
      return "cudaStreamWaitEvent";
    case call::copy_host_to_device:
    case call::copy_device_to_host:
    case call::copy_device_to_device:
      return "cudaMemcpyAsync";
    case call::any:
      break;
  }
  return "any";
}

cudaError_t cuda_code(errc code) {
  if (code == errc::out_of_memory) return cudaErrorMemoryAllocation;
  return code == errc::device_lost ? cudaErrorIllegalAddress : cudaErrorUnknown;
}

fake_gpu::fake_gpu(std::shared_ptr<fake_cuda> machine, int ordinal, const devices::host_device_options& how,
                   reporter report)
    : machine_(std::move(machine)), ordinal_(ordinal), poison_(how.poison), report_(std::move(report)) {
  machine_->configure(ordinal_, how);
  cuda_ = devices::open_cuda(fake_cuda::api(), {.library_found = true}, ordinal_);
}

fake_gpu::~fake_gpu() {
  cuda_.reset();
  if (!machine_->is_unloaded())
    for (const std::string& leak : machine_->leaks(ordinal_)) report_("leak: " + leak);
  for (const std::string& wrong : violations()) report_(wrong);
  machine_->retire(ordinal_);
}

void fake_gpu::note_access(devices::stream_handle stream, const void* data, std::uint64_t size_bytes,
                           devices::access way) noexcept {
  const auto checker = machine_->checker(ordinal_);
  if (!checker) return;
  if (stream.native == nullptr) return checker->touch_by_host(data, size_bytes, way);
  checker->touch_by_stream(machine_->number_of(ordinal_, native(stream)), devices::toucher::noted_use, data, size_bytes,
                           way);
}

void fake_gpu::note_discard(devices::stream_handle stream, void* data, std::uint64_t size_bytes) noexcept {
  const auto fill = [this, data, size_bytes] {
    if (poison_) std::memset(data, static_cast<int>(poison), size_bytes);
  };
  const emulated::access touched{data, size_bytes, true};
  static_cast<void>(machine_->enqueue(ordinal_, native(stream), fill, {&touched, 1}, devices::toucher::discard));
}

void fake_gpu::launch(devices::stream_handle stream, std::function<void()> kernel,
                      std::span<const emulated::access> accesses) {
  const cudaError_t launched = machine_->enqueue(ordinal_, native(stream), std::move(kernel), accesses);
  if (launched != cudaSuccess)
    throw error(machine_->is_lost(ordinal_) ? errc::device_lost : errc::invalid_argument,
                fmt::format("{}: a kernel could not be launched: {}", name(), static_cast<int>(launched)));
}

void fake_gpu::inject(const emulated::fault& what) {
  machine_->inject({.call = cuda_name(what.where),
                    .after = what.after,
                    .code = cuda_code(what.code),
                    .sticky = what.code == errc::device_lost,
                    .device = ordinal_});
}

std::vector<std::string> fake_gpu::violations() const {
  std::vector<std::string> all = machine_->misuses(ordinal_);
  if (const auto checker = machine_->checker(ordinal_))
    for (std::string& unordered : checker->violations()) all.push_back(std::move(unordered));
  return all;
}

emulated::resources fake_gpu::live_resources() const {
  const fake_cuda::resources live = machine_->live(ordinal_);
  return {.arena_bytes = live.device_bytes,
          .pinned_bytes = live.pinned_bytes,
          .streams = live.streams,
          .events = live.events};
}

}  // namespace pinrail::testing
