// The reservation table: who was granted how many pages, with epochs; and the runtime words that follow it.
//
//   C, ledger word            granted pages:24 | operation:8 | sequence:32
//   T[i], reservation entry   epoch:28 | share pages:21 | kind:3 | guests:12      one per holder
//   R[i], runtime word        see runtime_word.hpp
//
// Every change (reserve, replace, release, guest in, guest out, bytes) is one compare-exchange on C: it checks
// the sum of all shares, changes it, and names the operation, which holds what T[i] becomes. That step is where
// the change takes effect. Then T[i] and R[i] follow; whoever comes next finishes that first, so a thread stopped
// in between stops no one.
//
// Invariants:
//   T1  The sum of all shares never exceeds the capacity; a replaced reservation never counts twice.
//   T2  The epoch of T[i] grows by one with each change of T[i]; so a handle {i, epoch} is spent exactly once,
//       and a stale one finds another epoch.
//   T3  When a change returns, T[i] and R[i] show it, or a later one.
//   T4  While C names an operation, its record is not written.
//   T5  What a change decides on is one state of the table.
//   T6  What one read has shown, every later read shows too: who reads C makes T and R follow first, who reads T
//       makes R follow.
//
// Epochs and sequence numbers wrap after 2^28 changes of one entry and 2^32 of the table; a thread would have to
// sleep through exactly that many to be fooled.
//
// Progress: lock-free, as long as fewer than `most_operations` - 1 threads are stopped inside a change. An attempt is
// repeated only when another change succeeded in between; a read repeats a step only while guards come and go.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "core/atomic.hpp"
#include "core/runtime_word.hpp"

namespace pinrail::core {

enum class holder : std::uint8_t { none, primary, secondary, guest, bytes, withheld };

/// A value of T[i].
struct reservation {
  std::uint64_t share_pages = 0;
  holder kind = holder::none;
  std::uint32_t guests = 0;  ///< as_guest scopes alive
  std::uint32_t epoch = 0;

  static constexpr std::uint32_t epoch_mask = (1u << 28) - 1;
  static constexpr std::uint32_t max_guests = (1u << 12) - 1;

  [[nodiscard]] static constexpr reservation unpack(std::uint64_t packed) noexcept {
    return {.share_pages = packed >> 15 & 0x1fffff,
            .kind = static_cast<holder>(packed >> 12 & 7),
            .guests = static_cast<std::uint32_t>(packed & max_guests),
            .epoch = static_cast<std::uint32_t>(packed >> 36)};
  }
  [[nodiscard]] constexpr std::uint64_t pack() const noexcept {
    return std::uint64_t{epoch} << 36 | share_pages << 15 | static_cast<std::uint64_t>(kind) << 12 | guests;
  }
  /// Reserved runtimes and guests stay within their share; others use what is free.
  [[nodiscard]] constexpr bool confined() const noexcept {
    return kind == holder::primary || kind == holder::secondary || kind == holder::guest;
  }
  [[nodiscard]] constexpr bool reserved() const noexcept {
    return kind == holder::primary || kind == holder::secondary;
  }
  friend bool operator==(const reservation&, const reservation&) = default;
};

enum class verdict : std::uint8_t {
  granted,
  unchanged,  ///< nothing to do: already released, or a stale handle
  shortage,   ///< needed_pages were not free
  conflict,   ///< a guest can't be reserved, a reserved runtime can't be a guest
  limit,      ///< too many guest scopes
};

struct ruling {
  verdict what = verdict::granted;
  reservation now;                 ///< the entry after the change, or as it was seen
  std::uint64_t needed_pages = 0;  ///< for shortage
  std::uint64_t free_pages = 0;    ///< for shortage: capacity minus the other shares
};

/// `most_operations`: changes that may be under way at once, and the last one, which the ledger goes on naming.
template <class A, std::uint32_t most_operations = 255>
class reservation_table {
 public:
  reservation_table(std::uint32_t entries, std::uint64_t capacity_pages)
      : capacity_(capacity_pages),
        entries_(std::make_unique<entry[]>(entries)),
        records_(std::make_unique<record[]>(most_operations + 1)) {
    records_[no_operation].busy.store(1, order::relaxed);
  }

