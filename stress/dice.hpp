// Where decisions come from: a number for each (seed, round, who, step), and what follows from it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace stress {

/// SplitMix64 (Steele, Lea, Flood 2014): every input bit changes every output bit.
[[nodiscard]] constexpr std::uint64_t mixed(std::uint64_t x) noexcept {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
  x = (x ^ x >> 27) * 0x94d049bb133111eb;
  return x ^ x >> 31;
}

class dice {
 public:
  dice(std::uint64_t seed, std::uint64_t round, std::uint64_t who, std::uint64_t step) noexcept
      : state_(mixed(mixed(mixed(mixed(seed) ^ round) ^ who) ^ step)) {}

  std::uint64_t roll() noexcept { return state_ = mixed(state_); }
  /// 0 to n - 1; n is above 0.
  [[nodiscard]] std::uint64_t below(std::uint64_t n) noexcept { return roll() % n; }
  [[nodiscard]] std::uint64_t between(std::uint64_t least, std::uint64_t most) noexcept {
    return least + below(most - least + 1);
  }
  [[nodiscard]] bool chance(std::uint64_t percent) noexcept { return below(100) < percent; }
  template <class T>
  [[nodiscard]] T one_of(std::initializer_list<T> choices) noexcept {
    return choices.begin()[below(choices.size())];
  }

 private:
  std::uint64_t state_;
};

}  // namespace stress
