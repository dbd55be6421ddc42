// The reservation table with its runtime words, and what it does one call at a time.
#pragma once

#include <array>
#include <random>
#include <vector>

#include "core/reservation_table.hpp"
#include "support/linearizability.hpp"

namespace pinrail::test {

using core::holder;
using core::verdict;

struct table_spec {
  static constexpr std::uint32_t holders = 3;
  static constexpr std::uint64_t capacity = 100;

  struct state {
    std::array<core::reservation, holders> entries;
    std::array<std::uint32_t, holders> guards{};
    bool operator==(const state&) const = default;

    [[nodiscard]] std::uint64_t granted() const {
      std::uint64_t sum = 0;
      for (const auto& e : entries) sum += e.share_pages;
      return sum;
    }
  };

  enum class call {
    reserve,
    release,
    release_handle,
    enter_guest,
    leave_guest,
    guard,
    unguard,
    read,
    rules,
    granted,
    others
  };

  struct operation {
    call what = call::read;
    std::uint32_t index = 0;
    // What was asked for.
    holder kind = holder::none;
    std::uint64_t least = 0;
    std::uint64_t most = 0;
    std::uint32_t epoch = 0;
    // How it ended.
    core::ruling ruling = {};
    core::reservation seen = {};
    core::runtime_bits rules = {};
    std::uint64_t pages = 0;
  };

  [[nodiscard]] std::size_t hash(const state& s) const {
    std::uint64_t h = 0;
    for (std::uint32_t i = 0; i < holders; ++i)
      h = (h ^ s.entries[i].pack() ^ std::uint64_t{s.guards[i]} << 50) * 0x9e3779b97f4a7c15;
    return static_cast<std::size_t>(h ^ h >> 32);
  }

  template <class Visit>
  void after(const state& now, const operation& o, Visit&& visit) const {
    const core::reservation& mine = now.entries[o.index];
    switch (o.what) {
      case call::read:
        if (o.seen == mine) visit(now);
        return;
      case call::rules:
        if (shows(o.rules, mine) && o.rules.guards() == now.guards[o.index]) visit(now);
        return;
      case call::granted:
        if (o.pages == now.granted()) visit(now);
        return;
      case call::others:
        if (o.pages == now.granted() - mine.share_pages) visit(now);
        return;
      case call::guard:
      case call::unguard: {
        state next = now;
        next.guards[o.index] += o.what == call::guard ? 1 : -1;
        return visit(next);
      }
      default:
        break;
    }
    const core::ruling expected = rule(now, o);
    if (!same(expected, o.ruling)) return;
    state next = now;
    if (expected.what == verdict::granted) next.entries[o.index] = expected.now;
    visit(next);
  }

  [[nodiscard]] std::string text(const operation& o) const;

 private:
  [[nodiscard]] static bool shows(core::runtime_bits rules, const core::reservation& r) {
    return rules.primary() == (r.kind == holder::primary) && rules.secondary() == (r.kind == holder::secondary) &&
           rules.epoch() == (r.epoch & core::runtime_bits::epoch_mask);
  }
  [[nodiscard]] static bool same(const core::ruling& a, const core::ruling& b) {
    return a.what == b.what && a.now == b.now && a.needed_pages == b.needed_pages && a.free_pages == b.free_pages;
  }
  [[nodiscard]] static core::ruling become(const core::reservation& now, holder kind, std::uint64_t share,
                                           std::uint32_t guests) {
    return {.what = verdict::granted,
            .now = {.share_pages = share, .kind = kind, .guests = guests, .epoch = now.epoch + 1}};
  }
  /// Shares of a reservation and of a first guest.
  [[nodiscard]] static core::ruling admit(const state& all, const core::reservation& now, const operation& o,
                                          holder kind, std::uint32_t guests) {
    const std::uint64_t free = capacity - (all.granted() - now.share_pages);
    if (free < o.least) return {.what = verdict::shortage, .now = now, .needed_pages = o.least, .free_pages = free};
    return become(now, kind, std::min(free, o.most), guests);
  }
  /// Rules 3, 6 and 7 of the design, for the table.
  [[nodiscard]] static core::ruling rule(const state& all, const operation& o) {
    const core::reservation& now = all.entries[o.index];
    const core::ruling unchanged{.what = verdict::unchanged, .now = now};
    const core::ruling conflict{.what = verdict::conflict, .now = now};
    switch (o.what) {
      case call::reserve:
        return now.kind == holder::guest ? conflict : admit(all, now, o, o.kind, 0);
      case call::release:
        return now.reserved() ? become(now, holder::none, 0, 0) : unchanged;
      case call::release_handle:
        return now.reserved() && now.epoch == o.epoch ? become(now, holder::none, 0, 0) : unchanged;
      case call::enter_guest:
        if (now.reserved()) return conflict;
        if (now.guests == 0) return admit(all, now, o, holder::guest, 1);
        return become(now, holder::guest, now.share_pages, now.guests + 1);
      case call::leave_guest:
        if (now.guests == 0) return unchanged;
        if (now.guests == 1) return become(now, holder::none, 0, 0);
        return become(now, holder::guest, now.share_pages, now.guests - 1);
      default:
        return unchanged;
    }
  }
};

/// How the calls are made; flawed ones are derived from it.
template <class A>
struct table_calls {
  core::reservation_table<A> table{table_spec::holders, table_spec::capacity};

