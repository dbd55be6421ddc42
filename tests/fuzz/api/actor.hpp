// One thread of a program: the handles that it has, and how it makes a call.
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <mutex>
#include <variant>
#include <vector>

#include "fuzz/api/world.hpp"

namespace pinrail::fuzz {

struct held_use {
  use handle;
  tested_block* block = nullptr;
};

struct live_pass {
  forward_pass handle;
  tested_model* model = nullptr;
  std::size_t stream = 0;
  std::vector<block_index> order;  ///< what `walk` uses
  std::deque<held_use> uses;       ///< end before the pass
};

/// What a guard found on the device when it began: it stays there.
struct kept_blocks {
  runtime target;
  std::vector<block_index> resident;
};

struct held_guard {
  residency_guard handle;
  kept_blocks kept;
};

struct held_blocks {
  block_guard handle;
  kept_blocks kept;
};

struct held_reservation {
  reservation handle;
  tested_model* model = nullptr;
  std::uint64_t id = 0;
};

struct held_guest {
  guest_guard handle;
  tested_model* model = nullptr;
};

struct held_bytes {
  byte_reservation handle;
  std::uint32_t version = 0;  ///< of what was written to its memory
};

/// Handles may be used from any thread (rule 15): what one thread leaves here, either takes.
class mailbox {
 public:
  using item = std::variant<held_guard, held_blocks, held_reservation, held_guest, held_bytes>;

  void put(item what) {
    const std::lock_guard lock(mutex_);
    items_.push_back(std::move(what));
  }
  [[nodiscard]] std::optional<item> take() {
    const std::lock_guard lock(mutex_);
    if (items_.empty()) return std::nullopt;
    std::optional<item> first(std::move(items_.front()));
    items_.pop_front();
    return first;
  }

 private:
  std::mutex mutex_;
  std::deque<item> items_;
};

class actor {
 public:
  actor(world& shared, mailbox& box) : world_(shared), box_(box) {}
  actor(const actor&) = delete;
  actor& operator=(const actor&) = delete;
  ~actor();

  void run(const call& c);
  void end_uses();
  /// Takes what is left in the mailbox, to end it.
  void empty_mailbox();

 private:
  static constexpr std::size_t most_handles = 6;  ///< of one kind; the oldest ends first

  void dispatch(const call& c);
  [[nodiscard]] runtime handle_of(tested_model& m, bool former) const;
  [[nodiscard]] runtime some_handle(const call& c) const { return handle_of(world_.model(c.a), c.b & 0x80); }
  [[nodiscard]] live_pass* pass_of(const call& c);

  void open_pass(const call& c);
  void end_pass(live_pass& p);
  void begin_use(live_pass& p, block_index block, bool write, bool hold);
  void end_use(live_pass& p, std::size_t which);
  void walk(live_pass& p, const call& c);

  void keep(const call& c);
  void protect(const call& c);
  template <class Held>
  void end_guard(Held& g);
  void expect_kept(const kept_blocks& kept);
  void reserve(const call& c);
  void release(held_reservation& r);
  void release_by_runtime(const call& c);
  void enter_guest(const call& c);
  void leave_guest(held_guest& g);
  void reserve_bytes(const call& c);
  void return_bytes(held_bytes& b);
  void set_budget(const call& c);
  void hand_over(const call& c);
  void receive(mailbox::item what);
  void look(const call& c);
  void inject_fault(const call& c);

  world& world_;
  mailbox& box_;
  std::list<live_pass> passes_;
  std::deque<held_guard> guards_;
  std::deque<held_blocks> block_guards_;
  std::deque<held_reservation> reservations_;
  std::deque<held_guest> guests_;
  std::deque<held_bytes> bytes_;
};

}  // namespace pinrail::fuzz
