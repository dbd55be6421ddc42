// Page-aligned memory out of allocators that promise less.
//
// CUDA promises 256 bytes. Large allocations are aligned to pages in practice, so the extra page that makes
// sure is only asked for where one was not.
#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

namespace pinrail::devices {

/// Thread-safety: any thread. Not for hot paths: there is a lock.
class aligned_memory {
 public:
  static constexpr std::uint64_t alignment_bytes = 4096;

  /// `allocate(void**, size_bytes)` and `release(void*)` are the allocator's calls.
  template <class Allocate, class Release>
  cudaError_t allocate(std::uint64_t size_bytes, Allocate allocate, Release release, std::byte*& memory) noexcept {
    if (size_bytes == 0) return cudaErrorInvalidValue;
    void* base = nullptr;
    cudaError_t result = allocate(&base, size_bytes);
    if (result != cudaSuccess) return result;
    memory = static_cast<std::byte*>(base);
    if (misalignment_bytes(base) == 0) return cudaSuccess;

    release(base);
    result = allocate(&base, size_bytes + alignment_bytes);
    if (result != cudaSuccess) return result;
    memory = static_cast<std::byte*>(base);
    if (misalignment_bytes(base) == 0) return cudaSuccess;
    memory += alignment_bytes - misalignment_bytes(base);
    if (remember(memory, base)) return cudaSuccess;
    release(base);
    return cudaErrorMemoryAllocation;
  }

  /// What the allocator gave for `memory`; forgets it.
  void* take_base(std::byte* memory) noexcept {
    const std::scoped_lock lock(mutex_);
    const auto found = std::find_if(moved_.begin(), moved_.end(), [=](auto& m) { return m.first == memory; });
    if (found == moved_.end()) return memory;
    void* const base = found->second;
    moved_.erase(found);
    return base;
  }

 private:
  static std::uint64_t misalignment_bytes(const void* memory) noexcept {
    return reinterpret_cast<std::uintptr_t>(memory) % alignment_bytes;
  }

  bool remember(std::byte* memory, void* base) noexcept {
    try {
      const std::scoped_lock lock(mutex_);
      moved_.emplace_back(memory, base);
      return true;
    } catch (const std::bad_alloc&) {
      return false;
    }
  }

  std::mutex mutex_;
  std::vector<std::pair<std::byte*, void*>> moved_;  // aligned address, what the allocator gave
};

}  // namespace pinrail::devices