  [[nodiscard]] std::uint64_t capacity_pages() const noexcept { return capacity_; }
  [[nodiscard]] std::uint64_t granted_pages() const noexcept { return ledger::granted(version()); }
  /// Differs after every change.
  [[nodiscard]] std::uint64_t version() const noexcept {
    const std::uint64_t c = ledger_.load(order::read_ledger);  // (13)
    if constexpr (!is_broken<A>(mutant::reads_show_nothing)) finish(c);
    return c;
  }
  [[nodiscard]] reservation read(std::uint32_t index) const noexcept {
    const reservation now = reservation::unpack(entries_[index].value.load(order::read_entry));  // (15)
    if constexpr (!is_broken<A>(mutant::reads_show_nothing)) show_rules(index, now);
    return now;
  }
  /// The shares of all holders but one, as of one moment.
  [[nodiscard]] std::uint64_t granted_to_others(std::uint32_t index) noexcept {
    const settled_entry e = settled(index);
    return ledger::granted(e.ledger) - e.now.share_pages;
  }
  [[nodiscard]] runtime_word<A>& rules(std::uint32_t index) noexcept { return entries_[index].rules; }
  [[nodiscard]] const runtime_word<A>& rules(std::uint32_t index) const noexcept { return entries_[index].rules; }

  /// Reserves between `least` and `most` pages (as many as are free), in the place of what the holder had.
  [[nodiscard]] ruling reserve(std::uint32_t index, holder kind, std::uint64_t least, std::uint64_t most) noexcept {
    return change(index, [&](const reservation& now, std::uint64_t free_pages) -> ruling {
      if (now.kind == holder::guest) return {.what = verdict::conflict, .now = now};
      if (free_pages < least) return shortage(now, least, free_pages);
      return grant(now, kind, free_pages < most ? free_pages : most, 0);
    });
  }

  /// Adds to the share of a holder of bytes, which may have had none; all of it or nothing.
  [[nodiscard]] ruling grow(std::uint32_t index, std::uint64_t pages) noexcept {
    return change(index, [pages](const reservation& now, std::uint64_t free_pages) -> ruling {
      if (free_pages - now.share_pages < pages) return shortage(now, pages, free_pages - now.share_pages);
      return grant(now, holder::bytes, now.share_pages + pages, 0);
    });
  }
  /// Takes from it what it has grown by.
  void shrink(std::uint32_t index, std::uint64_t pages) noexcept {
    (void)change(index, [pages](const reservation& now, std::uint64_t) -> ruling {
      return grant(now, holder::bytes, now.share_pages - pages, 0);
    });
  }

  /// Ends a reservation of any epoch.
  ruling release(std::uint32_t index) noexcept {
    return change(index, [](const reservation& now, std::uint64_t) -> ruling {
      if (now.kind == holder::none || now.kind == holder::guest) return {.what = verdict::unchanged, .now = now};
      return grant(now, holder::none, 0, 0);
    });
  }
  /// Ends the reservation that has this epoch; a stale handle changes nothing.
  ruling release(std::uint32_t index, std::uint32_t epoch) noexcept {
    return change(index, [epoch](const reservation& now, std::uint64_t) -> ruling {
      const bool current = is_broken<A>(mutant::release_ignores_epoch) || now.epoch == epoch;
      if (!current || !(now.reserved() || now.kind == holder::bytes)) return {.what = verdict::unchanged, .now = now};
      return grant(now, holder::none, 0, 0);
    });
  }

  /// Lets a guest in: the first scope is granted between `least` and `most` pages, later ones share them.
  [[nodiscard]] ruling enter_guest(std::uint32_t index, std::uint64_t least, std::uint64_t most) noexcept {
    return change(index, [&](const reservation& now, std::uint64_t free_pages) -> ruling {
      if (now.reserved()) return {.what = verdict::conflict, .now = now};
      if (now.guests == reservation::max_guests) return {.what = verdict::limit, .now = now};
      if (now.guests > 0) return grant(now, holder::guest, now.share_pages, now.guests + 1);
      if (free_pages < least) return shortage(now, least, free_pages);
      return grant(now, holder::guest, free_pages < most ? free_pages : most, 1);
    });
  }
  /// Ends one scope. `now.kind` is none in the answer if it was the last.
  ruling leave_guest(std::uint32_t index) noexcept {
    return change(index, [](const reservation& now, std::uint64_t) -> ruling {
      if (now.guests == 0) return {.what = verdict::unchanged, .now = now};
      if (now.guests > 1) return grant(now, holder::guest, now.share_pages, now.guests - 1);
      return grant(now, holder::none, 0, 0);
    });
  }

 private:
  static_assert(most_operations < 256, "the ledger word has eight bits for the operation");
  static constexpr std::uint32_t no_operation = 0;

  struct ledger {
    [[nodiscard]] static std::uint64_t granted(std::uint64_t c) noexcept { return c >> 40; }
    [[nodiscard]] static std::uint32_t operation(std::uint64_t c) noexcept {
      return static_cast<std::uint32_t>(c >> 32 & 0xff);
    }
    [[nodiscard]] static std::uint64_t next(std::uint64_t c, std::uint64_t granted, std::uint32_t operation) noexcept {
      return granted << 40 | std::uint64_t{operation} << 32 | ((c + 1) & 0xffffffff);
    }
  };
  struct entry {
    typename A::template atomic<std::uint64_t> value{0};
    runtime_word<A> rules;
  };
  /// What an operation does: T[index] becomes `next`.
  struct record {
    typename A::template atomic<std::uint32_t> busy{0};
    typename A::template atomic<std::uint32_t> index{0};
    typename A::template atomic<std::uint64_t> next{0};
  };

