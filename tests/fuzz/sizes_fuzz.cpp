// The input is a text for parse_bytes, parse_bytes_per_second and parse_nanoseconds, and, read as a number, a size for
// format_bytes.
//
// A text is refused with errc::invalid_argument, or gives a number below 2^63 that its plain decimal form gives too.
// What format_bytes writes reads back as the same size, to the two digits that it has.
#include <fmt/format.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "fuzz/support/expect.hpp"
#include "pinrail/units.hpp"

using namespace pinrail;

namespace {

using parser = std::uint64_t (*)(std::string_view);

std::optional<std::uint64_t> parsed(parser parse, std::string_view text) {
  std::uint64_t value = 0;
  const auto refused = fuzz::refusal({errc::invalid_argument}, [&] { value = parse(text); });
  if (!refused) return value;
  fuzz::expect(std::string_view(refused->what()).find(text.substr(0, text.find('\0'))) != std::string_view::npos,
               "the message does not name the text: {}", refused->what());
  return std::nullopt;
}

/// Decimal digits and nothing else: what they mean needs no parser.
std::optional<std::uint64_t> plain_number(std::string_view text) {
  if (text.empty() || text.size() > 15 || text.find_first_not_of("0123456789") != std::string_view::npos)
    return std::nullopt;
  std::uint64_t value = 0;
  for (const char digit : text) value = 10 * value + static_cast<std::uint64_t>(digit - '0');
  return value;
}

void expect_number(parser parse, const char* name, std::string_view text) {
  const auto value = parsed(parse, text);
  if (const auto plain = plain_number(text))
    fuzz::expect(value == plain, "{}('{}') is {}", name, text, value.value_or(UINT64_MAX));
  if (!value) return;
  fuzz::expect(*value < std::uint64_t{1} << 63, "{}('{}') is {}", name, text, *value);
  fuzz::expect(parse(fmt::format("{}", *value)) == *value, "{}('{}') is {}, which reads back otherwise", name, text,
               *value);
}

void expect_formatted(std::uint64_t bytes) {
  const std::string text = format_bytes(bytes);
  const double shown = std::strtod(text.c_str(), nullptr);
  fuzz::expect(shown < 1024, "{} bytes are '{}'", bytes, text);
  const auto back = static_cast<double>(parse_bytes(text));
  const auto exact = static_cast<double>(bytes);
  const double tolerance = bytes < 1024 ? 0 : 0.00501 * std::exp2(10 * std::floor(std::log2(exact) / 10 + 1e-4)) + 1;
  fuzz::expect(std::abs(back - exact) <= tolerance, "{} bytes are '{}', which reads back as {}", bytes, text, back);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  expect_number(parse_bytes, "parse_bytes", text);
  expect_number(parse_bytes_per_second, "parse_bytes_per_second", text);
  expect_number(parse_nanoseconds, "parse_nanoseconds", text);
  // A rate without "/s" is a size.
  if (text.find("/s") == text.npos)
    fuzz::expect(parsed(parse_bytes, text) == parsed(parse_bytes_per_second, text), "'{}' is one size and another rate",
                 text);
  std::uint64_t bytes = 0;
  if (size != 0) std::memcpy(&bytes, data, std::min(size, sizeof(bytes)));
  expect_formatted(bytes >> 2);  // below 2^62: sizes are below 2^63 also after rounding
  return 0;
}
