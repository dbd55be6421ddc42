// One fake machine for a whole program, whose GPUs are opened one by one.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "fake_gpu.hpp"
#include "pinrail/device.hpp"

namespace pinrail::testing {

/// The machine, made when it is first asked for, and kept for good. With PINRAIL_FAKE_CUDA_OLD=1 in the environment it
/// is an old one: its GPUs write no completion words, its driver copies no batches.
[[nodiscard]] std::shared_ptr<fake_cuda> fake_machine();

/// Opens a GPU of it that nobody has open, by the spec of an emulated device. `report` hears at the device's end what
/// was wrong.
[[nodiscard]] std::shared_ptr<device> open_fake_gpu(const std::string& emulated_spec, fake_gpu::reporter report);

}  // namespace pinrail::testing
