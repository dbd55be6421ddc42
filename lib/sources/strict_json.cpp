#include "sources/strict_json.hpp"

#include <fmt/format.h>

#include <cstddef>
#include <nlohmann/json.hpp>

#include "sources/messages.hpp"

namespace pinrail::sources {

namespace {

/// The parser's own words, without its prefix and without the last token, which can be as long as the file.
std::string_view short_reason(std::string_view text) noexcept {
  if (const std::size_t prefix = text.find("] "); prefix != text.npos) text.remove_prefix(prefix + 2);
  if (const std::size_t token = text.find("; last read"); token != text.npos) text = text.substr(0, token);
  return text;
}

/// The parser's interface on one side, `json_events` on the other.
class adapter final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit adapter(json_events& events) : events_(events) {}

  bool null() override { return events_.on_unexpected("null"), true; }
  bool boolean(bool value) override { return events_.on_unexpected(value ? "true" : "false"), true; }
  bool number_integer(number_integer_t value) override {  // comes for what starts with a minus sign
    events_.on_unexpected(fmt::format("the negative number {}{}", value == 0 ? "-" : "", value));
    return true;
  }
  bool number_unsigned(number_unsigned_t value) override { return events_.on_unsigned(value), true; }
  bool number_float(number_float_t, const string_t& text) override {
    events_.on_unexpected(fmt::format("the number {} (no unsigned 64-bit integer)", printable(text)));
    return true;
  }
  bool string(string_t& text) override { return events_.on_string(text), true; }
  bool binary(binary_t&) override { return events_.on_unexpected("binary data"), true; }
  bool start_object(std::size_t) override { return events_.on_object(), true; }
  bool key(string_t& name) override { return events_.on_key(name), true; }
  bool end_object() override { return events_.on_object_end(), true; }
  bool start_array(std::size_t) override { return events_.on_array(), true; }
  bool end_array() override { return events_.on_array_end(), true; }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception& why) override {
    throw_malformed(events_.file(),
                    fmt::format("not valid JSON at byte {}: {}", position, printable(short_reason(why.what()), 240)));
  }

 private:
  json_events& events_;
};

}  // namespace

void parse_json_object(std::string_view text, json_events& events) {
  // Two things the parser lets pass and JSON does not: it skips a byte order mark, and it takes a NUL for the
  // end of the text, which would leave whatever follows unread.
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == text.npos) throw_malformed(events.file(), "there is no JSON object, only whitespace");
  if (text[first] != '{') {
    throw_malformed(events.file(), fmt::format("the JSON starts with byte 0x{:02X}, not with '{{'",
                                               static_cast<unsigned>(static_cast<unsigned char>(text[first]))));
  }
  if (const std::size_t nul = text.find('\0'); nul != text.npos) {
    throw_malformed(events.file(), fmt::format("not valid JSON: byte {} is NUL", nul));
  }
  adapter parser_events(events);
  nlohmann::json::sax_parse(text.begin(), text.end(), &parser_events);
}

}  // namespace pinrail::sources
