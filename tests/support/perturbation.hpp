// Draws operations out: before some accesses the thread gives its processor away or spins for a moment, so that
// operations of nanoseconds overlap, even on a machine of two processors.
#pragma once

#include <cstdint>
#include <random>
#include <thread>

#include "support/hooked_atomics.hpp"

namespace pinrail::test {

class perturbation final : public access_hook {
 public:
  explicit perturbation(std::uint64_t seed) : random_(seed) {}

  void before_access(const std::source_location&) noexcept override { pause(); }

  void pause() noexcept {
    const std::uint64_t drawn = random_();
    if (drawn % 16 == 0) std::this_thread::yield();
    if (drawn % 16 != 1) return;
    for (std::uint64_t spins = drawn / 16 % 200; spins > 0; --spins) spun_ = spins;
  }

 private:
  std::mt19937_64 random_;
  volatile std::uint64_t spun_ = 0;
};

}  // namespace pinrail::test
