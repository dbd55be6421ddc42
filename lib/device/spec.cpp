#include "device/spec.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <string>
#include <vector>

#include "device/backend.hpp"
#include "pinrail/error.hpp"

namespace pinrail::devices {
namespace {

using family = device_spec::family;

std::uint64_t above_zero(std::uint64_t value, std::string_view text) {
  if (value == 0) throw error(errc::invalid_argument, fmt::format("'{}' must be above zero", text));
  return value;
}

bool parse_switch(std::string_view text) {
  if (text == "on") return true;
  if (text == "off") return false;
  throw error(errc::invalid_argument, fmt::format("'{}' is neither 'on' nor 'off'", text));
}

template <direction way>
void set_rate(host_device_options& options, std::string_view value) {
  options.bytes_per_second[static_cast<std::size_t>(way)] = above_zero(parse_bytes_per_second(value), value);
}

struct key {
  std::string_view name;
  bool emulated_only;
  void (*set)(host_device_options&, std::string_view value);
};

constexpr std::array keys{
    key{"vram", false, [](auto& o, auto value) { o.vram_bytes = above_zero(parse_bytes(value), value); }},
    key{"h2d", false, set_rate<direction::host_to_device>},
    key{"d2h", false, set_rate<direction::device_to_host>},
    key{"d2d", false, set_rate<direction::device_to_device>},
    key{"latency", false, [](auto& o, auto value) { o.latency_ns = parse_nanoseconds(value); }},
    key{"poison", true, [](auto& o, auto value) { o.poison = parse_switch(value); }},
    key{"check", true, [](auto& o, auto value) { o.check = parse_switch(value); }},
};

bool takes(family kind, const key& k) { return kind == family::emulated || !k.emulated_only; }

/// "an emulated device takes vram, h2d, ..."
std::string allowed_keys(family kind) {
  std::vector<std::string_view> names;
  for (const key& k : keys) {
    if (takes(kind, k)) names.push_back(k.name);
  }
  return fmt::format("{} device takes {}", kind == family::emulated ? "an emulated" : "a simulated",
                     fmt::join(names, ", "));
}

[[noreturn]] void refuse(std::string_view spec, std::string_view why) {
  throw error(errc::invalid_argument, fmt::format("device spec '{}': {}", spec, why));
}

std::string_view trim(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

void set_key(std::string_view spec, family kind, std::string_view name, std::string_view value,
             std::vector<std::string_view>& seen, host_device_options& options) {
  for (const key& k : keys) {
    if (k.name != name || !takes(kind, k)) continue;
    for (const std::string_view earlier : seen) {
      if (earlier == name) refuse(spec, fmt::format("key '{}' is given twice", name));
    }
    seen.push_back(k.name);
    try {
      k.set(options, value);
    } catch (const error& bad) {
      refuse(spec, fmt::format("key '{}': {} ({})", name, bad.what(), allowed_keys(kind)));
    }
    return;
  }
  refuse(spec, fmt::format("unknown key '{}'; {}", name, allowed_keys(kind)));
}

host_device_options parse_options(std::string_view spec, family kind, std::string_view list) {
  host_device_options options;
  std::vector<std::string_view> seen;
  for (bool more = !trim(list).empty(); more;) {
    const std::size_t comma = list.find(',');
    const std::string_view item = list.substr(0, comma);
    more = comma != std::string_view::npos;
    if (more) list.remove_prefix(comma + 1);
    const std::size_t equals = item.find('=');
    if (equals == std::string_view::npos) {
      refuse(spec, fmt::format("'{}' is not key=value; {}", trim(item), allowed_keys(kind)));
    }
    set_key(spec, kind, trim(item.substr(0, equals)), trim(item.substr(equals + 1)), seen, options);
  }
  return options;
}

int parse_ordinal(std::string_view spec, std::string_view text) {
  int ordinal = -1;
  const char* const end = text.data() + text.size();
  const auto [rest, failed] = std::from_chars(text.data(), end, ordinal);
  if (failed != std::errc{} || rest != end || ordinal < 0) {
    refuse(spec, fmt::format("'{}' is not a CUDA ordinal; write it like cuda:0", text));
  }
  return ordinal;
}

}  // namespace

device_spec parse_device_spec(std::string_view text) {
  const std::size_t colon = text.find(':');
  const std::string_view kind = trim(text.substr(0, colon));
  const std::string_view rest = colon == std::string_view::npos ? std::string_view{} : text.substr(colon + 1);
  device_spec spec;
  if (kind == "emulated" || kind == "simulated") {
    spec.kind = kind == "emulated" ? family::emulated : family::simulated;
    spec.options = parse_options(text, spec.kind, rest);
  } else if (kind == "cuda") {
    spec.kind = family::cuda;
    spec.ordinal = parse_ordinal(text, trim(rest));
  } else if (kind == "best") {
    if (!trim(rest).empty()) refuse(text, fmt::format("'best' takes no keys, found '{}'", trim(rest)));
  } else {
    refuse(text, fmt::format("unknown kind '{}'; kinds are cuda:N, emulated:…, simulated:… and best", kind));
  }
  return spec;
}

}  // namespace pinrail::devices
