// The sweep over the CUDA backend, on a fake CUDA runtime: each CUDA function that Pinrail's calls rest on fails once,
// in a run of its own. Functions that free and destroy succeed: nobody can do anything about those.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "device_cuda/fake_machine.hpp"
#include "faults/fault_bed.hpp"
#include "faults/sweep.hpp"

namespace pinrail::test {
namespace {

using emulated::call;

class cuda_bed final : public fault_bed {
 public:
  explicit cuda_bed(const planned_fault& plan) : cuda_bed(plan, testing::cuda_name(plan.where)) {}
  /// Faults of the CUDA function of that name, whatever `plan.where` is.
  cuda_bed(const planned_fault& plan, const char* name) : fault_bed(plan), name_(name), calls_before_(calls()) {
    const int ordinal = dynamic_cast<testing::fake_gpu&>(device_->backend()).ordinal();
    for (std::uint64_t i = 0; plan.code != errc::none && i < plan.count; ++i)
      testing::fake_machine()->inject({.call = name_,
                                       .after = plan.first + i,
                                       .code = testing::cuda_code(plan.code),
                                       .sticky = plan.code == errc::device_lost,
                                       .device = ordinal});
  }

  [[nodiscard]] pinrail::device& device() override { return *device_; }
  void launch(stream_ref on, std::function<void()> kernel, std::span<const emulated::access> touched) override {
    emulated::launch(on, std::move(kernel), touched);
  }
  [[nodiscard]] std::uint64_t calls_made() override { return calls() - calls_before_; }
  [[nodiscard]] std::vector<std::string> close() override {
    if (device_.use_count() != 1)
      problems_.push_back(fmt::format("{} others hold the device", device_.use_count() - 1));
    device_.reset();
    return problems_;
  }

 private:
  [[nodiscard]] std::uint64_t calls() { return testing::fake_machine()->calls(name_); }

  const char* const name_;
  std::vector<std::string> problems_;
  std::shared_ptr<pinrail::device> device_ =
      testing::open_fake_gpu("emulated:", [this](const std::string& wrong) { problems_.push_back(wrong); });
  std::uint64_t calls_before_;
};

std::unique_ptr<fault_bed> make(const planned_fault& plan) { return std::make_unique<cuda_bed>(plan); }
std::unique_ptr<fault_bed> make_for_words(const planned_fault& plan) {
  return std::make_unique<cuda_bed>(plan, "cuStreamWriteValue64");
}

const std::vector<call> each_kind{call::allocate_arena,     call::allocate_pinned, call::create_stream,
                                  call::synchronize_stream, call::create_event,    call::record_event,
                                  call::query_event,        call::wait_event,      call::copy_host_to_device};

TEST(cuda_sweep, without_a_fault_nothing_fails) { run_without_fault(make); }
TEST(cuda_sweep, out_of_memory) { sweep_calls(make, {errc::out_of_memory, 1, each_kind}); }
TEST(cuda_sweep, device_error) { sweep_calls(make, {errc::device_error, 1, each_kind}); }
TEST(cuda_sweep, words_that_are_refused) { sweep_calls(make_for_words, {errc::device_error, 1, {call::any}}); }
TEST(cuda_sweep, words_that_find_the_device_lost) { sweep_calls(make_for_words, {errc::device_lost, 1, {call::any}}); }
TEST(cuda_sweep, device_lost) { sweep_calls(make, {errc::device_lost, 1, each_kind}); }

}  // namespace
}  // namespace pinrail::test
