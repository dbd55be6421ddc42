// The element types of safetensors.
// Source: enum Dtype in https://github.com/huggingface/safetensors, safetensors/src/tensor.rs (0.8.0-dev, May
// 2026).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pinrail::sources {

/// Bits of one element; not always a multiple of 8 ("F4", "F6_E2M3"). Empty: no such type.
[[nodiscard]] std::optional<std::uint32_t> dtype_bits(std::string_view name) noexcept;

/// "BOOL, F4, ...", for messages.
[[nodiscard]] std::string known_dtypes();

}  // namespace pinrail::sources
