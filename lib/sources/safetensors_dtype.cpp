#include "sources/safetensors_dtype.hpp"

#include <array>

namespace pinrail::sources {

namespace {

struct dtype {
  std::string_view name;
  std::uint32_t bits;
};

constexpr std::array dtypes = {
    dtype{"BOOL", 8},        dtype{"F4", 4},      dtype{"F6_E2M3", 6}, dtype{"F6_E3M2", 6}, dtype{"U8", 8},
    dtype{"I8", 8},          dtype{"F8_E5M2", 8}, dtype{"F8_E4M3", 8}, dtype{"F8_E8M0", 8}, dtype{"F8_E4M3FNUZ", 8},
    dtype{"F8_E5M2FNUZ", 8}, dtype{"I16", 16},    dtype{"U16", 16},    dtype{"F16", 16},    dtype{"BF16", 16},
    dtype{"I32", 32},        dtype{"U32", 32},    dtype{"F32", 32},    dtype{"C64", 64},    dtype{"F64", 64},
    dtype{"I64", 64},        dtype{"U64", 64},
};

}  // namespace

std::optional<std::uint32_t> dtype_bits(std::string_view name) noexcept {
  for (const dtype& known : dtypes) {
    if (known.name == name) return known.bits;
  }
  return std::nullopt;
}

std::string known_dtypes() {
  std::string all;
  for (const dtype& known : dtypes) {
    if (!all.empty()) all += ", ";
    all += known.name;
  }
  return all;
}

}  // namespace pinrail::sources
