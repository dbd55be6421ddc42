// A CUDA runtime without a GPU: what `cuda_api` promises, on threads and host memory.
//
// One fake at a time; it is installed while it lives, since CUDA's functions are plain functions. What it
// keeps to:
//   - Streams run in order on a thread each. An event is what its stream held at the last record; a wait
//     takes the record of the moment of the call; one that was never recorded reads as complete.
//   - The legacy default stream waits for the blocking streams of its device and they for it.
//   - Each thread has a stack of contexts, a chosen device and a last error. Every failing runtime call
//     replaces the last error, a successful one leaves it alone, driver functions don't know it. A
//     runtime call on a thread without a context makes the chosen device's primary context, and so does
//     cudaSetDevice at once.
//   - Copies from or to memory that is not page-locked are done when the call returns. Freeing waits for
//     the device.
//   - A lost device fails every call on its context with the same code, and its streams no longer move
//     bytes.
//   - A stream that is captured keeps its work for a graph. Waiting in it for what was recorded outside, and
//     asking for or waiting for what is inside, break the capture; so do calls that CUDA calls unsafe, by the
//     rules of cudaThreadExchangeStreamCaptureMode. Event queries and whatever waits for a stream, allocates or
//     frees count as unsafe.
//   - The handle of a stream that was destroyed is the next one to be given out again.
//   - A child after fork() gets cudaErrorInitializationError for everything.
// It also notes what CUDA takes but Pinrail must not do (`misuses`), and checks the order of all accesses on a
// device (`configure`).
// What it can't show: host threads that call it are ordered by its lock, so ThreadSanitizer misses a race
// between two of them that a GPU's runtime would have let happen. There are no per-thread default streams.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

#include "core/atomic.hpp"
#include "device/backend.hpp"
#include "device/cuda/api.hpp"
#include "device/spec.hpp"
#include "fake_capture.hpp"
#include "fake_streams.hpp"

namespace pinrail::testing {

class fake_cuda {
 public:
  struct options {
    int devices = 1;
    std::uint64_t memory_bytes = std::uint64_t{256} << 20;  ///< of each device
    std::uint64_t pinned_limit_bytes = std::uint64_t{1} << 30;
    std::uint64_t misalignment_bytes = 0;  ///< allocations start that far behind a page's start
    int driver_version = CUDART_VERSION;
    std::string missing_driver_function = {};
    bool writes_words = true;    ///< CU_DEVICE_ATTRIBUTE_CAN_USE_64_BIT_STREAM_MEM_OPS
    bool copies_batches = true;  ///< has cuMemcpyBatchAsync
  };
  struct fault {
    std::string_view call;    ///< CUDA's own name of the function, or "any"
    std::uint64_t after = 0;  ///< so many matching calls succeed first
    cudaError_t code = cudaErrorUnknown;
    /// The current device is lost with that code. Once a call has said so, none of its work runs any more.
    bool sticky = false;
    int device = -1;  ///< only calls with that device current; -1: any
  };
  struct misuse {
    int device;
    std::string text;
  };
  struct resources {
    std::uint64_t device_bytes = 0;
    std::uint64_t pinned_bytes = 0;
    std::uint64_t streams = 0;
    std::uint64_t events = 0;
    int context_references = 0;
    friend bool operator==(const resources&, const resources&) = default;
  };

  explicit fake_cuda(options what);
  fake_cuda() : fake_cuda(options{}) {}
  fake_cuda(const fake_cuda&) = delete;
  fake_cuda& operator=(const fake_cuda&) = delete;
  ~fake_cuda();  // waits for all work

  [[nodiscard]] static devices::cuda_api api();

  void inject(const fault& what);
  void clear_faults(int device = -1);
  /// That no call with the device current has met.
  [[nodiscard]] bool has_faults(int device);
  void lose(int device, cudaError_t code);
  /// The process is ending: every call fails with cudaErrorCudartUnloading.
  void unload(bool yes = true);
  [[nodiscard]] bool is_unloaded();

  /// Enqueues a host function as a kernel.
  cudaError_t launch(cudaStream_t stream, std::function<void()> kernel);
  /// The same on a stream of a device, whatever is current to the thread.
  cudaError_t enqueue(int device, cudaStream_t stream, std::function<void()> kernel,
                      std::span<const emulated::access> accesses, devices::toucher what = devices::toucher::kernel);

