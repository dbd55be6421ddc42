// Leaves the calling thread as it was: which device is current, the runtime's last error, and what it captures.
//
// Current device. The runtime works on the driver context that is current to the thread, and a device is
// its primary context. `context_scope` pushes ours where another one, or none, is current, and pops it
// afterwards. Not cudaGetDevice and cudaSetDevice: on a thread that never chose a device the former says
// 0, and since CUDA 12 the latter creates device 0's context in order to "restore" it, half a gigabyte on
// a GPU that the process may not use.
//
// Last error. Each failing runtime call replaces the thread's last error, successful ones leave it alone,
// and cudaGetLastError takes it away. So where
//   - nothing was pending and our call fails, we take our error away: the caller hears of it from us;
//   - an error was pending and our call succeeds, there is nothing to do;
//   - an error was pending and our call fails, the runtime has replaced the code and has no way to put it
//     back. We leave ours in its place, so that the caller's own check still fails rather than miss that
//     anything happened. Waiting is not failing: "not ready" comes from the driver's cuEventQuery, which
//     touches no last error;
//   - a kernel of the caller ruined the context, our call is merely the first to say so. We report the
//     device lost and take the error away; the caller's next call on the context reports it again, as
//     every one does.
// Capture. While anyone captures a stream in the default mode, calls that CUDA thinks unsafe (an event query, an
// allocation) break that capture, whichever thread makes them: Pinrail's own threads poll all the time. Ours are of
// no account to a graph, so they are made in relaxed mode, which the calling thread has until the scope ends.
// Where Pinrail is a shared library, its runtime is an instance of its own with a last error of its own,
// and the caller's is out of reach anyway.
#pragma once

#include "device/cuda/api.hpp"

namespace pinrail::devices {

/// Makes `wanted` current to this thread until the scope ends.
class context_scope {
 public:
  context_scope(const driver_api& driver, CUcontext wanted) noexcept : driver_(driver) {
    CUcontext current = nullptr;
    error_ = from_driver(driver_.context_get_current(&current));
    if (error_ != cudaSuccess || current == wanted) return;
    error_ = from_driver(driver_.context_push(wanted));
    pushed_ = error_ == cudaSuccess;
  }
  context_scope(const context_scope&) = delete;
  context_scope& operator=(const context_scope&) = delete;
  ~context_scope() {
    CUcontext popped = nullptr;
    if (pushed_) static_cast<void>(driver_.context_pop(&popped));
  }

  /// Not cudaSuccess: nothing was changed, and nothing may be called on the context.
  [[nodiscard]] cudaError_t error() const noexcept { return error_; }

 private:
  const driver_api& driver_;
  cudaError_t error_ = cudaSuccess;
  bool pushed_ = false;
};

/// Calls of this thread break no capture until the scope ends, unless they concern the captured stream itself.
class capture_scope {
 public:
  explicit capture_scope(const cuda_api& api) noexcept : api_(api) { exchange(); }
  capture_scope(const capture_scope&) = delete;
  capture_scope& operator=(const capture_scope&) = delete;
  ~capture_scope() { exchange(); }

 private:
  void exchange() noexcept { static_cast<void>(api_.thread_exchange_capture_mode(&mode_)); }

  const cuda_api& api_;
  cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;
};

/// Calls a runtime function and leaves the thread's last error to the caller, as said above.
template <class... P, class... A>
cudaError_t call_quietly(const cuda_api& api, cudaError_t (*function)(P...), A... arguments) noexcept {
  const cudaError_t pending = api.peek_at_last_error();
  const cudaError_t result = function(arguments...);
  if (result != cudaSuccess && pending == cudaSuccess) static_cast<void>(api.get_last_error());
  return result;
}

}  // namespace pinrail::devices
