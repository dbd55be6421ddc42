#include <cuda.h>

#include <algorithm>
#include <vector>

#include "cuda.hpp"
#include "kernels.hpp"
#include "parts.hpp"

namespace gpu {
namespace {

using namespace pinrail::literals;

/// A function of the driver; the program is not linked to it.
template <class Function>
Function driver_function(const char* name) {
  void* found = nullptr;
  cudaDriverEntryPointQueryResult why = cudaDriverEntryPointSymbolNotFound;
  check(cudaGetDriverEntryPointByVersion(name, &found, 12000, cudaEnableDefault, &why), name);
  if (found == nullptr) throw std::runtime_error(fmt::format("the driver has no {}", name));
  return reinterpret_cast<Function>(found);
}

void check_driver(CUresult outcome, const char* what) {
  if (outcome != CUDA_SUCCESS) throw std::runtime_error(fmt::format("{}: error {}", what, static_cast<int>(outcome)));
}

/// Memory is allocated before any kernel is held: freeing waits for the device.
struct buffers {
  pinned_memory word{64};
  pinned_memory host{64_MiB};
  device_memory device{64_MiB};
};

/// A kernel that runs until the scope ends, or none.
class busy_device {
 public:
  explicit busy_device(bool busy) : word_(64) {
    auto* const word = reinterpret_cast<volatile unsigned*>(word_.get());
    *word = 0;
    if (busy) enqueue_hold(stream_, word);
  }
  busy_device(const busy_device&) = delete;
  busy_device& operator=(const busy_device&) = delete;
  ~busy_device() {
    *reinterpret_cast<volatile unsigned*>(word_.get()) = 1;
    cudaStreamSynchronize(stream_);
  }
  [[nodiscard]] bool still_running() const { return cudaStreamQuery(stream_) == cudaErrorNotReady; }

 private:
  pinned_memory word_;
  stream stream_;
};

class table {
 public:
  explicit table(bool busy) : busy_(busy) {}

  /// The CPU time of one call: the median of many.
  template <class Call>
  void time(const char* what, std::uint64_t size_bytes, int times, Call&& call) {
    std::vector<double> all;
    for (int i = 0; i < times; ++i) {
      const stopwatch watch;
      call(i);
      all.push_back(watch.seconds());
    }
    add(what, size_bytes, std::move(all));
  }
  void add(const char* what, std::uint64_t size_bytes, std::vector<double> all) {
    std::sort(all.begin(), all.end());
    rows_.push_back({{"call", what},
                     {"size_bytes", size_bytes},
                     {"kernel_running", busy_},
                     {"median_us", 1e6 * all[all.size() / 2]},
                     {"p99_us", 1e6 * all[all.size() * 99 / 100]}});
  }
  [[nodiscard]] nlohmann::json rows() { return std::move(rows_); }

