#include "sources/messages.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>

#include "pinrail/error.hpp"

namespace pinrail::sources {

namespace {

constexpr std::size_t longest_path_bytes = 4096;
constexpr std::size_t longest_shape = 16;

bool is_continuation_byte(char c) noexcept { return (static_cast<unsigned char>(c) & 0xC0u) == 0x80u; }

}  // namespace

std::string printable(std::string_view text, std::size_t limit) {
  std::size_t shown = std::min(text.size(), limit);
  if (shown < text.size()) {
    while (shown > 0 && is_continuation_byte(text[shown])) --shown;
  }
  std::string out;
  out.reserve(shown);
  for (const char c : text.substr(0, shown)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F) {
      fmt::format_to(std::back_inserter(out), "\\x{:02X}", static_cast<unsigned>(byte));
    } else {
      out.push_back(c);
    }
  }
  if (shown < text.size()) fmt::format_to(std::back_inserter(out), "... ({} bytes)", text.size());
  return out;
}

std::string in_quotes(std::string_view text) { return fmt::format("'{}'", printable(text)); }

std::string printable(std::span<const std::uint64_t> shape) {
  std::string out = "[";
  for (std::size_t i = 0; i < std::min(shape.size(), longest_shape); ++i) {
    fmt::format_to(std::back_inserter(out), "{}{}", i == 0 ? "" : ", ", shape[i]);
  }
  if (shape.size() > longest_shape) {
    fmt::format_to(std::back_inserter(out), ", ... ({} dimensions)", shape.size());
  }
  return out + "]";
}

void throw_malformed(const std::filesystem::path& file, std::string_view what) {
  throw error(errc::malformed_file, fmt::format("{}: {}", printable(file.native(), longest_path_bytes), what));
}

void throw_io(const std::filesystem::path& file, int native_code, std::string_view what) {
  throw error(failure{.code = errc::io_error, .native_code = native_code},
              fmt::format("{}: {}: {}", printable(file.native(), longest_path_bytes), what,
                          std::generic_category().message(native_code)));
}

void throw_invalid(std::string_view what) { throw error(errc::invalid_argument, std::string(what)); }

}  // namespace pinrail::sources
