// Checks recorded histories against sequential specifications.
//
// A history is linearizable if each call can be given one moment between its begin and its end, such that the calls,
// one at a time in the order of these moments, do what the specification says (Herlihy, Wing: "Linearizability: a
// correctness condition for concurrent objects", 1990). The search is that of J. Wing, C. Gong: "Testing and verifying
// concurrent objects", 1993: as the next call try each that began before any other one ended. As in G. Lowe: "Testing
// for linearizability", 2017, a set of calls that led to a state is tried once: the same set in another order, in the
// same state, can only end in the same way.
//
// A specification:
//   struct register_spec {
//     using state = ...;        a value, with ==
//     using operation = ...;    a call and how it ended
//     std::size_t hash(const state&) const;
//     /// Calls `visit(next)` for each state the object may be in after `call`; for none, the call can't have ended so.
//     template <class Visit> void after(const state& now, const operation& call, Visit&& visit) const;
//     std::string text(const operation&) const;
//   };
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <unordered_set>
#include <vector>

#include "core/atomic.hpp"

namespace pinrail::test {

/// A call that ended, in the real time of `stamps`.
template <class Operation>
struct recorded_call {
  unsigned thread = 0;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  Operation operation;
};

template <class Operation>
using history = std::vector<recorded_call<Operation>>;

/// Real time: what ended before another thing began has the smaller stamp.
class stamps {
 public:
  [[nodiscard]] std::uint64_t next() noexcept { return next_.fetch_add(1, std::memory_order::seq_cst); }

 private:
  std::atomic<std::uint64_t> next_{0};
};

template <class Spec>
class linearizability {
 public:
  using state = typename Spec::state;
  using calls = history<typename Spec::operation>;
  static constexpr std::size_t most_calls = 64;

  explicit linearizability(const Spec& spec) : spec_(spec) {}
  linearizability(const linearizability&) = delete;
  linearizability& operator=(const linearizability&) = delete;

  /// Searches for the orders that explain all calls, from any of some states on. Says the states that they may end in;
  /// none if there is no such order.
  [[nodiscard]] std::vector<state> explain(const std::vector<state>& from, const calls& all) {
    if (all.size() > most_calls) throw std::length_error("a history of more calls than the set of calls holds");
    all_ = all;
    std::sort(all_.begin(), all_.end(), [](const auto& a, const auto& b) { return a.begin < b.begin; });
    tried_.clear();
    order_.clear();
    longest_.clear();
    ends_.clear();
    for (const state& s : from)
      if (tried_.insert({0, s}).second) search(s, 0);
    return ends_;
  }

  /// Sets of calls with the state they led to, that the last search came by.
  [[nodiscard]] std::size_t configurations() const noexcept { return tried_.size(); }

  /// The calls of the last search by their begin, and where its longest order broke off.
  [[nodiscard]] std::string text() const {
    std::string out;
    for (std::size_t i = 0; i < all_.size(); ++i)
      out += fmt::format("  {:>2}  thread {}  [{:>4}, {:>4}]  {}\n", i, all_[i].thread, all_[i].begin, all_[i].end,
                         spec_.text(all_[i].operation));
    out += "  longest order:";
    for (const std::size_t i : longest_) out += fmt::format(" {}", i);
    out += "; none of these can follow:";
    const std::uint64_t done = set_of(longest_);
    for (std::size_t i = 0; i < all_.size(); ++i)
      if (may_follow(done, i)) out += fmt::format(" {}", i);
    return out + "\n";
  }

 private:
  struct configuration {
    std::uint64_t done = 0;
    state now;
    bool operator==(const configuration&) const = default;
  };
  struct configuration_hash {
    const Spec* spec;
    std::size_t operator()(const configuration& c) const {
      return spec->hash(c.now) ^ static_cast<std::size_t>(c.done * 0x9e3779b97f4a7c15);
    }
  };

  [[nodiscard]] static bool contains(std::uint64_t set, std::size_t call) noexcept { return set >> call & 1; }
  [[nodiscard]] static std::uint64_t set_of(const std::vector<std::size_t>& order) noexcept {
    std::uint64_t set = 0;
    for (const std::size_t i : order) set |= std::uint64_t{1} << i;
    return set;
  }

  /// No other call that is not done ended before this one began.
  [[nodiscard]] bool may_follow(std::uint64_t done, std::size_t call) const noexcept {
    if (contains(done, call)) return false;
    for (std::size_t i = 0; i < all_.size(); ++i)
      if (!contains(done, i) && all_[i].end < all_[call].begin) return false;
    return true;
  }

  void search(const state& now, std::uint64_t done) {
    if (order_.size() > longest_.size()) longest_ = order_;
    if (order_.size() == all_.size()) ends_.push_back(now);
    for (std::size_t i = 0; i < all_.size(); ++i) {
      if (!may_follow(done, i)) continue;
      spec_.after(now, all_[i].operation, [&](const state& next) {
        const std::uint64_t with = done | std::uint64_t{1} << i;
        if (!tried_.insert({with, next}).second) return;
        order_.push_back(i);
        search(next, with);
        order_.pop_back();
      });
    }
  }

  Spec spec_;
  calls all_;
  std::unordered_set<configuration, configuration_hash> tried_{64, configuration_hash{&spec_}};
  std::vector<std::size_t> order_, longest_;
  std::vector<state> ends_;
};

}  // namespace pinrail::test
