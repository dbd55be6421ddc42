#include "fake_cuda.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <new>

#include "fake_thread.hpp"

namespace pinrail::testing {
namespace {

constexpr std::align_val_t page{4096};

bool is_legacy(cudaStream_t stream) { return stream == nullptr || stream == cudaStreamLegacy; }

void run_kernel(const core::atomic<int>& lost, const std::function<void()>& kernel) {
  if (lost.load() == 0) kernel();
}

}  // namespace

// ---- calls ----------------------------------------------------------------------------------------------

cudaError_t fake_cuda::begin(std::string_view call) {
  std::unique_lock lock(mutex_);
  call_record& record = calls_[std::string(call)];
  ++record.count;
  record.device = current_device();
  if (unloaded_) return cudaErrorCudartUnloading;
  const auto hit = std::find_if(faults_.begin(), faults_.end(),
                                [&](fault& f) { return (f.call == call || f.call == "any") && f.after-- == 0; });
  if (hit == faults_.end()) return cudaSuccess;
  const fault found = *hit;
  faults_.erase(hit);
  if (found.sticky) {
    current().lost = found.code;
    current().last = mark_all(current_device());
    lock.unlock();
    await_last_work();
  }
  return found.code;
}

void fake_cuda::await_last_work() {
  std::unique_lock lock(mutex_);
  const std::vector<marker_ptr> last = current().last;
  lock.unlock();
  for (const marker_ptr& end : last) end->wait();
}

void fake_cuda::note_failure(std::string_view call) {
  const std::scoped_lock lock(mutex_);
  ++calls_[std::string(call)].failures;
}

cudaError_t fake_cuda::bind() {
  std::unique_lock lock(mutex_);
  fake_thread& thread = fake_thread::self();
  if (thread.contexts.empty()) thread.contexts.push_back(thread.device);
  current().context = true;
  const int lost = current().lost.load();
  lock.unlock();
  if (lost != 0) await_last_work();
  return static_cast<cudaError_t>(lost);
}

fake_cuda::device_state& fake_cuda::current() { return *devices_[static_cast<std::size_t>(current_device())]; }

// ---- devices --------------------------------------------------------------------------------------------

cudaError_t fake_cuda::GetDeviceCount(int* count) {
  *count = options_.devices;
  return options_.devices == 0 ? cudaErrorNoDevice : cudaSuccess;
}

cudaError_t fake_cuda::GetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (device < 0 || device >= options_.devices) return cudaErrorInvalidDevice;
  *properties = {};
  std::snprintf(properties->name, sizeof properties->name, "Fake GPU %d", device);
  properties->totalGlobalMem = options_.memory_bytes;
  return cudaSuccess;
}

cudaError_t fake_cuda::MemGetInfo(std::size_t* free_bytes, std::size_t* total_bytes) {
  const std::scoped_lock lock(mutex_);
  *free_bytes = options_.memory_bytes - current().used_bytes;
  *total_bytes = options_.memory_bytes;
  return cudaSuccess;
}

// ---- memory ---------------------------------------------------------------------------------------------

cudaError_t fake_cuda::allocate(void** memory, std::uint64_t size_bytes, int device, unsigned flags) {
  const std::uint64_t all_bytes = size_bytes + options_.misalignment_bytes;
  auto* const base = static_cast<std::byte*>(::operator new(all_bytes, page, std::nothrow));
  if (base == nullptr) return cudaErrorMemoryAllocation;
  std::byte* const start = base + options_.misalignment_bytes;
  std::memset(start, 0xcd, size_bytes);
  memory_[start] = {.base = base, .size_bytes = size_bytes, .device = device, .flags = flags};
  *memory = start;
  return cudaSuccess;
}

cudaError_t fake_cuda::Malloc(void** memory, std::size_t size_bytes) {
  const std::scoped_lock lock(mutex_);
  if (size_bytes > options_.memory_bytes - current().used_bytes) return cudaErrorMemoryAllocation;
  const cudaError_t result = allocate(memory, size_bytes, current_device(), 0);
  if (result == cudaSuccess) current().used_bytes += size_bytes;
  return result;
}