  // ---- what a program does beside Pinrail -------------------------------------------------------------------
  cudaError_t begin_capture(cudaStream_t stream, cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal);
  cudaError_t end_capture(cudaStream_t stream, fake_graph& graph);
  cudaError_t launch_graph(const fake_graph& graph, cudaStream_t stream);
  /// cudaHostRegister and cudaHostUnregister.
  cudaError_t page_lock(void* memory, std::uint64_t size_bytes);
  cudaError_t page_unlock(void* memory);

  // ---- checks -----------------------------------------------------------------------------------------------
  /// How a device is: whether the order of accesses is checked, and how long copies take. It has nothing allocated yet.
  void configure(int device, const devices::host_device_options& how);
  /// The device's checker; null: its order is not checked.
  [[nodiscard]] std::shared_ptr<devices::order_checker> checker(int device);
  /// The stream's number for the checker.
  [[nodiscard]] std::uint32_t number_of(int device, cudaStream_t stream);
  /// The host has read `value` in a word that a stream of the device wrote.
  void learn_word(int device, const devices::completion_word& word, std::uint64_t value);
  /// What was called so far that must not be; -1: on any device.
  [[nodiscard]] std::vector<std::string> misuses(int device = -1);
  /// For who misused something on purpose.
  void forget_misuses(int device);
  [[nodiscard]] bool is_lost(int device) const { return devices_[static_cast<std::size_t>(device)]->lost.load() != 0; }
  /// For who hands out the devices of one fake: false where a device is taken already.
  [[nodiscard]] bool occupy(int device);
  /// Ends that. The device is as new: not lost, its misuses and faults forgotten.
  void retire(int device);
  /// What was made on a device and not given back.
  [[nodiscard]] std::vector<std::string> leaks(int device);

  [[nodiscard]] std::uint64_t calls(std::string_view call);  ///< "any": all of them
  /// Such calls of the runtime that failed.
  [[nodiscard]] std::uint64_t failures(std::string_view call);
  /// The device that was current in the last such call; -1: there was none.
  [[nodiscard]] int last_device(std::string_view call);
  [[nodiscard]] resources live(int device = -1);
  [[nodiscard]] bool context_exists(int device);
  /// The flags that a stream, an event or a page-locked block was made with.
  [[nodiscard]] unsigned flags_of(const void* handle);

  // What a program does with CUDA beside Pinrail, on the calling thread.
  cudaError_t set_device(int device);
  [[nodiscard]] static int current_device();
  [[nodiscard]] static bool has_context();
  static void leave_error(cudaError_t code);  ///< as a failed call of the program's own would
  [[nodiscard]] static cudaError_t last_error();

 private:
  friend struct fake_table;
  struct device_state {
    bool context = false;
    int references = 0;
    core::atomic<int> lost{0};
    std::uint64_t used_bytes = 0;
    std::shared_ptr<fake_stream> legacy;
    std::vector<marker_ptr> last;  ///< of what still ran when a sticky fault took the device
    std::shared_ptr<devices::order_checker> checker;
    bool occupied = false;
    std::array<std::uint64_t, 3> bytes_per_second{};  ///< of copies, by direction; 0: no limit
    std::uint64_t latency_ns = 0;
  };
  struct allocation {
    std::byte* base = nullptr;
    std::uint64_t size_bytes = 0;
    int device = -1;  ///< -1: page-locked host memory
    unsigned flags = 0;
    int made_on = 0;          ///< the device that was current
    bool registered = false;  ///< host memory of the program's own
  };
  struct retired_stream {
    std::shared_ptr<fake_stream> stream;
    marker_ptr end;
  };
  struct word_write {
    std::uint64_t value;
    devices::order_checker::moment covers;
  };
  struct call_record {
    std::uint64_t count = 0;
    std::uint64_t failures = 0;
    int device = -1;
  };

  cudaError_t begin(std::string_view call);
  cudaError_t bind();  // makes a context where the thread has none; the device's error if it is lost
  device_state& current();
  void await_last_work();
  void note_failure(std::string_view call);

