#include "compute.hpp"

#include <fmt/format.h>

#include <array>
#include <cstring>
#include <stdexcept>

#include "pinrail/emulated.hpp"

#ifdef EXAMPLES_HAVE_CUDA
#include "cuda_kernels.hpp"
#endif

namespace examples {

namespace {

/// Kernels are host functions on the stream's thread; device memory is host memory.
class emulated_compute final : public compute {
 public:
  void begin(pinrail::stream_ref stream, void* request, std::uint64_t uses, std::uint64_t seed) override {
    auto* words = static_cast<std::uint64_t*>(request);
    const pinrail::emulated::access writes{request, request_bytes(uses), true};
    pinrail::emulated::launch(stream,
                              [=] {
                                std::memset(words, 0, request_bytes(uses));
                                words[0] = seed;
                              },
                              {&writes, 1});
  }

  void mix(pinrail::stream_ref stream, void* request, std::uint64_t use, const void* block,
           std::span<const byte_range> tensors) override {
    auto* words = static_cast<std::uint64_t*>(request);
    const auto* bytes = static_cast<const std::byte*>(block);
    const std::array accesses{pinrail::emulated::access{words, 8, true},
                              pinrail::emulated::access{words + 1 + use, 8, true}};
    pinrail::emulated::launch(
        stream,
        [=] {
          std::uint64_t sum = 0;
          for (std::size_t t = 0; t < tensors.size(); ++t)
            sum += tensor_checksum(bytes + tensors[t].offset_bytes, tensors[t].size_bytes, t);
          words[1 + use] = sum;
          words[0] = next_state(words[0], sum);
        },
        accesses);
  }

  std::vector<std::uint64_t> end(pinrail::stream_ref stream, const void* request, std::uint64_t uses) override {
    stream.synchronize();
    const auto* words = static_cast<const std::uint64_t*>(request);
    return {words, words + 1 + uses};
  }
};

#ifdef EXAMPLES_HAVE_CUDA
class cuda_compute final : public compute {
 public:
  void begin(pinrail::stream_ref stream, void* request, std::uint64_t uses, std::uint64_t seed) override {
    cuda_begin(stream.native_handle(), request, uses, seed);
  }

  void mix(pinrail::stream_ref stream, void* request, std::uint64_t use, const void* block,
           std::span<const byte_range> tensors) override {
    const auto* bytes = static_cast<const std::byte*>(block);
    for (std::size_t t = 0; t < tensors.size(); ++t)
      cuda_add_tensor(stream.native_handle(), request, use, bytes + tensors[t].offset_bytes, tensors[t].size_bytes, t);
    cuda_end_use(stream.native_handle(), request, use);
  }

  std::vector<std::uint64_t> end(pinrail::stream_ref stream, const void* request, std::uint64_t uses) override {
    std::vector<std::uint64_t> words(1 + uses);
    cuda_copy_back(stream.native_handle(), words.data(), request, request_bytes(uses));
    return words;
  }
};
#endif

}  // namespace

std::unique_ptr<compute> make_compute(const pinrail::device& on) {
  switch (on.kind()) {
    case pinrail::device_kind::emulated:
      return std::make_unique<emulated_compute>();
    case pinrail::device_kind::simulated:
      throw std::invalid_argument(
          "the pipeline checks every byte, and a simulated device has none; use emulated: or cuda:");
    case pinrail::device_kind::cuda:
      break;
  }
#ifdef EXAMPLES_HAVE_CUDA
  return std::make_unique<cuda_compute>();
#else
  throw std::invalid_argument("this build of the example has no CUDA kernels: nvcc was not found when it was built");
#endif
}

}  // namespace examples
