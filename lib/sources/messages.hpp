// What the readers say when they refuse something: "file: what is wrong, with the value and the limit".
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace pinrail::sources {

/// Text from a file, made fit for one line of a log: control characters as \xNN, cut after `limit` bytes
/// (never inside a UTF-8 character).
[[nodiscard]] std::string printable(std::string_view text, std::size_t limit = 160);

/// 'text', printable. (Not `quoted`: an unqualified call would find std::quoted.)
[[nodiscard]] std::string in_quotes(std::string_view text);

/// "[2, 3]"; long shapes are cut.
[[nodiscard]] std::string printable(std::span<const std::uint64_t> shape);

/// Throws errc::malformed_file: "file: what".
[[noreturn]] void throw_malformed(const std::filesystem::path& file, std::string_view what);

/// Throws errc::io_error: "file: what: the system's text for `native_code`".
[[noreturn]] void throw_io(const std::filesystem::path& file, int native_code, std::string_view what);

/// Throws errc::invalid_argument.
[[noreturn]] void throw_invalid(std::string_view what);

}  // namespace pinrail::sources
