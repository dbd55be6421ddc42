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
    case call::allocate_arena: return "cudaMalloc";
    case call::allocate_pinned: return "cudaHostAlloc";
    case call::create_stream: return "cudaStreamCreateWithFlags";
    case call::synchronize_stream: return "cudaStreamSynchronize";
    case call::create_event: return "cudaEventCreateWithFlags";
    case call::record_event: return "cudaEventRecord";
    case call::query_event: return "cuEventQuery";
    case call::wait_event: return "cudaStreamWaitEvent";
    case call::copy_host_to_device:
    case call::copy_device_to_host:
    case call::copy_device_to_device: return "cudaMemcpyAsync";
    case call::any: break;
  }
  return "any";
}

cudaError_t code_of(errc code) {
  if (code == errc::out_of_memory) return cudaErrorMemoryAllocation;
  return code == errc::device_lost ? cudaErrorIllegalAddress : cudaErrorUnknown;
}

/// What a lost context holds can't be given back one by one.
enum class after_loss { frees_work, nothing_works };

class cuda_bed final : public fault_bed {
 public:
  cuda_bed(const planned_fault& plan, after_loss loss) : fault_bed(plan), loss_(loss) {
    for (std::uint64_t i = 0; plan.code != errc::none && i < plan.count; ++i)
      fake_.inject({.call = name_of(plan.where),
                    .after = plan.first + i,
                    .code = code_of(plan.code),
                    .sticky = plan.code == errc::device_lost && loss == after_loss::nothing_works});
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
    const auto left = fake_.live();
    const bool excused = loss_ == after_loss::nothing_works && plan().code == errc::device_lost && reached();
    if (!excused && left != fake_cuda::resources{})
      problems.push_back(fmt::format("leak: {} bytes of device memory, {} pinned, {} streams, {} events, {} references to "
                                     "the context",
                                     left.device_bytes, left.pinned_bytes, left.streams, left.events,
                                     left.context_references));
    return problems;
  }

 private:
  const after_loss loss_;
  fake_cuda fake_;
  std::shared_ptr<pinrail::device> device_ = std::make_shared<pinrail::device>(testing::open_fake(0));
};

std::unique_ptr<fault_bed> make(const planned_fault& plan) {
  return std::make_unique<cuda_bed>(plan, after_loss::frees_work);
}
std::unique_ptr<fault_bed> make_dying(const planned_fault& plan) {
  return std::make_unique<cuda_bed>(plan, after_loss::nothing_works);
}

const std::vector<call> each_kind{call::allocate_arena,     call::allocate_pinned, call::create_stream,
                                  call::synchronize_stream, call::create_event,    call::record_event,
                                  call::query_event,        call::wait_event,      call::copy_host_to_device};

TEST(cuda_sweep, without_a_fault_nothing_fails) { run_without_fault(make); }
TEST(cuda_sweep, out_of_memory) { sweep_calls(make, {errc::out_of_memory, 1, each_kind}); }
TEST(cuda_sweep, device_error) { sweep_calls(make, {errc::device_error, 1, each_kind}); }
TEST(cuda_sweep, device_lost) { sweep_calls(make, {errc::device_lost, 1, each_kind}); }
TEST(cuda_sweep, device_lost_for_good) { sweep_calls(make_dying, {errc::device_lost, 1, each_kind}); }

}  // namespace
}  // namespace pinrail::test