  void note_misuse(int device, std::string text);  // under the lock
  void check_call(std::string_view call);
  void check_current(std::string_view call, int device);
  void check_host_memory(const void* memory, std::uint64_t size_bytes);
  /// cudaErrorStreamCaptureUnsupported where an unsafe call breaks a capture.
  cudaError_t unsafe_call();
  static cudaError_t invalidate(fake_capture& capture, cudaError_t code);

  cudaError_t allocate(void** memory, std::uint64_t size_bytes, int device, unsigned flags);
  cudaError_t release(void* memory, bool on_device);
  const allocation* find(const void* memory, std::uint64_t size_bytes) const;
  bool was_freed(const void* memory) const;
  void note_freed(const std::byte* start, std::uint64_t size_bytes);

  std::shared_ptr<fake_stream> stream_of(cudaStream_t handle);
  std::shared_ptr<fake_event> event_of(cudaEvent_t handle);
  void order_with_default_stream(fake_stream& stream);
  void order_after(fake_stream& stream, fake_stream& other);
  std::vector<marker_ptr> mark_all(int device);
  /// Forgets streams whose last work is done.
  void bury_retired();
  [[nodiscard]] std::uint32_t free_number(int device) const;
  void push_work(fake_stream& on, std::function<void()> work, std::vector<emulated::access> accesses,
                 devices::toucher what);

  // CUDA's functions, by its names without "cuda".
  cudaError_t GetDeviceCount(int* count);
  cudaError_t GetDeviceProperties(cudaDeviceProp* properties, int device);
  cudaError_t MemGetInfo(std::size_t* free_bytes, std::size_t* total_bytes);
  cudaError_t Malloc(void** memory, std::size_t size_bytes);
  cudaError_t Free(void* memory);
  cudaError_t HostAlloc(void** memory, std::size_t size_bytes, unsigned flags);
  cudaError_t FreeHost(void* memory);
  cudaError_t StreamCreateWithFlags(cudaStream_t* stream, unsigned flags);
  cudaError_t StreamDestroy(cudaStream_t stream);
  cudaError_t StreamSynchronize(cudaStream_t stream);
  cudaError_t StreamGetDevice(cudaStream_t stream, int* device);
  cudaError_t StreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status);
  cudaError_t EventCreateWithFlags(cudaEvent_t* event, unsigned flags);
  cudaError_t EventDestroy(cudaEvent_t event);
  cudaError_t EventRecord(cudaEvent_t event, cudaStream_t stream);
  cudaError_t StreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags);
  cudaError_t MemcpyAsync(void* to, const void* from, std::size_t size_bytes, cudaMemcpyKind kind, cudaStream_t stream);

  CUresult EventQuery(CUevent event);
  cudaError_t push_copy(void* to, const void* from, std::size_t size_bytes, cudaMemcpyKind kind, cudaStream_t stream,
                        marker_ptr& pageable_end);
  /// With the last failed index, as of CUDA 12.8.
  CUresult MemcpyBatchAsync(const CUdeviceptr* to, const CUdeviceptr* from, const std::size_t* sizes_bytes,
                            std::size_t count, const CUmemcpyAttributes* how, std::size_t* failed, CUstream stream);
  CUresult StreamWriteValue64(CUstream stream, CUdeviceptr address, std::uint64_t value, unsigned flags);

  const options options_;
  const pid_t process_;
  std::mutex mutex_;  // everything below; never held while waiting
  std::vector<std::unique_ptr<device_state>> devices_;
  std::map<const std::byte*, allocation> memory_;
  std::map<const void*, std::shared_ptr<fake_stream>> streams_;
  std::map<const void*, std::shared_ptr<fake_event>> events_;
  std::vector<retired_stream> retired_;
  std::vector<std::shared_ptr<fake_capture>> captures_;
  std::map<const std::byte*, std::uint64_t> freed_;  // sizes of what was memory once
  std::map<const void*, std::deque<word_write>> words_;
  std::uint64_t events_made_ = 0;
  std::vector<misuse> misuses_;
  std::map<std::string, call_record, std::less<>> calls_;
  std::vector<fault> faults_;
  bool unloaded_ = false;
};

}  // namespace pinrail::testing
