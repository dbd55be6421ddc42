// Byte sizes and rates: literals, parsing and printing.
//
// Binary units (KiB, MiB, GiB, TiB, PiB, EiB) are powers of 1024 and decimal ones (KB, MB, GB, TB) powers of 1000
// (IEC 80000-13). Parsing throws `pinrail::error` with `errc::invalid_argument`, naming the text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace pinrail {

inline namespace literals {

constexpr std::uint64_t operator""_KiB(unsigned long long n) noexcept { return n << 10; }
constexpr std::uint64_t operator""_MiB(unsigned long long n) noexcept { return n << 20; }
constexpr std::uint64_t operator""_GiB(unsigned long long n) noexcept { return n << 30; }

}  // namespace literals

/// "24GiB", "1.5 MB", "4096" -> bytes. A bare number is bytes.
[[nodiscard]] std::uint64_t parse_bytes(std::string_view text);

/// "25GB/s" -> bytes per second. The "/s" may be left out.
[[nodiscard]] std::uint64_t parse_bytes_per_second(std::string_view text);

/// "10us", "2ms", "1.5s", "300ns" -> nanoseconds. A bare number is nanoseconds.
[[nodiscard]] std::uint64_t parse_nanoseconds(std::string_view text);

/// 25769803776 -> "24.00 GiB", which `parse_bytes` reads.
[[nodiscard]] std::string format_bytes(std::uint64_t bytes);

}  // namespace pinrail
