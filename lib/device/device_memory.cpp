#include "device/device_memory.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <new>
#include <utility>

namespace pinrail::devices {
namespace {

std::uintptr_t address(const void* data) noexcept { return reinterpret_cast<std::uintptr_t>(data); }

/// Null where the operating system refuses.
memory_owner map_arena(std::uint64_t size_bytes, bool accessible) {
  const int protection = accessible ? PROT_READ | PROT_WRITE : PROT_NONE;
  void* const memory = ::mmap(nullptr, size_bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  return {static_cast<std::byte*>(memory), [size_bytes](std::byte* start) { ::munmap(start, size_bytes); }};
}

/// Heap memory, so that AddressSanitizer guards its ends. Null where there is none.
memory_owner allocate_pages(std::uint64_t size_bytes) {
  constexpr std::uint64_t page_bytes = 4096;
  if (size_bytes > std::numeric_limits<std::int64_t>::max()) return nullptr;
  const std::uint64_t rounded = (size_bytes + page_bytes - 1) / page_bytes * page_bytes;
  auto* const memory = static_cast<std::byte*>(std::aligned_alloc(page_bytes, rounded));
  if (memory == nullptr) return nullptr;
  return {memory, std::free};
}

failure refused(errc code, std::uint64_t needed_bytes, std::uint64_t available_bytes = 0) noexcept {
  return {.code = code, .needed_bytes = needed_bytes, .available_bytes = available_bytes};
}

}  // namespace

void memory_table::add(memory_owner memory, std::uint64_t size_bytes) {
  const std::uintptr_t start = address(memory.get());
  blocks_.emplace(start, block{std::move(memory), size_bytes});
  total_bytes_ += size_bytes;
}

memory_owner memory_table::remove(const void* start) noexcept {
  const auto found = blocks_.find(address(start));
  if (found == blocks_.end()) return nullptr;
  memory_owner memory = std::move(found->second.memory);
  total_bytes_ -= found->second.size_bytes;
  blocks_.erase(found);
  return memory;
}

memory_owner memory_table::find(const void* data, std::uint64_t size_bytes) const noexcept {
  auto next = blocks_.upper_bound(address(data));
  if (next == blocks_.begin()) return nullptr;
  const auto& [start, candidate] = *--next;
  const std::uint64_t offset_bytes = address(data) - start;
  if (offset_bytes > candidate.size_bytes || size_bytes > candidate.size_bytes - offset_bytes) return nullptr;
  return candidate.memory;
}

result<std::byte*> device_memory::allocate_arena(std::uint64_t size_bytes) noexcept {
  const std::uint64_t left_bytes = vram_bytes_ - arena_bytes();
  if (size_bytes == 0) return refused(errc::device_error, 0);
  if (size_bytes > left_bytes) return refused(errc::out_of_memory, size_bytes, left_bytes);
  try {
    memory_owner memory = map_arena(size_bytes, kind_ == arena_kind::bytes);
    if (memory == nullptr) return refused(errc::out_of_memory, size_bytes);
    std::byte* const start = memory.get();
    arenas_.add(std::move(memory), size_bytes);
    return start;
  } catch (const std::bad_alloc&) {
    return refused(errc::out_of_memory, size_bytes);
  }
}

result<std::byte*> device_memory::allocate_pinned(std::uint64_t size_bytes) noexcept {
  if (size_bytes == 0) return refused(errc::device_error, 0);
  try {
    memory_owner memory = allocate_pages(size_bytes);
    if (memory == nullptr) return refused(errc::out_of_memory, size_bytes);
    std::byte* const start = memory.get();
    pinned_.add(std::move(memory), size_bytes);
    return start;
  } catch (const std::bad_alloc&) {
    return refused(errc::out_of_memory, size_bytes);
  }
}

bool device_memory::can_copy(direction way, const void* to, const void* from, std::uint64_t size_bytes) const noexcept {
  if (to == nullptr || from == nullptr) return false;
  switch (way) {
    case direction::host_to_device:
      return in_arena(to, size_bytes);
    case direction::device_to_host:
      return in_arena(from, size_bytes);
    case direction::device_to_device:
      break;
  }
  const std::uintptr_t low = std::min(address(to), address(from));
  const std::uintptr_t high = std::max(address(to), address(from));
  return in_arena(to, size_bytes) && in_arena(from, size_bytes) && high - low >= size_bytes;
}

}  // namespace pinrail::devices
