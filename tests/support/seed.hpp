// Seeds of property tests: printed, and replayed with --seed=N or PINRAIL_SEED=N.
#pragma once

#include <cstdint>

namespace pinrail::test {

/// The seed of this run. Every use prints it with the running test's name.
[[nodiscard]] std::uint64_t run_seed();

}  // namespace pinrail::test