cudaError_t fake_cuda::HostAlloc(void** memory, std::size_t size_bytes, unsigned flags) {
  const std::uint64_t used_bytes = live().pinned_bytes;
  const std::scoped_lock lock(mutex_);
  if (size_bytes > options_.pinned_limit_bytes - used_bytes) return cudaErrorMemoryAllocation;
  return allocate(memory, size_bytes, -1, flags);
}

cudaError_t fake_cuda::release(void* memory, bool on_device) {
  if (memory == nullptr) return cudaSuccess;
  std::vector<marker_ptr> work;
  {
    const std::scoped_lock lock(mutex_);
    const auto found = memory_.find(static_cast<std::byte*>(memory));
    if (found == memory_.end() || (found->second.device >= 0) != on_device) return cudaErrorInvalidValue;
    work = mark_all(found->second.device);
  }
  for (const marker_ptr& end : work) end->wait();
  const std::scoped_lock lock(mutex_);
  const auto found = memory_.find(static_cast<std::byte*>(memory));
  const allocation what = found->second;
  if (on_device) devices_[static_cast<std::size_t>(what.device)]->used_bytes -= what.size_bytes;
  memory_.erase(found);
  ::operator delete(what.base, page);
  return cudaSuccess;
}

cudaError_t fake_cuda::Free(void* memory) { return release(memory, true); }
cudaError_t fake_cuda::FreeHost(void* memory) { return release(memory, false); }

const fake_cuda::allocation* fake_cuda::find(const void* memory, std::uint64_t size_bytes) const {
  const auto* const start = static_cast<const std::byte*>(memory);
  auto behind = memory_.upper_bound(start);
  if (behind == memory_.begin()) return nullptr;
  const auto& [first, what] = *std::prev(behind);
  return start + size_bytes <= first + what.size_bytes ? &what : nullptr;
}

// ---- streams and events ---------------------------------------------------------------------------------

std::shared_ptr<fake_stream> fake_cuda::stream_of(cudaStream_t handle) {
  if (is_legacy(handle)) {
    auto& legacy = current().legacy;
    if (!legacy) legacy = std::make_shared<fake_stream>(current_device(), cudaStreamDefault);
    return legacy;
  }
  const auto found = streams_.find(handle);
  return found == streams_.end() ? nullptr : found->second;
}

std::shared_ptr<fake_event> fake_cuda::event_of(cudaEvent_t handle) {
  const auto found = events_.find(handle);
  return found == events_.end() ? nullptr : found->second;
}

void fake_cuda::order_with_default_stream(fake_stream& stream) {
  auto& legacy = devices_[static_cast<std::size_t>(stream.device)]->legacy;
  if (legacy.get() != &stream) {
    if (legacy && stream.flags == cudaStreamDefault) stream.push_wait(legacy->mark());
    return;
  }
  for (const auto& [handle, other] : streams_) {
    if (other->device == stream.device && other->flags == cudaStreamDefault) stream.push_wait(other->mark());
  }
}

std::vector<marker_ptr> fake_cuda::mark_all(int device) {
  std::vector<marker_ptr> ends;
  const auto add = [&](fake_stream& s) {
    if (device < 0 || s.device == device) ends.push_back(s.mark());
  };
  for (const auto& [handle, stream] : streams_) add(*stream);
  for (const auto& [stream, end] : retired_) {
    if (device < 0 || stream->device == device) ends.push_back(end);
  }
  for (const auto& state : devices_) {
    if (state->legacy) add(*state->legacy);
  }
  return ends;
}

cudaError_t fake_cuda::StreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  const std::scoped_lock lock(mutex_);
  auto made = std::make_shared<fake_stream>(current_device(), flags);
  *stream = reinterpret_cast<cudaStream_t>(made.get());
  streams_.emplace(made.get(), std::move(made));
  return cudaSuccess;
}

cudaError_t fake_cuda::StreamDestroy(cudaStream_t stream) {
  const std::scoped_lock lock(mutex_);
  const auto found = streams_.find(stream);
  if (found == streams_.end()) return cudaErrorInvalidResourceHandle;
  const marker_ptr end = found->second->mark();
  found->second->close();
  retired_.push_back({std::move(found->second), end});
  streams_.erase(found);
  return cudaSuccess;
}

