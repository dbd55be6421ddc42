// JSON read as a stream of events, so that a key given twice is seen twice, and values that a reader ignores
// take no memory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace pinrail::sources {

/// Receives the events of one document. A reader overrides what it expects; all else reaches `on_unexpected`,
/// which throws or ignores. Negative numbers (-0 included), fractions, exponents and integers above 2^64 - 1
/// are never sizes, so they always go there.
class json_events {
 public:
  /// `file` is for messages, and outlives this.
  explicit json_events(const std::filesystem::path& file) : file_(file) {}
  json_events(const json_events&) = delete;
  json_events& operator=(const json_events&) = delete;
  virtual ~json_events() = default;

  [[nodiscard]] const std::filesystem::path& file() const noexcept { return file_; }

  /// `what` came where it can't stand: "a string", "null", "the number 1.5".
  virtual void on_unexpected(std::string_view what) = 0;

  virtual void on_key(std::string& name) = 0;
  virtual void on_string(std::string& text) { return static_cast<void>(text), on_unexpected("a string"); }
  virtual void on_unsigned(std::uint64_t value) { on_unexpected("the number " + std::to_string(value)); }
  virtual void on_object() { on_unexpected("an object"); }
  virtual void on_object_end() = 0;
  virtual void on_array() { on_unexpected("an array"); }
  virtual void on_array_end() = 0;

 private:
  const std::filesystem::path& file_;
};

/// Sends the events of `text`, which is one JSON object with nothing but whitespace around it (RFC 8259), to
/// `events`. Throws errc::malformed_file, naming the handler's file and the byte, and what the handler
/// throws.
void parse_json_object(std::string_view text, json_events& events);

}  // namespace pinrail::sources
