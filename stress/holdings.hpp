// What a thread holds from one step to the next: passes with uses, guards, reservations, bytes. Each checks what it
// is there for when it ends, and may end on any thread.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "block_access.hpp"
#include "sightings.hpp"
#include "world.hpp"

namespace stress {

/// A use with a check of the bytes at its beginning and at its end. Not movable: it lives on the heap.
class held_use {
 public:
  /// `who` is for messages. Enqueues the first check.
  held_use(world& w, runtime_slot& slot, pinrail::stream_ref stream, pinrail::use use, block_access access,
           std::string who);
  held_use(const held_use&) = delete;
  held_use& operator=(const held_use&) = delete;
  /// Enqueues the last check, and ends the use.
  ~held_use();

  [[nodiscard]] pinrail::use& use() noexcept { return use_; }
  /// Enqueues a kernel that writes the next version. After mark_dirty().
  void write();
  void check(const char* when);

 private:
  world& world_;
  runtime_slot& slot_;
  pinrail::stream_ref stream_;
  std::string who_;
  block_access access_;  ///< ends after the use
  pinrail::use use_;
};

/// A forward pass, with the uses that are open in it.
struct open_pass {
  world& where;
  runtime_slot& slot;
  std::uint32_t stream;
  pinrail::order::kind order;
  std::vector<pinrail::block_index> list;
  std::uint64_t deadline_ns;
  pinrail::forward_pass pass;
  std::vector<std::unique_ptr<held_use>> uses = {};
  std::uint64_t place = 0;

  ~open_pass() { uses.clear(); }
  [[nodiscard]] pinrail::block_index next_block(dice& d);
};

/// keep_resident, or protect_blocks.
struct protection {
  world& where;
  runtime_slot& slot;
  pinrail::runtime handle;
  moderation::leave leave;
  std::vector<pinrail::block_index> blocks;
  std::variant<pinrail::residency_guard, pinrail::block_guard> guard;
  guarded_sightings seen = {};

  ~protection() { look(); }
  void look();
};

struct reserved_share {
  world& where;
  runtime_slot& slot;
  pinrail::runtime handle;
  moderation::leave leave;
  pinrail::reservation reservation;
  bool primary;
  bool whole;  ///< the share is no less than the footprint
  reserved_sightings seen = {};

  void look();
};

struct guest_scope {
  world& where;
  runtime_slot& slot;
  pinrail::guest_guard guard;
};

struct taken_bytes {
  world& where;
  std::uint32_t stream;
  moderation::leave leave;
  pinrail::byte_reservation bytes;
  std::uint64_t owner;

  /// Writes the memory, if there is some.
  void begin();
  ~taken_bytes();

 private:
  [[nodiscard]] std::span<std::byte> memory() const noexcept;
};

/// Destroyed in any order, by any thread.
using holding = std::variant<std::unique_ptr<open_pass>, std::unique_ptr<protection>, std::unique_ptr<reserved_share>,
                             std::unique_ptr<guest_scope>, std::unique_ptr<taken_bytes>>;

/// The model it is about; null for bytes.
[[nodiscard]] runtime_slot* slot_of(const holding& h) noexcept;

/// Where threads leave what others are to end.
class lobby {
 public:
  /// False if it is full; `h` is then unchanged.
  [[nodiscard]] bool leave(holding& h);
  [[nodiscard]] std::optional<holding> take(dice& d);

 private:
  static constexpr std::size_t capacity = 12;
  std::mutex mutex_;
  std::vector<holding> left_;
};

}  // namespace stress
