// Owners of what the parts use of CUDA. Errors are std::runtime_error with the call and CUDA's text.
#pragma once

#include <cuda_runtime.h>
#include <fmt/format.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <utility>

namespace gpu {

inline void check(cudaError_t outcome, const char* what) {
  if (outcome != cudaSuccess) throw std::runtime_error(fmt::format("{}: {}", what, cudaGetErrorString(outcome)));
}

enum class memory_kind : std::uint8_t { device, pinned };

template <memory_kind kind>
class memory {
 public:
  memory() = default;
  explicit memory(std::uint64_t size_bytes) : size_bytes_(size_bytes) {
    void* made = nullptr;
    if constexpr (kind == memory_kind::device) {
      check(cudaMalloc(&made, size_bytes), "cudaMalloc");
    } else {
      check(cudaMallocHost(&made, size_bytes), "cudaMallocHost");
    }
    data_ = static_cast<std::byte*>(made);
  }
  memory(memory&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_bytes_(other.size_bytes_) {}
  memory& operator=(memory&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_bytes_, other.size_bytes_);
    return *this;
  }
  ~memory() {
    if (data_ == nullptr) return;
    if constexpr (kind == memory_kind::device) {
      cudaFree(data_);
    } else {
      cudaFreeHost(data_);
    }
  }
  [[nodiscard]] std::byte* get() const { return data_; }
  [[nodiscard]] std::uint64_t size_bytes() const { return size_bytes_; }

 private:
  std::byte* data_ = nullptr;
  std::uint64_t size_bytes_ = 0;
};
using device_memory = memory<memory_kind::device>;
using pinned_memory = memory<memory_kind::pinned>;

class stream {
 public:
  stream() { check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate"); }
  stream(const stream&) = delete;
  stream& operator=(const stream&) = delete;
  ~stream() { cudaStreamDestroy(stream_); }
  operator cudaStream_t() const { return stream_; }  // NOLINT
  void synchronize() const { check(cudaStreamSynchronize(stream_), "cudaStreamSynchronize"); }

 private:
  cudaStream_t stream_ = nullptr;
};

class event {
 public:
  event() { check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "cudaEventCreate"); }
  event(const event&) = delete;
  event& operator=(const event&) = delete;
  ~event() { cudaEventDestroy(event_); }
  operator cudaEvent_t() const { return event_; }  // NOLINT
  void record(cudaStream_t on) const { check(cudaEventRecord(event_, on), "cudaEventRecord"); }
  void hold(cudaStream_t waits) const { check(cudaStreamWaitEvent(waits, event_), "cudaStreamWaitEvent"); }

 private:
  cudaEvent_t event_ = nullptr;
};

/// Seconds since it was made.
class stopwatch {
 public:
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

}  // namespace gpu
