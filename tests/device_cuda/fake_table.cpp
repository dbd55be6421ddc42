// The fake's functions as CUDA's, and what tests ask of it.

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "fake_cuda.hpp"
#include "fake_thread.hpp"

namespace pinrail::testing {
namespace {

core::atomic<fake_cuda*> installed{nullptr};
core::atomic<std::uint64_t> fakes_made{0};

/// A function's name as a template argument.
template <std::size_t size>
struct call_name {
  consteval call_name(const char (&from)[size]) { std::copy(from, from + size, text); }  // NOLINT: a name is a text
  char text[size];
};

cudaError_t remember(cudaError_t result) {
  if (result != cudaSuccess) fake_thread::self().last_error = result;
  return result;
}

}  // namespace

fake_thread& fake_thread::self() {
  thread_local fake_thread state;
  if (const std::uint64_t newest = fakes_made.load(); state.fake != newest) {
    state = fake_thread{};
    state.fake = newest;
  }
  return state;
}

struct fake_table {
  /// A runtime function: counted, faulted, works on the current context, keeps the last error.
  template <call_name name, auto function>
  struct runtime;
  template <call_name name, class... A, cudaError_t (fake_cuda::*function)(A...)>
  struct runtime<name, function> {
    static cudaError_t call(A... arguments) {
      fake_cuda* const fake = installed.load();
      if (fake == nullptr) return remember(cudaErrorCudartUnloading);
      cudaError_t result = fake->begin(name.text);
      if (result == cudaSuccess && needs_context) result = fake->bind();
      // A lost context refuses, but what is given back then was no leak of Pinrail's.
      if (result != cudaSuccess && gives_back && fake->is_lost(fake_cuda::current_device()))
        static_cast<void>((fake->*function)(arguments...));
      if (result == cudaSuccess) result = (fake->*function)(arguments...);
      if (result != cudaSuccess) fake->note_failure(name.text);
      return remember(result);
    }
    static constexpr bool gives_back =
        std::string_view(name.text) == "cudaFree" || std::string_view(name.text) == "cudaFreeHost" ||
        std::string_view(name.text) == "cudaStreamDestroy" || std::string_view(name.text) == "cudaEventDestroy";
    static constexpr bool needs_context = std::string_view(name.text) != "cudaGetDeviceCount" &&
                                          std::string_view(name.text) != "cudaGetDeviceProperties" &&
                                          std::string_view(name.text) != "cudaThreadExchangeStreamCaptureMode";
  };

  /// A driver function: counted and faulted; knows no last error and makes no context.
  template <class Body>
  static CUresult driver(std::string_view name, Body body) {
    fake_cuda* const fake = installed.load();
    if (fake == nullptr) return CUDA_ERROR_DEINITIALIZED;
    const cudaError_t failed = fake->begin(name);
    if (failed != cudaSuccess) return static_cast<CUresult>(failed);
    std::unique_lock lock(fake->mutex_);
    const CUresult result = body(*fake);
    lock.unlock();
    if (result != CUDA_SUCCESS) fake->await_last_work();
    return result;
  }