 private:
  bool busy_;
  nlohmann::json rows_;
};

void events(table& t) {
  const stream on;
  const stream other;
  std::vector<event> ring(256);
  t.time("event record", 0, 2000, [&](int i) { ring[i % ring.size()].record(on); });
  on.synchronize();
  t.time("event query, complete", 0, 2000, [&](int i) { (void)cudaEventQuery(ring[i % ring.size()]); });
  t.time("stream wait for an event, complete", 0, 2000, [&](int i) { ring[i % ring.size()].hold(other); });
  t.time("record on one stream, wait on another", 0, 500, [&](int i) {
    ring[i % ring.size()].record(on);
    ring[i % ring.size()].hold(other);
  });
  on.synchronize();
  other.synchronize();
}

/// A completion word: the stream writes a value to page-locked memory, the CPU reads it.
void completion_words(table& t, const buffers& memory) {
  const auto write_value =
      driver_function<CUresult (*)(CUstream, CUdeviceptr, cuuint32_t, unsigned)>("cuStreamWriteValue32");
  const stream on;
  auto* const seen = reinterpret_cast<volatile std::uint32_t*>(memory.word.get());
  *seen = 0;
  const auto at = reinterpret_cast<CUdeviceptr>(memory.word.get());
  std::uint32_t value = 0;
  t.time("stream write of a value", 0, 2000,
         [&](int) { check_driver(write_value(on, at, ++value, 0), "cuStreamWriteValue32"); });
  on.synchronize();
  t.time("read of a completion word", 0, 2000, [&](int) { (void)*seen; });
  t.time("write of a value until the CPU sees it", 0, 500, [&](int) {
    check_driver(write_value(on, at, ++value, 0), "cuStreamWriteValue32");
    while (*seen != value) {
    }
  });
  const event done;
  t.time("event until a query sees it", 0, 500, [&](int) {
    done.record(on);
    while (cudaEventQuery(done) == cudaErrorNotReady) {
    }
  });
}

/// The same copies one by one and as a batch, until they are done.
void batch_copies(table& t, const buffers& memory) {
  constexpr std::size_t copies = 64;
  const stream on;
  for (const std::uint64_t size : {std::uint64_t{4_KiB}, std::uint64_t{64_KiB}, std::uint64_t{1_MiB}}) {
    t.time("64 copies, one by one", size, 50, [&](int) {
      for (std::size_t i = 0; i < copies; ++i)
        check(cudaMemcpyAsync(memory.device.get() + i * size, memory.host.get() + i * size, size,
                              cudaMemcpyHostToDevice, on),
              "copy");
      on.synchronize();
    });
    std::vector<void*> to;
    std::vector<const void*> from;
    std::vector<std::size_t> sizes(copies, size);
    for (std::size_t i = 0; i < copies; ++i) {
      to.push_back(memory.device.get() + i * size);
      from.push_back(memory.host.get() + i * size);
    }
    cudaMemcpyAttributes how{};
    how.srcAccessOrder = cudaMemcpySrcAccessOrderStream;
    std::size_t first = 0;
    t.time("64 copies, as a batch", size, 50, [&](int) {
#if CUDART_VERSION >= 13000
      check(cudaMemcpyBatchAsync(to.data(), from.data(), sizes.data(), copies, &how, &first, 1, on), "batch");
#else
      std::size_t failed = 0;
      check(cudaMemcpyBatchAsync(to.data(), const_cast<void**>(from.data()), sizes.data(), copies, &how, &first, 1,
                                      &failed, on),
                 "batch");
#endif
      on.synchronize();
    });
  }
}

/// Reserve, create, map, set access, unmap: of memory that nothing else uses.
void virtual_memory(table& t, int ordinal) {
  const auto granularity =
      driver_function<CUresult (*)(std::size_t*, const CUmemAllocationProp*, CUmemAllocationGranularity_flags)>(
          "cuMemGetAllocationGranularity");
  const auto reserve =
      driver_function<CUresult (*)(CUdeviceptr*, std::size_t, std::size_t, CUdeviceptr, unsigned long long)>(
          "cuMemAddressReserve");
  const auto create = driver_function<CUresult (*)(CUmemGenericAllocationHandle*, std::size_t,
                                                   const CUmemAllocationProp*, unsigned long long)>("cuMemCreate");
  const auto map = driver_function<CUresult (*)(CUdeviceptr, std::size_t, std::size_t, CUmemGenericAllocationHandle,
                                                unsigned long long)>("cuMemMap");
  const auto set_access =
      driver_function<CUresult (*)(CUdeviceptr, std::size_t, const CUmemAccessDesc*, std::size_t)>("cuMemSetAccess");
  const auto unmap = driver_function<CUresult (*)(CUdeviceptr, std::size_t)>("cuMemUnmap");
  const auto release = driver_function<CUresult (*)(CUmemGenericAllocationHandle)>("cuMemRelease");
  const auto free = driver_function<CUresult (*)(CUdeviceptr, std::size_t)>("cuMemAddressFree");

  CUmemAllocationProp kind{};
  kind.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  kind.location = {CU_MEM_LOCATION_TYPE_DEVICE, {ordinal}};
  CUmemAccessDesc access{};
  access.location = kind.location;
  access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
  std::size_t smallest = 0;
  check_driver(granularity(&smallest, &kind, CU_MEM_ALLOC_GRANULARITY_MINIMUM), "cuMemGetAllocationGranularity");

  constexpr int times = 20;
  for (std::uint64_t size = std::max<std::uint64_t>(2_MiB, smallest); size <= 512_MiB; size *= 4) {
    std::vector<double> reserving, creating, mapping, allowing, unmapping, releasing, freeing;
    for (int i = 0; i < times; ++i) {
      CUdeviceptr at = 0;
      CUmemGenericAllocationHandle handle = 0;
      const auto timed = [](std::vector<double>& into, const char* what, auto&& call) {
        const stopwatch watch;
        const CUresult outcome = call();
        into.push_back(watch.seconds());
        check_driver(outcome, what);
      };
      timed(reserving, "cuMemAddressReserve", [&] { return reserve(&at, size, 0, 0, 0); });
      timed(creating, "cuMemCreate", [&] { return create(&handle, size, &kind, 0); });
      timed(mapping, "cuMemMap", [&] { return map(at, size, 0, handle, 0); });
      timed(allowing, "cuMemSetAccess", [&] { return set_access(at, size, &access, 1); });
      timed(unmapping, "cuMemUnmap", [&] { return unmap(at, size); });
      timed(releasing, "cuMemRelease", [&] { return release(handle); });
      timed(freeing, "cuMemAddressFree", [&] { return free(at, size); });
    }
    t.add("virtual memory: reserve", size, reserving);
    t.add("virtual memory: create", size, creating);
    t.add("virtual memory: map", size, mapping);
    t.add("virtual memory: set access", size, allowing);
    t.add("virtual memory: unmap", size, unmapping);
    t.add("virtual memory: release", size, releasing);
    t.add("virtual memory: free", size, freeing);
  }
}

}  // namespace

nlohmann::json costs(const settings& s) {
  nlohmann::json rows = nlohmann::json::array();
  const buffers memory;
  const auto measure = [&](bool busy, auto&& calls) {
    table t(busy);
    const busy_device kernel(busy);
    calls(t);
    const bool ended = busy && !kernel.still_running();  // a call has waited for it, or all took too long
    for (auto& row : t.rows()) {
      row["kernel_ended_meanwhile"] = ended;
      rows.push_back(std::move(row));
    }
  };
  for (const bool busy : {false, true}) {
    measure(busy, [](table& t) { events(t); });
    measure(busy, [&](table& t) { completion_words(t, memory); });
    measure(busy, [&](table& t) { batch_copies(t, memory); });
    measure(busy, [&](table& t) { virtual_memory(t, s.ordinal); });
  }
  return rows;
}

}  // namespace gpu
