// Draws from 0 to n - 1 by Zipf's law.
#pragma once

#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

namespace pinrail::bench {

class zipf {
 public:
  zipf(std::uint32_t n, double exponent) {
    std::vector<double> weights(n);
    for (std::uint32_t i = 0; i < n; ++i) weights[i] = std::pow(i + 1.0, -exponent);
    draw_ = std::discrete_distribution<std::uint32_t>(weights.begin(), weights.end());
  }
  std::uint32_t operator()(std::mt19937_64& random) { return draw_(random); }

 private:
  std::discrete_distribution<std::uint32_t> draw_;
};

}  // namespace pinrail::bench