  static CUresult device_get(CUdevice* device, int ordinal) {
    return driver("cuDeviceGet", [=](fake_cuda&) { return *device = ordinal, CUDA_SUCCESS; });
  }
  static CUresult retain(CUcontext* context, CUdevice device) {
    return driver("cuDevicePrimaryCtxRetain", [=](fake_cuda& fake) {
      auto& state = *fake.devices_[static_cast<std::size_t>(device)];
      state.context = true;
      ++state.references;
      *context = reinterpret_cast<CUcontext>(&state);
      return CUDA_SUCCESS;
    });
  }
  static CUresult release(CUdevice device) {
    return driver("cuDevicePrimaryCtxRelease", [=](fake_cuda& fake) {
      return --fake.devices_[static_cast<std::size_t>(device)]->references < 0 ? CUDA_ERROR_INVALID_CONTEXT
                                                                               : CUDA_SUCCESS;
    });
  }
  static CUresult get_current(CUcontext* context) {
    return driver("cuCtxGetCurrent", [=](fake_cuda& fake) {
      *context = fake_cuda::has_context() ? reinterpret_cast<CUcontext>(&fake.current()) : nullptr;
      return CUDA_SUCCESS;
    });
  }
  static CUresult push(CUcontext context) {
    return driver("cuCtxPushCurrent", [=](fake_cuda& fake) {
      const auto found = std::find_if(fake.devices_.begin(), fake.devices_.end(), [=](const auto& state) {
        return reinterpret_cast<CUcontext>(state.get()) == context;
      });
      if (found == fake.devices_.end()) return CUDA_ERROR_INVALID_CONTEXT;
      fake_thread::self().contexts.push_back(static_cast<int>(found - fake.devices_.begin()));
      return CUDA_SUCCESS;
    });
  }
  static CUresult pop(CUcontext* context) {
    return driver("cuCtxPopCurrent", [=](fake_cuda& fake) {
      if (!fake_cuda::has_context()) {
        fake.note_misuse(fake_cuda::current_device(), "cuCtxPopCurrent takes off what nobody has put there");
        return CUDA_ERROR_INVALID_CONTEXT;
      }
      *context = reinterpret_cast<CUcontext>(&fake.current());
      fake_thread::self().contexts.pop_back();
      return CUDA_SUCCESS;
    });
  }
  static CUresult event_query(CUevent event) {
    return driver("cuEventQuery", [=](fake_cuda& fake) { return fake.EventQuery(event); });
  }
  static CUresult get_attribute(int* value, CUdevice_attribute attribute, CUdevice) {
    return driver("cuDeviceGetAttribute", [=](fake_cuda& fake) {
      if (attribute != CU_DEVICE_ATTRIBUTE_CAN_USE_64_BIT_STREAM_MEM_OPS) return CUDA_ERROR_INVALID_VALUE;
      *value = fake.options_.writes_words;
      return CUDA_SUCCESS;
    });
  }
  static CUresult write_value(CUstream stream, CUdeviceptr address, cuuint64_t value, unsigned flags) {
    return driver("cuStreamWriteValue64",
                  [=](fake_cuda& fake) { return fake.StreamWriteValue64(stream, address, value, flags); });
  }

  static CUresult copy_batch(CUdeviceptr* to, CUdeviceptr* from, size_t* sizes_bytes, size_t count,
                             CUmemcpyAttributes* attributes, size_t* first_with_attributes, size_t attributes_count,
                             size_t* failed, CUstream stream) {
    return driver("cuMemcpyBatchAsync", [=](fake_cuda& fake) {
      if (attributes_count != 1 || first_with_attributes[0] != 0) return CUDA_ERROR_INVALID_VALUE;
      return fake.MemcpyBatchAsync(to, from, sizes_bytes, count, attributes, failed, stream);
    });
  }

  static cudaError_t entry_point(const char* symbol, void** function, unsigned version, unsigned long long,
                                 cudaDriverEntryPointQueryResult* why) {
    static const std::map<std::string_view, void*> known{
        {"cuDeviceGet", reinterpret_cast<void*>(&device_get)},
        {"cuDevicePrimaryCtxRetain", reinterpret_cast<void*>(&retain)},
        {"cuDevicePrimaryCtxRelease", reinterpret_cast<void*>(&release)},
        {"cuCtxGetCurrent", reinterpret_cast<void*>(&get_current)},
        {"cuCtxPushCurrent", reinterpret_cast<void*>(&push)},
        {"cuCtxPopCurrent", reinterpret_cast<void*>(&pop)},
        {"cuEventQuery", reinterpret_cast<void*>(&event_query)},
        {"cuDeviceGetAttribute", reinterpret_cast<void*>(&get_attribute)},
        {"cuStreamWriteValue64", reinterpret_cast<void*>(&write_value)},
        {"cuMemcpyBatchAsync", reinterpret_cast<void*>(&copy_batch)},
    };
    const cudaError_t failed = installed.load()->begin("cudaGetDriverEntryPointByVersion");
    if (failed != cudaSuccess) return remember(failed);
    const bool batch = std::string_view(symbol) == "cuMemcpyBatchAsync";
    const fake_cuda::options& has = installed.load()->options_;
    const bool found = known.contains(symbol) && has.missing_driver_function != symbol &&
                       (!batch || (has.copies_batches && version == 12080));  // as of 13.0 its form is another
    *function = found ? known.at(symbol) : nullptr;
    *why = found ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
    return cudaSuccess;
  }

