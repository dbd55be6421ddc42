#include "fake_machine.hpp"

#include <cstdlib>
#include <utility>

namespace pinrail::testing {
namespace {

constexpr int gpus = 8;

}  // namespace

std::shared_ptr<fake_cuda> fake_machine() {
  static const bool old = std::getenv("PINRAIL_FAKE_CUDA_OLD") != nullptr;
  static const auto machine =
      std::make_shared<fake_cuda>(fake_cuda::options{.devices = gpus,
                                                     .memory_bytes = std::uint64_t{4} << 30,
                                                     .pinned_limit_bytes = std::uint64_t{4} << 30,
                                                     .writes_words = !old,
                                                     .copies_batches = !old});
  return machine;
}

std::shared_ptr<device> open_fake_gpu(const std::string& emulated_spec, fake_gpu::reporter report) {
  const auto machine = fake_machine();
  const devices::device_spec spec = devices::parse_device_spec(emulated_spec);
  for (int ordinal = 0; ordinal < gpus; ++ordinal)
    if (machine->occupy(ordinal))
      return std::make_shared<device>(std::make_unique<fake_gpu>(machine, ordinal, spec.options, std::move(report)));
  throw error(errc::limit, "all GPUs of the fake machine are open");
}

}  // namespace pinrail::testing
