// Compute on a device: what stands for the models' kernels in this example.
//
// A request has a piece of device memory: its state, and one checksum per use. A block's kernel reads all of the
// block's bytes on the request's stream, writes the use's checksum, and mixes it into the state. At the end of a
// request both come back to the host.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "mix.hpp"
#include "pinrail/device.hpp"

namespace examples {

class compute {
 public:
  virtual ~compute() = default;

  /// Device bytes for a request with so many uses.
  [[nodiscard]] static std::uint64_t request_bytes(std::uint64_t uses) { return 8 * (1 + uses); }

  /// Enqueues: state = seed, checksums = 0.
  virtual void begin(pinrail::stream_ref stream, void* request, std::uint64_t uses, std::uint64_t seed) = 0;
  /// Enqueues one block's work. `use` numbers the uses of the request from 0.
  virtual void mix(pinrail::stream_ref stream, void* request, std::uint64_t use, const void* block,
                   std::span<const byte_range> tensors) = 0;
  /// Waits for the stream and brings back the state, then the checksums.
  [[nodiscard]] virtual std::vector<std::uint64_t> end(pinrail::stream_ref stream, const void* request,
                                                       std::uint64_t uses) = 0;
};

/// Throws for a simulated device, which has no bytes to compute on, and for CUDA if the example was built without nvcc.
[[nodiscard]] std::unique_ptr<compute> make_compute(const pinrail::device& on);

}  // namespace examples
