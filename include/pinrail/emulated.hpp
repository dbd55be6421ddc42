// What only an emulated device has: host functions as kernels, the order checker, and faults on request.
//
// Every function throws `errc::not_supported` for a device of another kind.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "pinrail/device.hpp"
#include "pinrail/error.hpp"

namespace pinrail::emulated {

/// Bytes of device memory that a kernel touches, for the order checker.
struct access {
  const void* data = nullptr;
  std::uint64_t size_bytes = 0;
  bool writes = false;
};

/// Enqueues a host function as a kernel: it runs on the stream's thread, in stream order. It may read and write
/// device pointers of this device directly. It must not throw and must not call Pinrail.
void launch(stream_ref stream, std::function<void()> kernel, std::span<const access> accesses = {});

/// The backend calls that can be made to fail.
enum class call : std::uint8_t {
  allocate_arena,
  allocate_pinned,
  create_stream,
  synchronize_stream,
  create_event,
  record_event,
  query_event,
  wait_event,
  copy_host_to_device,
  copy_device_to_host,
  copy_device_to_device,
  any,
};

/// Makes one call fail. The `after`-th matching call from now (0: the next) returns `code`
/// (`out_of_memory`, `device_error` or `device_lost`; the last is sticky: every call fails from then on).
struct fault {
  call where = call::any;
  std::uint64_t after = 0;
  errc code = errc::device_error;
};

void inject(device& where, const fault& what);
void clear_faults(device& where);
/// Are there faults that no call has met yet?
[[nodiscard]] bool has_faults(const device& where);

/// What the order checker found: each entry is one sentence that names both accesses and their streams. Empty
/// when every use, copy and reuse of memory was ordered by streams and events.
[[nodiscard]] std::vector<std::string> violations(const device& where);

/// Live resources, for leak checks. Streams count those of users and of Pinrail.
struct resources {
  std::uint64_t arena_bytes = 0;
  std::uint64_t pinned_bytes = 0;
  std::uint64_t streams = 0;
  std::uint64_t events = 0;
};
[[nodiscard]] resources live_resources(const device& where);

/// Backend calls made so far, for fail-call-number-N sweeps.
[[nodiscard]] std::uint64_t calls_made(const device& where);

}  // namespace pinrail::emulated
