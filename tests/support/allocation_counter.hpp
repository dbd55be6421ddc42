// Counts what the calling thread allocates with new, anywhere in the test program.
#pragma once

#include <cstddef>

namespace pinrail::test {

[[nodiscard]] std::size_t allocations_so_far() noexcept;

}  // namespace pinrail::test