  [[nodiscard]] static ruling grant(const reservation& now, holder kind, std::uint64_t share, std::uint32_t guests) {
    return {
        .what = verdict::granted,
        .now = {
            .share_pages = share, .kind = kind, .guests = guests, .epoch = (now.epoch + 1) & reservation::epoch_mask}};
  }
  [[nodiscard]] static ruling shortage(const reservation& now, std::uint64_t needed, std::uint64_t free_pages) {
    return {.what = verdict::shortage, .now = now, .needed_pages = needed, .free_pages = free_pages};
  }

  struct settled_entry {
    std::uint64_t ledger;
    reservation now;
  };
  /// An entry and the ledger that it belongs to.
  [[nodiscard]] settled_entry settled(std::uint32_t index) noexcept {
    for (;;) {
      const std::uint64_t c = ledger_.load(order::read_ledger);  // (13)
      if constexpr (!is_broken<A>(mutant::predecessor_not_finished)) finish(c);
      const reservation now = read(index);
      if (ledger_.load(order::read_ledger) == c) return {c, now};  // else `now` belongs to a later state
    }
  }

  /// `decide(entry now, free pages for it)` is pure; it is called again when another change came first.
  template <class Decide>
  [[nodiscard]] ruling change(std::uint32_t index, Decide&& decide) noexcept {
    const std::uint32_t mine = claim_record();
    for (;;) {
      auto [c, now] = settled(index);
      const std::uint64_t replaced = is_broken<A>(mutant::replace_counts_twice) ? 0 : now.share_pages;
      const std::uint64_t others = ledger::granted(c) - replaced;
      const ruling r = decide(now, capacity_ - others);
      if (r.what != verdict::granted) {
        records_[mine].busy.store(0, order::release);
        return r;
      }
      records_[mine].index.store(index, order::release);
      records_[mine].next.store(r.now.pack(), order::release);
      const std::uint64_t after = ledger::next(c, others + r.now.share_pages, mine);
      if (!ledger_.compare_exchange_strong(c, after, order::install, order::read_ledger)) continue;  // (12)
      // `c` was read with its operation; nobody can need that record now: T4.
      if (ledger::operation(c) != no_operation) records_[ledger::operation(c)].busy.store(0, order::release);
      if constexpr (is_broken<A>(mutant::record_freed_at_once)) records_[mine].busy.store(0, order::release);
      finish(after);
      return r;
    }
  }

  /// Makes T and R show the operation that `c` names. If C has moved on, whoever moved it did this first.
  void finish(std::uint64_t c) const noexcept {
    const std::uint32_t operation = ledger::operation(c);
    if (operation == no_operation) return;
    const record& r = records_[operation];
    const std::uint32_t index = r.index.load(order::acquire);
    const std::uint64_t packed = r.next.load(order::acquire);
    if (!is_broken<A>(mutant::finish_without_second_look) && ledger_.load(order::read_ledger) != c) return;
    const reservation next = reservation::unpack(packed);
    entry& e = entries_[index];
    std::uint64_t seen = e.value.load(order::read_entry);
    if (((reservation::unpack(seen).epoch + 1) & reservation::epoch_mask) == next.epoch)
      e.value.compare_exchange_strong(seen, packed, order::publish_entry, order::read_entry);  // (14)
    show_rules(index, next);
  }

  void show_rules(std::uint32_t index, const reservation& r) const noexcept {
    entries_[index].rules.follow(r.kind == holder::primary, r.kind == holder::secondary, r.epoch);
  }

  /// A record that no one uses. There is one, unless `most_operations` - 1 other threads are inside a change at this
  /// moment: the ledger names one more.
  [[nodiscard]] std::uint32_t claim_record() noexcept {
    for (bool looks = true;; looks = false) {  // a look is cheaper, but may show an older value
      for (std::uint32_t i = 1; i <= most_operations; ++i) {
        std::uint32_t free = 0;
        if (looks && records_[i].busy.load(order::relaxed) != 0) continue;
        if (records_[i].busy.compare_exchange_strong(free, 1, order::acquire, order::relaxed)) return i;
      }
    }
  }

  std::uint64_t capacity_;
  alignas(cache_line_bytes) typename A::template atomic<std::uint64_t> ledger_{0};
  std::unique_ptr<entry[]> entries_;
  std::unique_ptr<record[]> records_;
};

}  // namespace pinrail::core
