// Compute of a wanted length: a matrix product over the beginning of a block, again and again.
#pragma once

#include <algorithm>
#include <cmath>

#include "cuda.hpp"
#include "kernels.hpp"

namespace gpu {

class compute {
 public:
  compute() : b_(gemm_bytes), c_(gemm_bytes) {
    const device_memory a(gemm_bytes);
    const stream on;
    const auto time = [&](unsigned repeats) {
      const stopwatch watch;
      for (int i = 0; i < 10; ++i) enqueue(on, a.get(), repeats);
      on.synchronize();
      return watch.seconds() / 10;
    };
    (void)time(8);
    const double few = time(8);
    const double many = time(72);
    repeat_s_ = std::max(1e-9, (many - few) / 64);
  }

  /// How often the product has to be repeated for a kernel of that length.
  [[nodiscard]] unsigned repeats_for(double seconds) const {
    return static_cast<unsigned>(std::max(1.0, std::round(seconds / repeat_s_)));
  }
  /// `block` has at least `gemm_bytes`. One stream at a time: they share a result.
  void enqueue(cudaStream_t on, const void* block, unsigned repeats) const {
    enqueue_gemm(on, block, b_.get(), c_.get(), repeats);
  }
  /// Of one such kernel, measured.
  [[nodiscard]] double seconds_of(unsigned repeats) const {
    const device_memory a(gemm_bytes);
    const stream on;
    constexpr int kernels = 20;
    enqueue(on, a.get(), repeats);
    on.synchronize();
    const stopwatch watch;
    for (int i = 0; i < kernels; ++i) enqueue(on, a.get(), repeats);
    on.synchronize();
    return watch.seconds() / kernels;
  }

 private:
  device_memory b_;
  device_memory c_;
  double repeat_s_ = 0;
};

/// Seconds of a bare copy of so many bytes to the device, the best of a few.
inline double copy_seconds(const void* host, std::uint64_t size_bytes) {
  const device_memory to(size_bytes);
  const stream on;
  double best = 1e9;
  for (int i = 0; i < 5; ++i) {
    const stopwatch watch;
    for (int c = 0; c < 4; ++c)
      check(cudaMemcpyAsync(to.get(), host, size_bytes, cudaMemcpyHostToDevice, on), "cudaMemcpyAsync");
    on.synchronize();
    best = std::min(best, watch.seconds() / 4);
  }
  return best;
}

}  // namespace gpu
