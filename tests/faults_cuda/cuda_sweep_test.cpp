// The sweep over the CUDA backend, on a fake CUDA runtime: each CUDA function that Pinrail's calls rest on fails once,
// in a run of its own. Functions that free and destroy succeed: nobody can do anything about those.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "device_cuda/rig.hpp"
#include "faults/fault_bed.hpp"
#include "faults/sweep.hpp"

namespace pinrail::test {
namespace {

using emulated::call;
using testing::fake_cuda;

const char* name_of(call what) {
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

cudaError_t code_of(errc code) {
  if (code == errc::out_of_memory) return cudaErrorMemoryAllocation;
  return code == errc::device_lost ? cudaErrorIllegalAddress : cudaErrorUnknown;
}

class cuda_bed final : public fault_bed {
 public:
  explicit cuda_bed(const planned_fault& plan) : fault_bed(plan) {
    for (std::uint64_t i = 0; plan.code != errc::none && i < plan.count; ++i)
      fake_.inject({.call = name_of(plan.where),
                    .after = plan.first + i,
                    .code = code_of(plan.code),
                    .sticky = plan.code == errc::device_lost});
  }

  [[nodiscard]] pinrail::device& device() override { return *device_; }
  void launch(stream_ref on, std::function<void()> kernel, std::span<const emulated::access>) override {
    if (fake_.launch(static_cast<cudaStream_t>(on.native_handle()), std::move(kernel)) != cudaSuccess)
      throw error(errc::device_lost, "launch");
  }
  [[nodiscard]] std::uint64_t calls_made() override { return fake_.calls(name_of(plan().where)); }
  [[nodiscard]] std::vector<std::string> close() override {
    std::vector<std::string> problems;
    if (device_.use_count() != 1) problems.push_back(fmt::format("{} others hold the device", device_.use_count() - 1));
    device_.reset();
    // What a lost context holds can't be given back, but Pinrail tries.
    const auto left = fake_.live();
    const auto leaked = [&](const char* what, std::uint64_t count, const char* freed_by, std::uint64_t excused) {
      if (count > excused)
        problems.push_back(fmt::format("leak: {} {}, and {} failed {} times", count, what, freed_by, excused));
    };
    const std::uint64_t all = ~std::uint64_t{0};
    leaked("bytes of device memory", left.device_bytes, "cudaFree", fake_.failures("cudaFree") != 0 ? all : 0);
    leaked("pinned bytes", left.pinned_bytes, "cudaFreeHost", fake_.failures("cudaFreeHost") != 0 ? all : 0);
    leaked("streams", left.streams, "cudaStreamDestroy", fake_.failures("cudaStreamDestroy"));
    leaked("events", left.events, "cudaEventDestroy", fake_.failures("cudaEventDestroy"));
    leaked("references to the context", static_cast<std::uint64_t>(left.context_references), "their release", 0);
    return problems;
  }

 private:
  fake_cuda fake_;
  std::shared_ptr<pinrail::device> device_ = std::make_shared<pinrail::device>(testing::open_fake(0));
};

std::unique_ptr<fault_bed> make(const planned_fault& plan) { return std::make_unique<cuda_bed>(plan); }

const std::vector<call> each_kind{call::allocate_arena,     call::allocate_pinned, call::create_stream,
                                  call::synchronize_stream, call::create_event,    call::record_event,
                                  call::query_event,        call::wait_event,      call::copy_host_to_device};

TEST(cuda_sweep, without_a_fault_nothing_fails) { run_without_fault(make); }
TEST(cuda_sweep, out_of_memory) { sweep_calls(make, {errc::out_of_memory, 1, each_kind}); }
TEST(cuda_sweep, device_error) { sweep_calls(make, {errc::device_error, 1, each_kind}); }
TEST(cuda_sweep, device_lost) { sweep_calls(make, {errc::device_lost, 1, each_kind}); }

}  // namespace
}  // namespace pinrail::test
