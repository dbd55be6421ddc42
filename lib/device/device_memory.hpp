// The memory of a device made of host memory: its arenas and its page-locked blocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>

#include "device/backend.hpp"

namespace pinrail::devices {

/// A shared owner, so that work in flight can keep memory alive after it was freed.
using memory_owner = std::shared_ptr<std::byte>;

/// Blocks of memory by address. Not thread-safe.
class memory_table {
 public:
  void add(memory_owner memory, std::uint64_t size_bytes);
  /// Takes the block that starts at `start` out; null if there is none.
  memory_owner remove(const void* start) noexcept;
  /// The owner of the one block that holds the whole range; null if there is none.
  [[nodiscard]] memory_owner find(const void* data, std::uint64_t size_bytes) const noexcept;
  [[nodiscard]] std::uint64_t total_bytes() const noexcept { return total_bytes_; }

 private:
  struct block {
    memory_owner memory;
    std::uint64_t size_bytes;
  };
  std::map<std::uintptr_t, block> blocks_;
  std::uint64_t total_bytes_ = 0;
};

/// Not thread-safe.
class device_memory {
 public:
  enum class arena_kind : std::uint8_t {
    bytes,      ///< costs memory where it is touched
    addresses,  ///< must never be touched
  };

  device_memory(std::uint64_t vram_bytes, arena_kind kind) noexcept : vram_bytes_(vram_bytes), kind_(kind) {}

  /// `out_of_memory` with the bytes left when all arenas together would exceed the device's memory.
  [[nodiscard]] result<std::byte*> allocate_arena(std::uint64_t size_bytes) noexcept;
  [[nodiscard]] result<std::byte*> allocate_pinned(std::uint64_t size_bytes) noexcept;
  /// The memory goes with its last owner.
  memory_owner remove_arena(const std::byte* arena) noexcept { return arenas_.remove(arena); }
  memory_owner remove_pinned(const std::byte* memory) noexcept { return pinned_.remove(memory); }

  [[nodiscard]] bool in_arena(const void* data, std::uint64_t size_bytes) const noexcept {
    return arenas_.find(data, size_bytes) != nullptr;
  }
  /// Null for host memory that is not page-locked.
  [[nodiscard]] memory_owner pinned_owner(const void* data, std::uint64_t size_bytes) const noexcept {
    return pinned_.find(data, size_bytes);
  }
  /// The device side lies in an arena, the host side is not null, and device ranges do not overlap.
  [[nodiscard]] bool can_copy(direction way, const void* to, const void* from, std::uint64_t size_bytes) const noexcept;

  [[nodiscard]] std::uint64_t vram_bytes() const noexcept { return vram_bytes_; }
  [[nodiscard]] std::uint64_t arena_bytes() const noexcept { return arenas_.total_bytes(); }
  [[nodiscard]] std::uint64_t pinned_bytes() const noexcept { return pinned_.total_bytes(); }

 private:
  std::uint64_t vram_bytes_;
  arena_kind kind_;
  memory_table arenas_;
  memory_table pinned_;
};

}  // namespace pinrail::devices
