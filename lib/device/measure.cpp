#include <fmt/format.h>

#include <algorithm>

#include "device/backend.hpp"
#include "pinrail/device.hpp"
#include "pinrail/units.hpp"

namespace pinrail {
namespace {

constexpr std::uint64_t wanted_ns = 50'000'000;

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
  if constexpr (!std::is_void_v<T>) return std::move(*got);
}

}  // namespace

double measure_copy_rate(device& on) {
  devices::backend& device = on.backend();
  const std::uint64_t size_bytes = std::min(64_MiB, on.memory_bytes());
  borrowed b{device};
  b.arena = need(on, device.allocate_arena(size_bytes));
  b.pinned = need(on, device.allocate_pinned(size_bytes));
  b.stream = need(on, device.create_stream());
  const auto copy = [&] {
    need(on, device.copy(b.stream, devices::direction::host_to_device, b.arena, b.pinned, size_bytes));
  };
  copy();  // the first touches the memory
  need(on, device.synchronize_stream(b.stream));
  const std::uint64_t begin_ns = on.now_ns();
  std::uint64_t copies = 0;
  do {
    copy();
    copy();
    copies += 2;
    need(on, device.synchronize_stream(b.stream));
  } while (on.now_ns() - begin_ns < wanted_ns);
  return static_cast<double>(copies * size_bytes) * 1e9 / static_cast<double>(on.now_ns() - begin_ns);
}

}  // namespace pinrail
