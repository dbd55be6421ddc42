#include "device/measure.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "pinrail/device.hpp"
#include "pinrail/units.hpp"

namespace pinrail {
namespace devices {
namespace {

constexpr std::uint64_t smallest_copy_bytes = 64_KiB;
constexpr std::uint64_t most_copies = 32;

enum class ways : std::uint8_t { in = 1, out = 2, both = 3 };

bool has(ways all, ways one) noexcept { return (static_cast<int>(all) & static_cast<int>(one)) != 0; }

/// Nanoseconds until so many copies in each direction are done.
result<std::uint64_t> time_copies(const copy_ground& g, ways which, std::uint64_t copies,
                                  std::uint64_t size_bytes) noexcept {
  const std::uint64_t begin_ns = g.device.now_ns();
  status ok;
  for (std::uint64_t i = 0; ok && i < copies; ++i) {
    if (has(which, ways::in)) ok = g.device.copy(g.in, direction::host_to_device, g.arena, g.pinned, size_bytes);
    if (ok && has(which, ways::out))
      ok = g.device.copy(g.out, direction::device_to_host, g.pinned + g.size_bytes, g.arena + g.size_bytes, size_bytes);
  }
  if (ok && has(which, ways::in)) ok = g.device.synchronize_stream(g.in);
  if (ok && has(which, ways::out)) ok = g.device.synchronize_stream(g.out);
  if (!ok) return ok.why();
  return std::max<std::uint64_t>(1, g.device.now_ns() - begin_ns);
}

/// Copies twice as large each time, until one takes half the time there is: that warms up, too. Then as many in a row
/// as fill the time.
result<double> measure_rate(const copy_ground& g, ways which, std::uint64_t wanted_ns) noexcept {
  std::uint64_t size_bytes = std::min(smallest_copy_bytes, g.size_bytes);
  auto one_ns = time_copies(g, which, 1, size_bytes);
  while (one_ns && *one_ns < wanted_ns / 2 && 2 * size_bytes <= g.size_bytes) {
    size_bytes *= 2;
    one_ns = time_copies(g, which, 1, size_bytes);
  }
  if (!one_ns) return one_ns.why();
  const std::uint64_t copies = std::clamp<std::uint64_t>(wanted_ns / *one_ns, 1, most_copies);
  const auto all_ns = time_copies(g, which, copies, size_bytes);
  if (!all_ns) return all_ns.why();
  const std::uint64_t bytes = copies * size_bytes * (which == ways::both ? 2 : 1);
  return static_cast<double>(bytes) * 1e9 / static_cast<double>(*all_ns);
}

}  // namespace

result<double> measure_copies_in(const copy_ground& g, std::uint64_t wanted_ns) noexcept {
  return measure_rate(g, ways::in, wanted_ns);
}

result<copy_rates> measure_copy_rates(const copy_ground& g) noexcept {
  constexpr std::uint64_t wanted_ns = 1'000'000;
  // The first copy may be held up by what comes but once; its time would say that copies need to be no larger.
  if (const auto first = time_copies(g, ways::both, 1, std::min(smallest_copy_bytes, g.size_bytes)); !first)
    return first.why();
  const auto in = measure_rate(g, ways::in, wanted_ns);
  if (!in) return in.why();
  const auto out = measure_rate(g, ways::out, wanted_ns);
  if (!out) return out.why();
  const auto both = measure_rate(g, ways::both, wanted_ns);
  if (!both) return both.why();
  return copy_rates{.in = *in, .out = *out, .both = *both};
}

}  // namespace devices

namespace {

/// What the measurement borrows; given back whatever happens.
struct borrowed {
  devices::backend& device;
  std::byte* arena = nullptr;
  std::byte* pinned = nullptr;
  devices::stream_handle stream{};

  ~borrowed() {
    if (stream.native != nullptr) device.destroy_stream(stream);
    if (pinned != nullptr) device.free_pinned(pinned);
    if (arena != nullptr) device.free_arena(arena);
  }
};

template <class T>
T need(const device& on, result<T> got) {
  if (!got) throw error(got.why(), fmt::format("{}: copies can't be measured: {}", on.name(), to_string(got.code())));
  return std::move(*got);
}

}  // namespace

double measure_copy_rate(device& on) {
  constexpr std::uint64_t wanted_ns = 50'000'000;
  devices::backend& device = on.backend();
  const std::uint64_t size_bytes = std::min(64_MiB, on.memory_bytes());
  borrowed b{device};
  b.arena = need(on, device.allocate_arena(size_bytes));
  b.pinned = need(on, device.allocate_pinned(size_bytes));
  b.stream = need(on, device.create_stream());
  const devices::copy_ground ground{
      .device = device, .in = b.stream, .out = {}, .arena = b.arena, .pinned = b.pinned, .size_bytes = size_bytes};
  return need(on, devices::measure_copies_in(ground, wanted_ns));
}

}  // namespace pinrail
