// The part of the `source` contract that every source checks in the same way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "sources/checked.hpp"
#include "sources/source.hpp"

namespace pinrail::sources {

/// errc::invalid_argument for a slab that is shorter than `needed_bytes` or not aligned to page_bytes.
[[nodiscard]] inline status check_slab(std::span<const std::byte> slab, std::uint64_t needed_bytes) noexcept {
  if (slab.size() >= needed_bytes && reinterpret_cast<std::uintptr_t>(slab.data()) % page_bytes == 0) return {};
  return failure{.code = errc::invalid_argument, .needed_bytes = needed_bytes, .available_bytes = slab.size()};
}

/// errc::invalid_argument for a write that leaves a block of `block_bytes`; 0 stands for a block that isn't
/// there.
[[nodiscard]] inline status check_write(std::uint64_t block_bytes, std::uint64_t offset_bytes,
                                        std::uint64_t size_bytes) noexcept {
  if (block_bytes != 0 && offset_bytes <= block_bytes && size_bytes <= block_bytes - offset_bytes) return {};
  return failure{.code = errc::invalid_argument, .needed_bytes = size_bytes, .available_bytes = block_bytes};
}

}  // namespace pinrail::sources
