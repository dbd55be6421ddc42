// The input is a device spec, as for open_device.
//
// It is refused with errc::invalid_argument, or means the same as the spec that is written from what was understood.
// Accepted specs of host devices open.
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "device/spec.hpp"
#include "fuzz/support/expect.hpp"
#include "pinrail/device.hpp"

using namespace pinrail;
using devices::device_spec;
using family = device_spec::family;

namespace {

constexpr const char* rates[] = {"h2d", "d2h", "d2d"};

std::string written(const device_spec& spec) {
  if (spec.kind == family::best) return "best";
  if (spec.kind == family::cuda) return fmt::format("cuda:{}", spec.ordinal);
  const devices::host_device_options& o = spec.options;
  std::string text = spec.kind == family::emulated ? "emulated:" : "simulated:";
  text += fmt::format("vram={},latency={}", o.vram_bytes, o.latency_ns);
  for (std::size_t i = 0; i < 3; ++i)
    if (o.bytes_per_second[i] != 0) text += fmt::format(",{}={}/s", rates[i], o.bytes_per_second[i]);
  if (spec.kind == family::emulated)
    text += fmt::format(",poison={},check={}", o.poison ? "on" : "off", o.check ? "on" : "off");
  return text;
}

/// No key is given twice, and a rate is set if its key is given.
void expect_keys(const device_spec& spec, std::string_view text) {
  std::set<std::string> seen;
  text.remove_prefix(std::min(text.size(), text.find(':')));
  text.remove_prefix(std::min<std::size_t>(text.size(), 1));
  while (!text.empty()) {
    const std::string_view item = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), item.size() + 1));
    std::string name(item.substr(0, item.find('=')));
    std::erase(name, ' ');
    fuzz::expect(seen.insert(name).second, "'{}' was accepted twice", name);
  }
  for (std::size_t i = 0; i < 3; ++i)
    fuzz::expect((spec.options.bytes_per_second[i] != 0) == seen.contains(rates[i]), "{} is {}", rates[i],
                 spec.options.bytes_per_second[i]);
}

/// Numbers above 2^53 are doubles, which print exactly, and read back as themselves.
void expect_same(const device_spec& a, const device_spec& b, std::string_view text) {
  fuzz::expect(a.kind == b.kind && a.ordinal == b.ordinal && a.options.vram_bytes == b.options.vram_bytes &&
                   a.options.bytes_per_second == b.options.bytes_per_second &&
                   a.options.latency_ns == b.options.latency_ns && a.options.poison == b.options.poison &&
                   a.options.check == b.options.check,
               "'{}' reads back as '{}'", text, written(b));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  device_spec spec;
  const auto refused = fuzz::refusal({errc::invalid_argument}, [&] { spec = devices::parse_device_spec(text); });
  if (refused) {
    fuzz::expect(std::string_view(refused->what()).find(text.substr(0, text.find('\0'))) != std::string_view::npos,
                 "the message does not name the spec: {}", refused->what());
    return 0;
  }
  fuzz::expect(spec.ordinal >= 0 && spec.options.vram_bytes > 0, "'{}' was accepted as '{}'", text, written(spec));
  const std::string again = written(spec);
  expect_same(spec, devices::parse_device_spec(again), again);

  if (spec.kind != family::emulated && spec.kind != family::simulated) return 0;
  expect_keys(spec, text);
  const std::shared_ptr<device> opened = open_device(text);
  fuzz::expect(opened->memory_bytes() == spec.options.vram_bytes, "'{}' opened with {} bytes", text,
               opened->memory_bytes());
  return 0;
}