cudaError_t fake_cuda::StreamSynchronize(cudaStream_t stream) {
  marker_ptr end;
  {
    const std::scoped_lock lock(mutex_);
    const auto found = stream_of(stream);
    if (!found) return cudaErrorInvalidResourceHandle;
    order_with_default_stream(*found);
    end = found->mark();
  }
  end->wait();
  return bind();  // an error that came up meanwhile
}

cudaError_t fake_cuda::StreamGetDevice(cudaStream_t stream, int* device) {
  const std::scoped_lock lock(mutex_);
  const auto found = stream_of(stream);
  if (!found) return cudaErrorInvalidResourceHandle;
  *device = found->device;
  return cudaSuccess;
}

cudaError_t fake_cuda::EventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  const std::scoped_lock lock(mutex_);
  auto made = std::make_shared<fake_event>(fake_event{.device = current_device(), .flags = flags, .last = {}});
  *event = reinterpret_cast<cudaEvent_t>(made.get());
  events_.emplace(made.get(), std::move(made));
  return cudaSuccess;
}

cudaError_t fake_cuda::EventDestroy(cudaEvent_t event) {
  const std::scoped_lock lock(mutex_);
  return events_.erase(event) == 1 ? cudaSuccess : cudaErrorInvalidResourceHandle;
}

cudaError_t fake_cuda::EventRecord(cudaEvent_t event, cudaStream_t stream) {
  const std::scoped_lock lock(mutex_);
  const auto recorded = event_of(event);
  const auto on = stream_of(stream);
  if (!recorded || !on || recorded->device != on->device) return cudaErrorInvalidResourceHandle;
  order_with_default_stream(*on);
  recorded->last = on->mark();
  return cudaSuccess;
}

cudaError_t fake_cuda::StreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  const std::scoped_lock lock(mutex_);
  const auto waited = event_of(event);
  const auto waiting = stream_of(stream);
  if (!waited || !waiting) return cudaErrorInvalidResourceHandle;
  order_with_default_stream(*waiting);
  waiting->push_wait(waited->last);
  return cudaSuccess;
}

// ---- work -----------------------------------------------------------------------------------------------

cudaError_t fake_cuda::MemcpyAsync(void* to, const void* from, std::size_t size_bytes, cudaMemcpyKind kind,
                                   cudaStream_t stream) {
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  marker_ptr pageable_end;
  {
    const std::scoped_lock lock(mutex_);
    const auto on = stream_of(stream);
    if (!on) return cudaErrorInvalidResourceHandle;
    bool pageable = false;
    const auto fits = [&](const void* memory, bool must_be_on_device) {
      const allocation* const where = find(memory, size_bytes);
      pageable = pageable || where == nullptr;
      return must_be_on_device == (where != nullptr && where->device >= 0);
    };
    if (!fits(from, from_device) || !fits(to, to_device)) return cudaErrorInvalidValue;
    order_with_default_stream(*on);
    const auto& lost = devices_[static_cast<std::size_t>(on->device)]->lost;
    on->push([=, &lost] { run_kernel(lost, [=] { std::memcpy(to, from, size_bytes); }); });
    if (pageable) pageable_end = on->mark();
  }
  if (pageable_end) pageable_end->wait();
  return cudaSuccess;
}

cudaError_t fake_cuda::launch(cudaStream_t stream, std::function<void()> kernel) {
  const cudaError_t bound = bind();
  if (bound != cudaSuccess) return bound;
  const std::scoped_lock lock(mutex_);
  const auto on = stream_of(stream);
  if (!on) return cudaErrorInvalidResourceHandle;
  order_with_default_stream(*on);
  const auto& lost = devices_[static_cast<std::size_t>(on->device)]->lost;
  on->push([&lost, kernel = std::move(kernel)] { run_kernel(lost, kernel); });
  return cudaSuccess;
}

}  // namespace pinrail::testing