  static cudaError_t runtime_version(int* version) { return *version = CUDART_VERSION, cudaSuccess; }
  static cudaError_t driver_version(int* version) {
    return *version = installed.load()->options_.driver_version, cudaSuccess;
  }
  /// Can't fail with a mode that there is, and asks for no context: counted nowhere.
  static cudaError_t exchange_capture_mode(cudaStreamCaptureMode* mode) {
    std::swap(fake_thread::self().capture_mode, *mode);
    return cudaSuccess;
  }
  static cudaError_t take_last_error() { return std::exchange(fake_thread::self().last_error, cudaSuccess); }

  static devices::cuda_api make();
};

devices::cuda_api fake_table::make() {
  using fake = fake_cuda;
  return {
      .get_last_error = &take_last_error,
      .peek_at_last_error = &fake::last_error,
      .get_error_name = &::cudaGetErrorName,  // the real ones: they are plain tables
      .get_error_string = &::cudaGetErrorString,
      .runtime_get_version = &runtime_version,
      .driver_get_version = &driver_version,
      .get_driver_entry_point = &entry_point,
      .get_device_count = &runtime<"cudaGetDeviceCount", &fake::GetDeviceCount>::call,
      .get_device_properties = &runtime<"cudaGetDeviceProperties", &fake::GetDeviceProperties>::call,
      .mem_get_info = &runtime<"cudaMemGetInfo", &fake::MemGetInfo>::call,
      .mem_alloc = &runtime<"cudaMalloc", &fake::Malloc>::call,
      .mem_free = &runtime<"cudaFree", &fake::Free>::call,
      .host_alloc = &runtime<"cudaHostAlloc", &fake::HostAlloc>::call,
      .host_free = &runtime<"cudaFreeHost", &fake::FreeHost>::call,
      .stream_create = &runtime<"cudaStreamCreateWithFlags", &fake::StreamCreateWithFlags>::call,
      .stream_destroy = &runtime<"cudaStreamDestroy", &fake::StreamDestroy>::call,
      .stream_synchronize = &runtime<"cudaStreamSynchronize", &fake::StreamSynchronize>::call,
      .stream_get_device = &runtime<"cudaStreamGetDevice", &fake::StreamGetDevice>::call,
      .stream_is_capturing = &runtime<"cudaStreamIsCapturing", &fake::StreamIsCapturing>::call,
      .thread_exchange_capture_mode = &exchange_capture_mode,
      .event_create = &runtime<"cudaEventCreateWithFlags", &fake::EventCreateWithFlags>::call,
      .event_destroy = &runtime<"cudaEventDestroy", &fake::EventDestroy>::call,
      .event_record = &runtime<"cudaEventRecord", &fake::EventRecord>::call,
      .stream_wait_event = &runtime<"cudaStreamWaitEvent", &fake::StreamWaitEvent>::call,
      .memcpy_async = &runtime<"cudaMemcpyAsync", &fake::MemcpyAsync>::call,
  };
}

devices::cuda_api fake_cuda::api() { return fake_table::make(); }

// ---- what tests do with a fake --------------------------------------------------------------------------

fake_cuda::fake_cuda(options what) : options_(std::move(what)), process_(getpid()) {
  for (int i = 0; i < options_.devices; ++i) devices_.push_back(std::make_unique<device_state>());
  ++fakes_made;
  installed = this;
}

fake_cuda::~fake_cuda() {
  installed = nullptr;
  for (const marker_ptr& end : mark_all(-1)) end->wait();
  for (const auto& [start, what] : memory_) ::operator delete (what.base, std::align_val_t{4096});
}

void fake_cuda::inject(const fault& what) {
  const std::scoped_lock lock(mutex_);
  faults_.push_back(what);
}

bool fake_cuda::has_faults(int device) {
  const std::scoped_lock lock(mutex_);
  return std::any_of(faults_.begin(), faults_.end(), [=](const fault& f) { return f.device == device; });
}

void fake_cuda::clear_faults(int device) {
  const std::scoped_lock lock(mutex_);
  std::erase_if(faults_, [=](const fault& f) { return device < 0 || f.device == device; });
}

void fake_cuda::lose(int device, cudaError_t code) { devices_[static_cast<std::size_t>(device)]->lost = code; }

void fake_cuda::unload(bool yes) {
  const std::scoped_lock lock(mutex_);
  unloaded_ = yes;
}

bool fake_cuda::is_unloaded() {
  const std::scoped_lock lock(mutex_);
  return unloaded_;
}

std::uint64_t fake_cuda::calls(std::string_view call) {
  const std::scoped_lock lock(mutex_);
  std::uint64_t sum = 0;
  for (const auto& [name, record] : calls_) sum += call == "any" || call == name ? record.count : 0;
  return sum;
}

std::uint64_t fake_cuda::failures(std::string_view call) {
  const std::scoped_lock lock(mutex_);
  const auto found = calls_.find(call);
  return found == calls_.end() ? 0 : found->second.failures;
}

int fake_cuda::last_device(std::string_view call) {
  const std::scoped_lock lock(mutex_);
  const auto found = calls_.find(call);
  return found == calls_.end() ? -1 : found->second.device;
}

fake_cuda::resources fake_cuda::live(int device) {
  const std::scoped_lock lock(mutex_);
  const auto counts = [=](int on) { return device < 0 || on == device; };
  resources sum;
  for (const auto& [handle, stream] : streams_) sum.streams += counts(stream->device);
  for (const auto& [handle, event] : events_) sum.events += counts(event->device);
  for (const auto& [start, what] : memory_) {
    if (what.registered || !counts(what.made_on)) continue;
    (what.device < 0 ? sum.pinned_bytes : sum.device_bytes) += what.size_bytes;
  }
  for (std::size_t i = 0; i < devices_.size(); ++i)
    if (counts(static_cast<int>(i))) sum.context_references += devices_[i]->references;
  return sum;
}

bool fake_cuda::context_exists(int device) {
  const std::scoped_lock lock(mutex_);
  return devices_[static_cast<std::size_t>(device)]->context;
}

unsigned fake_cuda::flags_of(const void* handle) {
  const std::scoped_lock lock(mutex_);
  if (const auto stream = streams_.find(handle); stream != streams_.end()) return stream->second->flags;
  if (const auto event = events_.find(handle); event != events_.end()) return event->second->flags;
  return memory_.at(static_cast<const std::byte*>(handle)).flags;
}

cudaError_t fake_cuda::set_device(int device) {
  if (device < 0 || device >= options_.devices) return remember(cudaErrorInvalidDevice);
  const std::scoped_lock lock(mutex_);
  fake_thread& thread = fake_thread::self();
  thread.device = device;
  if (!thread.contexts.empty()) thread.contexts.pop_back();
  thread.contexts.push_back(device);
  current().context = true;
  return cudaSuccess;
}

int fake_cuda::current_device() {
  const fake_thread& thread = fake_thread::self();
  return thread.contexts.empty() ? thread.device : thread.contexts.back();
}

bool fake_cuda::has_context() { return !fake_thread::self().contexts.empty(); }
void fake_cuda::leave_error(cudaError_t code) { fake_thread::self().last_error = code; }
cudaError_t fake_cuda::last_error() { return fake_thread::self().last_error; }

}  // namespace pinrail::testing
