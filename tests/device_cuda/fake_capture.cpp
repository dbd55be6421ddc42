#include "fake_capture.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "fake_cuda.hpp"
#include "fake_thread.hpp"

namespace pinrail::testing {

cudaError_t fake_cuda::invalidate(fake_capture& capture, cudaError_t code) {
  capture.invalid = true;
  return code;
}

cudaError_t fake_cuda::unsafe_call() {
  const cudaStreamCaptureMode mine = fake_thread::self().capture_mode;
  if (mine == cudaStreamCaptureModeRelaxed) return cudaSuccess;
  for (const auto& c : captures_) {
    const bool here = c->thread == std::this_thread::get_id() && c->mode != cudaStreamCaptureModeRelaxed;
    const bool anywhere = mine == cudaStreamCaptureModeGlobal && c->mode == cudaStreamCaptureModeGlobal;
    if (!here && !anywhere) continue;
    note_misuse(c->device, "an unsafe call breaks a capture");
    return invalidate(*c, cudaErrorStreamCaptureUnsupported);
  }
  return cudaSuccess;
}

cudaError_t fake_cuda::StreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  const std::scoped_lock lock(mutex_);
  const auto found = stream_of(stream);
  if (!found) return cudaErrorInvalidResourceHandle;
  const auto blocking = [&](const auto& s) {
    return s.second->device == found->device && s.second->capture && s.second->flags == cudaStreamDefault;
  };
  if (found == current().legacy && std::any_of(streams_.begin(), streams_.end(), blocking))
    return cudaErrorStreamCaptureImplicit;
  *status = !found->capture           ? cudaStreamCaptureStatusNone
            : found->capture->invalid ? cudaStreamCaptureStatusInvalidated
                                      : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}

cudaError_t fake_cuda::begin_capture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  const std::scoped_lock lock(mutex_);
  const auto found = streams_.find(stream);
  if (found == streams_.end() || found->second->capture) return cudaErrorIllegalState;
  auto capture = std::make_shared<fake_capture>(fake_capture{
      .origin = stream, .device = found->second->device, .mode = mode, .thread = std::this_thread::get_id()});
  found->second->capture = capture;
  captures_.push_back(std::move(capture));
  return cudaSuccess;
}

cudaError_t fake_cuda::end_capture(cudaStream_t stream, fake_graph& graph) {
  const std::scoped_lock lock(mutex_);
  const auto found = streams_.find(stream);
  if (found == streams_.end() || !found->second->capture) return cudaErrorIllegalState;
  const std::shared_ptr<fake_capture> ended = found->second->capture;
  std::erase(captures_, ended);
  for (const auto& [handle, s] : streams_)
    if (s->capture == ended) s->capture = nullptr;
  if (ended->invalid) return cudaErrorStreamCaptureInvalidated;
  graph = ended;
  return cudaSuccess;
}

cudaError_t fake_cuda::launch_graph(const fake_graph& graph, cudaStream_t stream) {
  const std::scoped_lock lock(mutex_);
  const auto found = streams_.find(stream);
  if (found == streams_.end()) return cudaErrorInvalidResourceHandle;
  for (const auto& node : graph->nodes) push_work(*found->second, node.work, node.accesses, devices::toucher::kernel);
  return cudaSuccess;
}

// ---- memory of the program ------------------------------------------------------------------------------

cudaError_t fake_cuda::page_lock(void* memory, std::uint64_t size_bytes) {
  const std::scoped_lock lock(mutex_);
  auto* const start = static_cast<std::byte*>(memory);
  for (const auto& [other, what] : memory_)
    if (other < start + size_bytes && start < other + what.size_bytes) return cudaErrorHostMemoryAlreadyRegistered;
  memory_[start] = {.size_bytes = size_bytes, .device = -1, .made_on = -1, .registered = true};
  return cudaSuccess;
}

cudaError_t fake_cuda::page_unlock(void* memory) {
  std::vector<marker_ptr> work;
  {
    const std::scoped_lock lock(mutex_);
    const auto found = memory_.find(static_cast<std::byte*>(memory));
    if (found == memory_.end() || !found->second.registered) return cudaErrorHostMemoryNotRegistered;
    work = mark_all(-1);
  }
  for (const marker_ptr& end : work) end->wait();
  const std::scoped_lock lock(mutex_);
  memory_.erase(static_cast<std::byte*>(memory));
  return cudaSuccess;
}

}  // namespace pinrail::testing