  core::ruling reserve(std::uint32_t i, holder kind, std::uint64_t least, std::uint64_t most) {
    return table.reserve(i, kind, least, most);
  }
  core::ruling release(std::uint32_t i) { return table.release(i); }
  core::ruling release(std::uint32_t i, std::uint32_t epoch) { return table.release(i, epoch); }
  core::ruling enter_guest(std::uint32_t i, std::uint64_t least, std::uint64_t most) {
    return table.enter_guest(i, least, most);
  }
  core::ruling leave_guest(std::uint32_t i) { return table.leave_guest(i); }
};

template <class Calls>
class table_subject {
 public:
  using spec = table_spec;
  using call = spec::call;

  explicit table_subject(std::uint64_t) {}

  [[nodiscard]] spec::state initial() const { return {}; }

  spec::operation pick(unsigned thread, std::mt19937_64& random) {
    static constexpr std::array calls{call::reserve,        call::reserve,        call::reserve,     call::release,
                                      call::release_handle, call::release_handle, call::enter_guest, call::enter_guest,
                                      call::leave_guest,    call::leave_guest,    call::guard,       call::read,
                                      call::rules,          call::granted,        call::others};
    const auto below = [&](std::uint64_t n) { return static_cast<std::uint32_t>(random() % n); };
    spec::operation o{.what = calls[below(calls.size())], .index = below(spec::holders)};
    std::uint32_t& guards = guards_[thread][o.index];
    if (o.what == call::guard && guards > 0) o.what = call::unguard;
    if (o.what == call::guard) ++guards;
    if (o.what == call::unguard) --guards;
    o.kind = below(2) == 0 ? holder::primary : holder::secondary;
    o.least = 20 + below(40);
    o.most = o.least + below(2) * 30;
    // A handle of this thread, often a stale one; or one that was never given.
    o.epoch = below(8) == 0 ? below(4) : handles_[thread][o.index];
    return o;
  }

  void perform(unsigned thread, spec::operation& o) {
    auto& table = calls_.table;
    switch (o.what) {
      case call::reserve:
        o.ruling = calls_.reserve(o.index, o.kind, o.least, o.most);
        if (o.ruling.what == verdict::granted) handles_[thread][o.index] = o.ruling.now.epoch;
        break;
      case call::release:
        o.ruling = calls_.release(o.index);
        break;
      case call::release_handle:
        o.ruling = calls_.release(o.index, o.epoch);
        break;
      case call::enter_guest:
        o.ruling = calls_.enter_guest(o.index, o.least, o.most);
        break;
      case call::leave_guest:
        o.ruling = calls_.leave_guest(o.index);
        break;
      case call::guard:
        (void)table.rules(o.index).guard();
        break;
      case call::unguard:
        table.rules(o.index).unguard();
        break;
      case call::read:
        o.seen = table.read(o.index);
        break;
      case call::rules:
        o.rules = table.rules(o.index).load();
        break;
      case call::granted:
        o.pages = table.granted_pages();
        break;
      case call::others:
        o.pages = table.granted_to_others(o.index);
        break;
    }
  }

  [[nodiscard]] std::vector<spec::operation> looks() const {
    std::vector<spec::operation> all{{.what = call::granted}};
    for (std::uint32_t i = 0; i < spec::holders; ++i) {
      all.push_back({.what = call::read, .index = i});
      all.push_back({.what = call::rules, .index = i});
    }
    return all;
  }

 private:
  static constexpr unsigned most_threads = 8;

  Calls calls_;
  // Each thread its own row.
  std::array<std::array<std::uint32_t, spec::holders>, most_threads> handles_{};
  std::array<std::array<std::uint32_t, spec::holders>, most_threads> guards_{};
};

}  // namespace pinrail::test
