// Workspaces: device memory by stream order, out of the scheduler's budget. What it takes, weights leave.
//
// Memory comes from the scheduler's arena, in whole pages, and is reserved while it is out: nobody else is granted it,
// and it is granted only out of headroom, so primary reservations, guests and reserved bytes keep what they have (rules
// 3, 4, 7 and 10). Blocks of runtimes without a share leave for it as they do for a demand load.
//
// Order. Memory that `allocate` returns may be used by work that is enqueued on that stream from then on: the stream
// waits, on the device, for whatever used the memory before. `deallocate` is called after the last work on the memory
// was enqueued, and names the stream of that work: others get the memory at once and wait for the stream on the device.
// The CPU waits for neither. Work on other streams must have been ordered before the named stream by the caller. Not
// for streams that are being captured.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "pinrail/device.hpp"
#include "pinrail/error.hpp"

namespace pinrail {

class scheduler;

namespace residency {
class workspace_state;
}  // namespace residency

struct workspace_options {
  std::string name = "workspace";  ///< for messages
  /// A standing claim, as `budget().reserve_bytes`: allocations up to it are never refused for want of headroom.
  std::uint64_t share_bytes = 0;
  /// The most that may be out at once. 0: whatever there is.
  std::uint64_t limit_bytes = 0;
  /// How long an allocation waits for blocks to leave. Default: scheduler_options::load_deadline.
  std::optional<std::chrono::nanoseconds> deadline = std::nullopt;
};

/// A handle, cheap to copy; every member may be called from any thread. The last copy ends the workspace: its memory
/// must have been given back. After its scheduler has ended nothing is allocated and deallocating is a no-op.
/// Progress: lock-free while there is room; but for the first sight of a native stream, which takes a lock.
class workspace {
 public:
  workspace() = default;
  /// Throws `errc::insufficient_headroom` if the share can't be granted now.
  explicit workspace(scheduler& on, const workspace_options& options = {});

  /// Device memory, aligned to 256 bytes at least; nullptr for no bytes. Throws `errc::out_of_memory`, with who holds
  /// the bytes, where there is no headroom or nothing could be evicted in time (it may be there later), and
  /// `errc::too_large` if it never can be.
  [[nodiscard]] void* allocate(std::uint64_t size_bytes, stream_ref stream);
  [[nodiscard]] result<void*> try_allocate(std::uint64_t size_bytes, stream_ref stream) noexcept;

  /// An error, such as memory that is not out with that size, is kept in `scheduler::first_error()`.
  void deallocate(void* memory, std::uint64_t size_bytes, stream_ref stream) noexcept;
  [[nodiscard]] result<void> try_deallocate(void* memory, std::uint64_t size_bytes, stream_ref stream) noexcept;

  /// The stream of a native handle (cudaStream_t; nullptr is the legacy default stream), registered at first sight.
  /// It must live as long as the workspace, or until `forget_stream`.
  [[nodiscard]] result<stream_ref> try_native_stream(void* native) noexcept;
  /// A stream that is registered with the device already: `try_native_stream` gives this one for its handle.
  void add_stream(stream_ref stream);
  /// Before a native stream ends. Waits for its work. The handle may be another stream's afterwards.
  void forget_stream(void* native) noexcept;

  /// What is out, in whole pages.
  [[nodiscard]] std::uint64_t used_bytes() const noexcept;
  [[nodiscard]] std::uint64_t peak_used_bytes() const noexcept;

  /// Says in the scheduler's log that a call was refused: for callers that can pass on no error.
  void note_refusal(std::uint64_t size_bytes, const failure& why) const noexcept;

  friend bool operator==(const workspace&, const workspace&) = default;

 private:
  std::shared_ptr<residency::workspace_state> state_;
};

/// Makes a workspace the one that the C functions below take from for a device ordinal (0 to 63), in the place of the
/// one before.
void bind_workspace(int device, workspace bound);
/// The C functions find none from now on: allocating gives nullptr, freeing does nothing. Waits for calls under way.
void unbind_workspace(int device);

}  // namespace pinrail

// For allocators that take C functions, PyTorch's `torch.cuda.memory.CUDAPluggableAllocator` among them: out of the
// workspace that is bound to the device. `stream` is a cudaStream_t. Null, and a warning in the scheduler's log, where
// there is no memory now.
extern "C" {
void* pinrail_workspace_alloc(std::size_t size, int device, void* stream);
void pinrail_workspace_free(void* ptr, std::size_t size, int device, void* stream);
/// Before a stream ends that was used in the calls above.
void pinrail_workspace_forget_stream(int device, void* stream);
}
