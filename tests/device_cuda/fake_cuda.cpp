#include "fake_cuda.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <new>
#include <thread>

#include "fake_thread.hpp"

namespace pinrail::testing {
namespace {

constexpr std::align_val_t page{4096};

bool is_legacy(cudaStream_t stream) { return stream == nullptr || stream == cudaStreamLegacy; }

std::size_t direction_of(cudaMemcpyKind kind) {
  if (kind == cudaMemcpyHostToDevice) return static_cast<std::size_t>(devices::direction::host_to_device);
  return static_cast<std::size_t>(kind == cudaMemcpyDeviceToHost ? devices::direction::device_to_host
                                                                 : devices::direction::device_to_device);
}

devices::toucher toucher_of(cudaMemcpyKind kind) {
  if (kind == cudaMemcpyHostToDevice) return devices::toucher::copy_to_device;
  return kind == cudaMemcpyDeviceToHost ? devices::toucher::copy_to_host : devices::toucher::copy_within;
}

}  // namespace

// ---- calls ----------------------------------------------------------------------------------------------

cudaError_t fake_cuda::begin(std::string_view call) {
  std::unique_lock lock(mutex_);
  call_record& record = calls_[std::string(call)];
  ++record.count;
  record.device = current_device();
  if (getpid() != process_) return cudaErrorInitializationError;
  if (unloaded_) return cudaErrorCudartUnloading;
  check_call(call);
  // Each planned fault counts the call, also where another one takes it.
  auto hit = faults_.end();
  for (auto f = faults_.begin(); f != faults_.end(); ++f) {
    const bool concerned = (f->call == call || f->call == "any") && (f->device < 0 || f->device == current_device());
    if (concerned && f->after-- == 0 && hit == faults_.end()) hit = f;
  }
  if (hit == faults_.end()) return cudaSuccess;
  const fault found = *hit;
  faults_.erase(hit);
  if (found.sticky) {
    current().lost = found.code;
    current().last = mark_all(current_device());
    if (current().checker) current().checker->end_all();
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
  std::erase_if(freed_, [&](const auto& f) { return f.first < start + size_bytes && start < f.first + f.second; });
  memory_[start] = {
      .base = base, .size_bytes = size_bytes, .device = device, .flags = flags, .made_on = current_device()};
  if (current().checker) {
    using memory_kind = devices::order_checker::memory;
    current().checker->add_memory(device < 0 ? memory_kind::pinned : memory_kind::device, start, size_bytes);
  }
  *memory = start;
  return cudaSuccess;
}

cudaError_t fake_cuda::Malloc(void** memory, std::size_t size_bytes) {
  const std::scoped_lock lock(mutex_);
  if (const cudaError_t broken = unsafe_call()) return broken;
  if (size_bytes > options_.memory_bytes - current().used_bytes) return cudaErrorMemoryAllocation;
  const cudaError_t result = allocate(memory, size_bytes, current_device(), 0);
  if (result == cudaSuccess) current().used_bytes += size_bytes;
  return result;
}

cudaError_t fake_cuda::HostAlloc(void** memory, std::size_t size_bytes, unsigned flags) {
  const std::uint64_t used_bytes = live().pinned_bytes;
  const std::scoped_lock lock(mutex_);
  if (const cudaError_t broken = unsafe_call()) return broken;
  if (size_bytes > options_.pinned_limit_bytes - used_bytes) return cudaErrorMemoryAllocation;
  return allocate(memory, size_bytes, -1, flags);
}

cudaError_t fake_cuda::release(void* memory, bool on_device) {
  if (memory == nullptr) return cudaSuccess;
  std::vector<marker_ptr> work;
  {
    const std::scoped_lock lock(mutex_);
    if (const cudaError_t broken = unsafe_call()) return broken;
    const auto found = memory_.find(static_cast<std::byte*>(memory));
    if (found == memory_.end() || (found->second.device >= 0) != on_device || found->second.registered) {
      note_misuse(current_device(), fmt::format("{} was freed, which is no such memory", memory));
      return cudaErrorInvalidValue;
    }
    check_current(on_device ? "cudaFree" : "cudaFreeHost", found->second.made_on);
    // Before the wait: who frees must know by itself that copies are done.
    const auto& checker = devices_[static_cast<std::size_t>(found->second.made_on)]->checker;
    if (checker && !on_device) checker->remove_memory(found->first);
    work = mark_all(found->second.device);
  }
  for (const marker_ptr& end : work) end->wait();
  const std::scoped_lock lock(mutex_);
  const auto found = memory_.find(static_cast<std::byte*>(memory));
  const allocation what = found->second;
  if (on_device) {
    device_state& owner = *devices_[static_cast<std::size_t>(what.device)];
    owner.used_bytes -= what.size_bytes;
    if (owner.checker) owner.checker->remove_memory(found->first);
  }
  note_freed(found->first, what.size_bytes);
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
  const std::byte* const end = first + what.size_bytes;
  return start < end && start + size_bytes <= end ? &what : nullptr;
}

bool fake_cuda::was_freed(const void* memory) const {
  const auto* const at = static_cast<const std::byte*>(memory);
  const auto behind = freed_.upper_bound(at);
  return behind != freed_.begin() && at < std::prev(behind)->first + std::prev(behind)->second;
}

void fake_cuda::note_freed(const std::byte* start, std::uint64_t size_bytes) {
  freed_[start] = size_bytes;
  words_.erase(words_.lower_bound(start), words_.lower_bound(start + size_bytes));
}

// ---- streams and events ---------------------------------------------------------------------------------

std::shared_ptr<fake_stream> fake_cuda::stream_of(cudaStream_t handle) {
  if (is_legacy(handle)) {
    auto& legacy = current().legacy;
    if (!legacy) {
      const std::uint32_t number = free_number(current_device());
      legacy = std::make_shared<fake_stream>(current_device(), cudaStreamDefault, number);
      if (current().checker) current().checker->begin_stream(number);
    }
    return legacy;
  }
  const auto found = streams_.find(handle);
  if (found != streams_.end()) return found->second;
  note_misuse(current_device(), fmt::format("{} is no stream, or no longer", static_cast<void*>(handle)));
  return nullptr;
}

std::uint32_t fake_cuda::free_number(int device) const {
  for (std::uint32_t number = 0;; ++number) {
    const auto has = [&](const fake_stream& s) { return s.device == device && s.number == number; };
    const auto& legacy = devices_[static_cast<std::size_t>(device)]->legacy;
    if (legacy && has(*legacy)) continue;
    if (std::any_of(streams_.begin(), streams_.end(), [&](const auto& s) { return has(*s.second); })) continue;
    if (std::any_of(retired_.begin(), retired_.end(), [&](const auto& r) { return has(*r.stream); })) continue;
    return number;
  }
}

void fake_cuda::bury_retired() {
  std::erase_if(retired_, [&](const retired_stream& r) {
    if (!r.end->is_reached()) return false;
    const auto& checker = devices_[static_cast<std::size_t>(r.stream->device)]->checker;
    if (checker) checker->end_stream(r.stream->number);
    return true;
  });
}

std::shared_ptr<fake_event> fake_cuda::event_of(cudaEvent_t handle) {
  const auto found = events_.find(handle);
  if (found != events_.end()) return found->second;
  note_misuse(current_device(), fmt::format("{} is no event, or no longer", static_cast<void*>(handle)));
  return nullptr;
}

void fake_cuda::order_after(fake_stream& stream, fake_stream& other) {
  stream.push_wait(other.mark());
  const auto& checker = devices_[static_cast<std::size_t>(stream.device)]->checker;
  if (checker) checker->wait(stream.number, checker->record(other.number));
}

void fake_cuda::order_with_default_stream(fake_stream& stream) {
  auto& legacy = devices_[static_cast<std::size_t>(stream.device)]->legacy;
  if (legacy.get() != &stream) {
    if (legacy && stream.flags == cudaStreamDefault) order_after(stream, *legacy);
    return;
  }
  for (const auto& [handle, other] : streams_) {
    if (other->device == stream.device && other->flags == cudaStreamDefault && !other->capture)
      order_after(stream, *other);
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
  bury_retired();
  constexpr std::uintptr_t first_handle = 0x10000;
  std::uintptr_t handle = first_handle;
  while (streams_.contains(reinterpret_cast<void*>(handle))) handle += 16;
  const std::uint32_t number = free_number(current_device());
  streams_.emplace(reinterpret_cast<void*>(handle), std::make_shared<fake_stream>(current_device(), flags, number));
  if (current().checker) current().checker->begin_stream(number);
  *stream = reinterpret_cast<cudaStream_t>(handle);
  return cudaSuccess;
}

cudaError_t fake_cuda::StreamDestroy(cudaStream_t stream) {
  const std::scoped_lock lock(mutex_);
  const auto found = streams_.find(stream);
  if (found == streams_.end()) {
    note_misuse(current_device(), fmt::format("{} is no stream, or no longer", static_cast<void*>(stream)));
    return cudaErrorInvalidResourceHandle;
  }
  check_current("cudaStreamDestroy", found->second->device);
  const marker_ptr end = found->second->mark();
  found->second->close();
  retired_.push_back({std::move(found->second), end});
  streams_.erase(found);
  return cudaSuccess;
}

cudaError_t fake_cuda::StreamSynchronize(cudaStream_t stream) {
  marker_ptr end;
  devices::order_checker::moment covers;
  std::shared_ptr<devices::order_checker> checker;
  {
    const std::scoped_lock lock(mutex_);
    const auto found = stream_of(stream);
    if (!found) return cudaErrorInvalidResourceHandle;
    check_current("cudaStreamSynchronize", found->device);
    if (found->capture) return invalidate(*found->capture, cudaErrorStreamCaptureUnsupported);
    if (const cudaError_t broken = unsafe_call()) return broken;
    order_with_default_stream(*found);
    end = found->mark();
    checker = devices_[static_cast<std::size_t>(found->device)]->checker;
    if (checker) covers = checker->record(found->number);
  }
  end->wait();
  if (checker) checker->learn(covers);
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
  auto* const handle = reinterpret_cast<void*>(0x1000000 + 16 * ++events_made_);
  events_.emplace(handle,
                  std::make_shared<fake_event>(fake_event{.device = current_device(), .flags = flags, .last = {}}));
  *event = static_cast<cudaEvent_t>(handle);
  return cudaSuccess;
}

cudaError_t fake_cuda::EventDestroy(cudaEvent_t event) {
  const std::scoped_lock lock(mutex_);
  const auto destroyed = event_of(event);
  if (!destroyed) return cudaErrorInvalidResourceHandle;
  check_current("cudaEventDestroy", destroyed->device);
  events_.erase(event);
  return cudaSuccess;
}

cudaError_t fake_cuda::EventRecord(cudaEvent_t event, cudaStream_t stream) {
  const std::scoped_lock lock(mutex_);
  const auto recorded = event_of(event);
  const auto on = stream_of(stream);
  if (!recorded || !on || recorded->device != on->device) return cudaErrorInvalidResourceHandle;
  check_current("cudaEventRecord", on->device);
  if (recorded->last && !recorded->last->is_reached() && current().lost.load() == 0)
    note_misuse(on->device, "an event is recorded again while someone may wait for its last record");
  recorded->captured = on->capture;
  recorded->last = nullptr;
  if (on->capture) return cudaSuccess;
  order_with_default_stream(*on);
  recorded->last = on->mark();
  const auto& checker = devices_[static_cast<std::size_t>(on->device)]->checker;
  recorded->covers = checker ? checker->record(on->number) : nullptr;
  return cudaSuccess;
}

cudaError_t fake_cuda::StreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  const std::scoped_lock lock(mutex_);
  const auto waited = event_of(event);
  const auto waiting = stream_of(stream);
  if (!waited || !waiting) return cudaErrorInvalidResourceHandle;
  check_current("cudaStreamWaitEvent", waiting->device);
  if (!waited->last && !waited->captured)
    note_misuse(waiting->device, "a stream waits for an event that was never recorded, which is complete at once");
  if (waited->captured) {  // the stream joins the capture
    waiting->capture = waited->captured;
    return cudaSuccess;
  }
  if (waiting->capture)
    return waited->last ? invalidate(*waiting->capture, cudaErrorStreamCaptureIsolation) : cudaSuccess;
  order_with_default_stream(*waiting);
  waiting->push_wait(waited->last);
  const auto& checker = devices_[static_cast<std::size_t>(waiting->device)]->checker;
  if (checker && waited->device == waiting->device) checker->wait(waiting->number, waited->covers);
  return cudaSuccess;
}

CUresult fake_cuda::EventQuery(CUevent event) {
  if (!has_context()) return CUDA_ERROR_INVALID_CONTEXT;
  if (const int lost = current().lost.load()) return static_cast<CUresult>(lost);
  const auto found = event_of(event);
  if (!found) return CUDA_ERROR_INVALID_HANDLE;
  check_current("cuEventQuery", found->device);
  if (found->captured) {
    note_misuse(found->device, "an event is queried whose record is part of a capture");
    invalidate(*found->captured, cudaSuccess);
    return CUDA_ERROR_CAPTURED_EVENT;
  }
  if (const cudaError_t broken = unsafe_call()) return static_cast<CUresult>(broken);
  if (found->last && !found->last->is_reached()) return CUDA_ERROR_NOT_READY;
  const auto& checker = devices_[static_cast<std::size_t>(found->device)]->checker;
  if (checker) checker->learn(found->covers);
  return CUDA_SUCCESS;
}

CUresult fake_cuda::StreamWriteValue64(CUstream stream, CUdeviceptr address, std::uint64_t value, unsigned flags) {
  if (!has_context()) return CUDA_ERROR_INVALID_CONTEXT;
  if (const int lost = current().lost.load()) return static_cast<CUresult>(lost);
  if (!options_.writes_words) return CUDA_ERROR_NOT_SUPPORTED;
  const auto on = stream_of(stream);
  if (!on) return CUDA_ERROR_INVALID_HANDLE;
  check_current("cuStreamWriteValue64", on->device);
  auto* const word = reinterpret_cast<devices::completion_word*>(address);
  const allocation* const where = find(word, sizeof *word);
  if (where == nullptr || where->device >= 0 || address % sizeof *word != 0) {
    note_misuse(on->device, fmt::format("a stream writes a word to {}, which is no page-locked memory", address));
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (flags != CU_STREAM_WRITE_VALUE_DEFAULT)
    note_misuse(on->device, "a word is written that may be seen before what the stream wrote earlier");
  push_work(
      *on, [=] { word->store(value, core::order::release); }, {}, devices::toucher::kernel);
  const auto& checker = devices_[static_cast<std::size_t>(on->device)]->checker;
  if (checker) words_[word].push_back({value, checker->record(on->number)});
  return CUDA_SUCCESS;
}

// ---- work -----------------------------------------------------------------------------------------------

void fake_cuda::push_work(fake_stream& on, std::function<void()> work, std::vector<emulated::access> accesses,
                          devices::toucher what) {
  if (on.capture) {
    on.capture->nodes.push_back({std::move(work), std::move(accesses)});
    return;
  }
  order_with_default_stream(on);
  const device_state& device = *devices_[static_cast<std::size_t>(on.device)];
  on.push([&lost = device.lost, work = std::move(work)] {
    if (lost.load() == 0) work();
  });
  if (!device.checker) return;
  for (const emulated::access& a : accesses)
    device.checker->touch_by_stream(on.number, what, a.data, a.size_bytes,
                                    a.writes ? devices::access::write : devices::access::read);
}

cudaError_t fake_cuda::MemcpyAsync(void* to, const void* from, std::size_t size_bytes, cudaMemcpyKind kind,
                                   cudaStream_t stream) {
  marker_ptr pageable_end;
  {
    const std::scoped_lock lock(mutex_);
    const cudaError_t result = push_copy(to, from, size_bytes, kind, stream, pageable_end);
    if (result != cudaSuccess) return result;
  }
  if (pageable_end) pageable_end->wait();
  return cudaSuccess;
}

cudaError_t fake_cuda::push_copy(void* to, const void* from, std::size_t size_bytes, cudaMemcpyKind kind,
                                 cudaStream_t stream, marker_ptr& pageable_end) {
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const auto on = stream_of(stream);
  if (!on) return cudaErrorInvalidResourceHandle;
  check_current("cudaMemcpyAsync", on->device);
  bool pageable = false;
  const auto fits = [&](const void* memory, bool must_be_on_device) {
    const allocation* const where = find(memory, size_bytes);
    pageable = pageable || where == nullptr;
    if (where == nullptr) check_host_memory(memory, size_bytes);
    return must_be_on_device == (where != nullptr && where->device >= 0);
  };
  if (!fits(from, from_device) || !fits(to, to_device)) return cudaErrorInvalidValue;
  if (pageable) {
    if (on->capture) return invalidate(*on->capture, cudaErrorStreamCaptureUnsupported);
    if (const cudaError_t broken = unsafe_call()) return broken;
  }
  const device_state& device = *devices_[static_cast<std::size_t>(on->device)];
  const std::uint64_t rate = device.bytes_per_second[direction_of(kind)];
  const std::chrono::nanoseconds longer(device.latency_ns + (rate == 0 ? 0 : size_bytes * 1'000'000'000 / rate));
  const auto copy = [=] {
    if (longer.count() != 0) std::this_thread::sleep_for(longer);
    std::memcpy(to, from, size_bytes);
  };
  push_work(*on, copy, {{from, size_bytes, false}, {to, size_bytes, true}}, toucher_of(kind));
  if (pageable) pageable_end = on->mark();
  return cudaSuccess;
}

CUresult fake_cuda::MemcpyBatchAsync(const CUdeviceptr* to, const CUdeviceptr* from, const std::size_t* sizes_bytes,
                                     std::size_t count, const CUmemcpyAttributes* how, std::size_t* failed,
                                     CUstream stream) {
  if (!has_context()) return CUDA_ERROR_INVALID_CONTEXT;
  if (const int lost = current().lost.load()) return static_cast<CUresult>(lost);
  *failed = SIZE_MAX;
  if (count == 0 || stream == nullptr || stream == cudaStreamLegacy) return CUDA_ERROR_INVALID_VALUE;
  if (how->srcAccessOrder != CU_MEMCPY_SRC_ACCESS_ORDER_STREAM)
    note_misuse(current_device(), "a batch reads its sources before the stream has come to it");
  // A fault that a test meant for a copy hits one copy, not a batch: this is refused, and the fault stays.
  if (std::any_of(faults_.begin(), faults_.end(), [](const fault& f) { return f.call == "cudaMemcpyAsync"; }))
    return CUDA_ERROR_UNKNOWN;
  // Backwards, as nothing says in which order a batch is copied.
  for (std::size_t i = count; i-- > 0;) {
    marker_ptr unused;  // of pageable memory, which is noted as misuse
    const cudaError_t result = push_copy(reinterpret_cast<void*>(to[i]), reinterpret_cast<const void*>(from[i]),
                                         sizes_bytes[i], cudaMemcpyHostToDevice, stream, unused);
    if (result == cudaSuccess) continue;
    *failed = i;
    return static_cast<CUresult>(result);
  }
  return CUDA_SUCCESS;
}

cudaError_t fake_cuda::launch(cudaStream_t stream, std::function<void()> kernel) {
  const cudaError_t bound = bind();
  if (bound != cudaSuccess) return bound;
  const std::scoped_lock lock(mutex_);
  const auto on = stream_of(stream);
  if (!on) return cudaErrorInvalidResourceHandle;
  push_work(*on, std::move(kernel), {}, devices::toucher::kernel);
  return cudaSuccess;
}

cudaError_t fake_cuda::enqueue(int device, cudaStream_t stream, std::function<void()> kernel,
                               std::span<const emulated::access> accesses, devices::toucher what) {
  const std::scoped_lock lock(mutex_);
  device_state& on_device = *devices_[static_cast<std::size_t>(device)];
  if (const int lost = on_device.lost.load()) return static_cast<cudaError_t>(lost);
  const auto found = streams_.find(stream);
  const auto on = found != streams_.end() ? found->second : is_legacy(stream) ? on_device.legacy : nullptr;
  if (!on || on->device != device) return cudaErrorInvalidResourceHandle;
  push_work(*on, std::move(kernel), {accesses.begin(), accesses.end()}, what);
  return cudaSuccess;
}

}  // namespace pinrail::testing
