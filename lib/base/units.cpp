#include "pinrail/units.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <span>

#include "pinrail/error.hpp"

namespace pinrail {
namespace {

struct unit {
  std::string_view name;
  double factor;
};

constexpr std::array byte_units{
    unit{"", 1},
    unit{"B", 1},
    unit{"KiB", 1024.0},
    unit{"MiB", 1048576.0},
    unit{"GiB", 1073741824.0},
    unit{"TiB", 1099511627776.0},
    unit{"PiB", 1125899906842624.0},
    unit{"EiB", 1152921504606846976.0},
    unit{"KB", 1e3},
    unit{"kB", 1e3},
    unit{"MB", 1e6},
    unit{"GB", 1e9},
    unit{"TB", 1e12},
};
constexpr std::array time_units{unit{"", 1}, unit{"ns", 1}, unit{"us", 1e3}, unit{"ms", 1e6}, unit{"s", 1e9}};

std::string_view trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

[[noreturn]] void refuse(std::string_view text, std::string_view what, std::string_view example) {
  throw error(errc::invalid_argument, fmt::format("'{}' is not {}; write it like {}", text, what, example));
}

std::uint64_t parse(std::string_view whole, std::string_view text, std::span<const unit> units, std::string_view what,
                    std::string_view example) {
  text = trim(text);
  double number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc{} || !std::isfinite(number) || number < 0) refuse(whole, what, example);
  const std::string_view name = trim(text.substr(static_cast<std::size_t>(end - text.data())));
  for (const unit& u : units) {
    if (u.name != name) continue;
    const double value = number * u.factor;
    // 2^63 and above: nothing that Pinrail counts is that large, and doubles lose bytes well before it.
    if (value >= 9223372036854775808.0) refuse(whole, fmt::format("{} below 2^63", what), example);
    return static_cast<std::uint64_t>(std::llround(value));
  }
  refuse(whole, what, example);
}

}  // namespace

std::uint64_t parse_bytes(std::string_view text) {
  return parse(text, text, byte_units, "a size in bytes", "24GiB, 1.5MB or 4096");
}

std::uint64_t parse_bytes_per_second(std::string_view text) {
  std::string_view rate = trim(text);
  if (rate.ends_with("/s")) rate.remove_suffix(2);
  return parse(text, rate, byte_units, "a rate in bytes per second", "25GB/s");
}

std::uint64_t parse_nanoseconds(std::string_view text) {
  return parse(text, text, time_units, "a time", "10us, 2ms or 1.5s");
}

std::string format_bytes(std::uint64_t bytes) {
  constexpr std::array names{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes) / 1024;
  std::size_t name = 0;
  // 1023.995 and above prints as 1024.00, which is one of the next unit.
  while (value >= 1023.995 && name + 1 < names.size()) value /= 1024, ++name;
  return fmt::format("{:.2f} {}", value, names[name]);
}

}  // namespace pinrail
