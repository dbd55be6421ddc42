// The reservation table against a plain sequential specification: operation by operation, interrupted at every step,
// at its limits, and with threads (T1-T4).
#include "core/reservation_table.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "support/interrupted_atomics.hpp"
#include "support/seed.hpp"
#include "support/settable_atomics.hpp"
#include "support/threads.hpp"

namespace pinrail::test {
namespace {

using core::holder;
using core::reservation;
using core::ruling;
using core::verdict;
using table = core::reservation_table<core::native_atomics>;

// ---- the specification ------------------------------------------------------------------------------------------

class table_model {
 public:
  table_model(std::uint32_t entries, std::uint64_t capacity) : capacity_(capacity), entries_(entries) {}

  ruling reserve(std::uint32_t i, holder kind, std::uint64_t least, std::uint64_t most) {
    if (entries_[i].kind == holder::guest) return {.what = verdict::conflict, .now = entries_[i]};
    if (free_for(i) < least) return shortage(i, least);
    return become(i, {.share_pages = std::min(free_for(i), most), .kind = kind});
  }
  ruling release(std::uint32_t i, std::optional<std::uint32_t> epoch = {}) {
    const bool ends = entries_[i].kind != holder::none && entries_[i].kind != holder::guest;
    if (!ends || (epoch && *epoch != entries_[i].epoch)) return unchanged(i);
    return become(i, {});
  }
  ruling enter_guest(std::uint32_t i, std::uint64_t least, std::uint64_t most) {
    const reservation& now = entries_[i];
    if (now.kind == holder::primary || now.kind == holder::secondary) return {.what = verdict::conflict, .now = now};
    if (now.guests == 4095) return {.what = verdict::limit, .now = now};
    if (now.guests == 0 && free_for(i) < least) return shortage(i, least);
    const std::uint64_t share = now.guests > 0 ? now.share_pages : std::min(free_for(i), most);
    return become(i, {.share_pages = share, .kind = holder::guest, .guests = now.guests + 1});
  }
  ruling leave_guest(std::uint32_t i) {
    const reservation now = entries_[i];
    if (now.guests == 0) return unchanged(i);
    if (now.guests == 1) return become(i, {});
    return become(i, {.share_pages = now.share_pages, .kind = holder::guest, .guests = now.guests - 1});
  }

  [[nodiscard]] const reservation& read(std::uint32_t i) const { return entries_[i]; }
  [[nodiscard]] std::uint64_t granted_pages() const {
    std::uint64_t sum = 0;
    for (const auto& e : entries_) sum += e.share_pages;
    return sum;
  }
  [[nodiscard]] std::uint32_t size() const { return static_cast<std::uint32_t>(entries_.size()); }

 private:
  [[nodiscard]] std::uint64_t free_for(std::uint32_t i) const {
    return capacity_ - (granted_pages() - entries_[i].share_pages);
  }
  [[nodiscard]] ruling unchanged(std::uint32_t i) const { return {.what = verdict::unchanged, .now = entries_[i]}; }
  [[nodiscard]] ruling shortage(std::uint32_t i, std::uint64_t needed) const {
    return {.what = verdict::shortage, .now = entries_[i], .needed_pages = needed, .free_pages = free_for(i)};
  }
  ruling become(std::uint32_t i, reservation next) {
    next.epoch = (entries_[i].epoch + 1) & 0xfffffff;
    entries_[i] = next;
    return {.what = verdict::granted, .now = next};
  }

  std::uint64_t capacity_;
  std::vector<reservation> entries_;
};

bool same(const ruling& a, const ruling& b) {
  return a.what == b.what && a.now == b.now && a.needed_pages == b.needed_pages && a.free_pages == b.free_pages;
}
std::string say(const reservation& r) {
  return fmt::format("kind {} share {} guests {} epoch {}", int(r.kind), r.share_pages, r.guests, r.epoch);
}
std::string say(const ruling& r) {
  return fmt::format("verdict {}, {}, needed {}, free {}", int(r.what), say(r.now), r.needed_pages, r.free_pages);
}

/// One call, for a table or its model.
struct operation {
  enum { reserve, release, release_by_handle, enter_guest, leave_guest } what = reserve;
  std::uint32_t index = 0;
  holder kind = holder::none;
  std::uint64_t least = 0, most = 0;
  std::uint32_t epoch = 0;

  template <class Table>
  ruling on(Table& t) const {
    switch (what) {
      case reserve:
        return t.reserve(index, kind, least, most);
      case release:
        return t.release(index);
      case release_by_handle:
        return t.release(index, epoch);
      case enter_guest:
        return t.enter_guest(index, least, most);
      case leave_guest:
        break;
    }
    return t.leave_guest(index);
  }
};

std::uint32_t some_index(std::mt19937_64& random, std::uint32_t entries) {
  return static_cast<std::uint32_t>(random() % entries);
}
/// Entry 0 is for bytes; the others are runtimes.
operation some_operation(std::mt19937_64& random, std::uint32_t index, std::uint64_t capacity) {
  operation o{.index = index};
  o.what = static_cast<decltype(o.what)>(random() % (o.index == 0 ? 3 : 5));
  o.kind = o.index == 0 ? holder::bytes : random() % 2 ? holder::primary : holder::secondary;
  o.least = random() % (capacity / 2 + 1);
  o.most = o.least + random() % (capacity / 2 + 1);
  return o;
}

/// T and R show what the model says.
template <class Table>
[[nodiscard]] bool shows(Table& t, const table_model& m) {
  if (t.granted_pages() != m.granted_pages()) return false;
  for (std::uint32_t i = 0; i < m.size(); ++i) {
    const auto rules = t.rules(i).load();
    if (t.granted_to_others(i) != m.granted_pages() - m.read(i).share_pages) return false;
    if (t.read(i) != m.read(i) || rules.primary() != (m.read(i).kind == holder::primary) ||
        rules.secondary() != (m.read(i).kind == holder::secondary) || rules.epoch() != m.read(i).epoch)
      return false;
  }
  return true;
}

TEST(reservation, comes_back_as_it_was_packed) {
  using enum holder;
  for (const auto kind : {none, primary, secondary, guest, bytes, withheld})
    for (const std::uint64_t share : {0u, 1u, (1u << 21) - 1})
      for (const std::uint32_t guests : {0u, 1u, (1u << 12) - 1})
        for (const std::uint32_t epoch : {0u, 1u, (1u << 28) - 1}) {
          const reservation r{.share_pages = share, .kind = kind, .guests = guests, .epoch = epoch};
          EXPECT_EQ(reservation::unpack(r.pack()), r) << say(r);
        }
}

TEST(reservation_table, does_what_its_specification_says) {
  constexpr std::uint32_t entries = 5;
  std::mt19937_64 random(run_seed());
  for (const std::uint64_t capacity : {std::uint64_t{40}, (std::uint64_t{1} << 21) - 1}) {
    table t(entries, capacity);
    table_model m(entries, capacity);
    ASSERT_EQ(t.capacity_pages(), capacity);
    std::vector<std::pair<std::uint32_t, std::uint32_t>> handles{{1, 0}};
    std::array<int, 5> verdicts{};
    for (int i = 0; i < 30'000; ++i) {
      operation o = some_operation(random, some_index(random, entries), capacity);
      if (o.what == operation::release_by_handle && random() % 3 != 0)  // a live or stale one, else one never given
        std::tie(o.index, o.epoch) = handles[handles.size() - 1 - random() % std::min<std::size_t>(handles.size(), 12)];
      const auto before = t.version();
      const ruling expected = o.on(m), got = o.on(t);
      ASSERT_TRUE(same(got, expected)) << "got " << say(got) << "; should be " << say(expected);
      ASSERT_TRUE(shows(t, m)) << "after " << say(got);
      ASSERT_EQ(t.version() != before, got.what == verdict::granted);
      if (got.what == verdict::granted) handles.emplace_back(o.index, got.now.epoch);
      ++verdicts[static_cast<std::size_t>(got.what)];
    }
    for (const auto v : {verdict::granted, verdict::unchanged, verdict::shortage, verdict::conflict})
      EXPECT_GT(verdicts[static_cast<std::size_t>(v)], 100) << int(v);
  }
}

// ---- one by one -------------------------------------------------------------------------------------------------

TEST(reservation_table, a_replaced_reservation_never_counts_twice) {  // T1
  table t(2, 100);
  ASSERT_EQ(t.reserve(1, holder::primary, 100, 100).what, verdict::granted);
  const ruling r = t.reserve(1, holder::secondary, 90, 100);
  EXPECT_EQ(r.what, verdict::granted);
  EXPECT_EQ(r.now.share_pages, 100u);
  EXPECT_EQ(t.granted_pages(), 100u);
  EXPECT_TRUE(t.rules(1).load().secondary());
  EXPECT_FALSE(t.rules(1).load().primary());
}

TEST(reservation_table, a_handle_is_spent_once_and_a_stale_one_does_nothing) {  // T2
  table t(2, 100);
  const auto first = t.reserve(1, holder::primary, 60, 60).now.epoch;
  const auto second = t.reserve(1, holder::primary, 50, 50).now.epoch;
  EXPECT_EQ(second, first + 1);
  EXPECT_EQ(t.release(1, first).what, verdict::unchanged) << "replaced";
  EXPECT_EQ(t.granted_pages(), 50u);
  EXPECT_EQ(t.release(1, second).what, verdict::granted);
  EXPECT_EQ(t.release(1, second).what, verdict::unchanged) << "spent";
  EXPECT_EQ(t.release(1).what, verdict::unchanged) << "idempotent";
  EXPECT_EQ(t.granted_pages(), 0u);
}

TEST(reservation_table, keeps_the_guards_of_the_runtime_words) {
  table t(2, 100);
  ASSERT_TRUE(t.rules(1).guard());
  ASSERT_EQ(t.reserve(1, holder::primary, 1, 1).what, verdict::granted);
  (void)t.release(1);
  EXPECT_EQ(t.rules(1).load().guards(), 1u);
}

TEST(reservation_table, withheld_pages_can_be_replaced_and_are_no_handles) {
  table t(2, 100);
  const ruling r = t.reserve(1, holder::withheld, 30, 30);
  ASSERT_EQ(r.what, verdict::granted);
  EXPECT_FALSE(r.now.confined());
  EXPECT_FALSE(r.now.reserved());
  EXPECT_EQ(t.release(1, r.now.epoch).what, verdict::unchanged);
  EXPECT_EQ(t.reserve(0, holder::bytes, 71, 71).free_pages, 70u);
  EXPECT_EQ(t.reserve(1, holder::withheld, 10, 10).what, verdict::granted);
  EXPECT_EQ(t.granted_pages(), 10u);
}

// ---- limits and wrap-arounds ------------------------------------------------------------------------------------

TEST(reservation_table, a_holder_of_bytes_grows_and_shrinks_within_the_capacity) {
  table t(3, 10);
  EXPECT_EQ(t.grow(0, 0).now, (reservation{.kind = holder::bytes, .epoch = 1}));
  EXPECT_EQ(t.grow(0, 4).now.share_pages, 4u);
  EXPECT_EQ(t.reserve(1, holder::primary, 5, 5).what, verdict::granted);
  const ruling refused = t.grow(0, 2);
  EXPECT_EQ(refused.what, verdict::shortage);
  EXPECT_EQ(refused.needed_pages, 2u);
  EXPECT_EQ(refused.free_pages, 1u) << "beyond what it has";
  EXPECT_EQ(t.granted_pages(), 9u);
  EXPECT_EQ(t.grow(0, 1).now.share_pages, 5u);
  t.shrink(0, 3);
  EXPECT_EQ(t.read(0).share_pages, 2u);
  EXPECT_EQ(t.granted_pages(), 7u);
  EXPECT_EQ(t.release(0).what, verdict::granted);
  EXPECT_EQ(t.granted_pages(), 5u);
}

TEST(reservation_table, threads_grow_and_shrink_one_holder_and_nothing_is_lost) {  // T1
  table t(2, 12);
  on_threads(4, [&](int) {
    for (int i = 0; i < 2000; ++i) {
      if (t.grow(0, 4).what != verdict::granted) continue;
      EXPECT_LE(t.granted_pages(), 12u);
      t.shrink(0, 4);
    }
  });
  EXPECT_EQ(t.granted_pages(), 0u);
  EXPECT_EQ(t.read(0).share_pages, 0u);
}

TEST(reservation_table, lets_4095_scopes_of_one_guest_in_and_out_again) {
  table t(2, 100);
  for (std::uint32_t n = 1; n <= 4095; ++n) {
    const ruling r = t.enter_guest(1, 10, 20);
    ASSERT_EQ(r.what, verdict::granted);
    ASSERT_EQ(r.now.guests, n);
    ASSERT_EQ(t.granted_pages(), 20u) << "they share what the first was granted";
  }
  EXPECT_EQ(t.enter_guest(1, 10, 20).what, verdict::limit);
  EXPECT_EQ(t.read(1).guests, 4095u);
  for (std::uint32_t n = 4095; n > 0; --n) {
    ASSERT_EQ(t.granted_pages(), 20u);
    ASSERT_EQ(t.leave_guest(1).now.guests, n - 1);
  }
  EXPECT_EQ(t.granted_pages(), 0u);
  EXPECT_EQ(t.read(1).kind, holder::none);
  EXPECT_EQ(t.leave_guest(1).what, verdict::unchanged);
}

TEST(reservation_table, gives_every_record_back) {
  table t(2, 100);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(t.reserve(1, holder::primary, 1, 1).what, verdict::granted);
    ASSERT_EQ(t.reserve(0, holder::bytes, 100, 100).what, verdict::shortage);
    ASSERT_EQ(t.release(1).what, verdict::granted);
    ASSERT_EQ(t.release(1).what, verdict::unchanged);
  }
}

TEST(reservation_table, epochs_wrap_after_2_to_the_28) {
  constexpr std::uint32_t last = (1u << 28) - 1;
  core::reservation_table<settable_atomics> t(2, 100);
  reservation now = t.reserve(1, holder::primary, 60, 60).now;
  const auto rules = t.rules(1).load().packed();
  const reservation aged{.share_pages = 60, .kind = holder::primary, .epoch = last};
  ASSERT_GE(settable_atomics::replace(now.pack(), aged.pack()), 1);
  ASSERT_EQ(settable_atomics::replace(rules, rules | std::uint64_t{last} << core::runtime_bits::epoch_shift), 1);
  ASSERT_EQ(t.read(1), aged);

  now = t.reserve(1, holder::secondary, 70, 70).now;
  EXPECT_EQ(now.epoch, 0u);
  EXPECT_EQ(t.read(1), now);
  EXPECT_TRUE(t.rules(1).load().secondary());
  EXPECT_FALSE(t.rules(1).load().primary());
  EXPECT_EQ(t.release(1, last).what, verdict::unchanged) << "the one before is stale";
  EXPECT_EQ(t.release(1, 0).what, verdict::granted);
  EXPECT_EQ(t.read(1).epoch, 1u);
  EXPECT_FALSE(t.rules(1).load().secondary());
  EXPECT_EQ(t.granted_pages(), 0u);
}

TEST(reservation_table, the_sequence_of_the_ledger_wraps_into_nothing_else) {
  core::reservation_table<settable_atomics> t(3, 100);
  ASSERT_EQ(t.reserve(1, holder::primary, 60, 60).what, verdict::granted);
  ASSERT_EQ(settable_atomics::replace(t.version(), t.version() | 0xffffffff), 1);
  const auto before = t.version();
  ASSERT_EQ(t.reserve(2, holder::secondary, 40, 40).what, verdict::granted);
  EXPECT_NE(t.version(), before);
  EXPECT_EQ(t.version() & 0xffffffff, 0u);
  EXPECT_EQ(t.granted_pages(), 100u);
  EXPECT_EQ(t.read(2).share_pages, 40u);
  EXPECT_EQ(t.reserve(0, holder::bytes, 1, 1).what, verdict::shortage);
  EXPECT_EQ(t.release(1).what, verdict::granted);
  EXPECT_EQ(t.granted_pages(), 40u);
}

// ---- interrupted ------------------------------------------------------------------------------------------------

/// With as few records as three operations at once need, so that records are used again soon (T4).
using interrupted_table = core::reservation_table<interrupted_atomics, 4>;

/// Operations that came to an end, and what they answered.
struct history {
  std::vector<operation> operations;
  std::vector<ruling> rulings;

  /// Is there an order of them in which the specification gives these answers, and then shows what the table shows?
  [[nodiscard]] bool explains(interrupted_table& t, const table_model& start) const {
    std::vector<std::size_t> order(operations.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    do {
      table_model m = start;
      const bool fits =
          std::all_of(order.begin(), order.end(), [&](std::size_t i) { return same(operations[i].on(m), rulings[i]); });
      if (fits && shows(t, m)) return true;
    } while (std::next_permutation(order.begin(), order.end()));
    return false;
  }
};

constexpr std::uint32_t few = 3;
constexpr std::uint64_t small_capacity = 20;

/// Operations on a table, one within another, and whether they can be put in an order.
class recorded_table {
 public:
  explicit recorded_table(const std::vector<operation>& before) {
    for (const operation& o : before) (void)o.on(real_), (void)o.on(model_);
  }
  void run(const operation& o) {
    const ruling r = o.on(real_);
    history_.operations.push_back(o), history_.rulings.push_back(r);
    if (r.what != verdict::granted) return;
    EXPECT_GE(real_.read(o.index).epoch, r.now.epoch);  // T3
    EXPECT_GE(real_.rules(o.index).load().epoch(), r.now.epoch);
  }
  [[nodiscard]] bool is_linear() { return history_.explains(real_, model_); }

 private:
  interrupted_table real_{few, small_capacity};
  table_model model_{few, small_capacity};
  history history_;
};

using three_operations = std::array<operation, 3>;

/// Each within the one before it, at every step of both.
void expect_linear_nested(const std::vector<operation>& before, const three_operations& three) {
  at_every_step([&](int step) {
    bool met = false;
    at_every_step([&](int inner) {
      recorded_table t(before);
      bool inner_met = false;
      const auto both = [&] {
        inner_met = interrupted(
            inner, [&] { t.run(three[1]); }, [&] { t.run(three[2]); });
      };
      met = interrupted(
          step, [&] { t.run(three[0]); }, both);
      EXPECT_TRUE(t.is_linear()) << "stopped before steps " << step << " and " << inner;
      return inner_met;
    });
    return met;
  });
}

/// Two one after the other within the first, at every two steps of it.
void expect_linear_in_turn(const std::vector<operation>& before, const three_operations& three) {
  at_every_step([&](int step) {
    int met = 0;
    at_every_step([&](int more) {
      recorded_table t(before);
      met = interrupted_twice(
          step, more, [&] { t.run(three[0]); }, [&] { t.run(three[1]); }, [&] { t.run(three[2]); });
      EXPECT_TRUE(t.is_linear()) << "stopped before step " << step << " and " << more << " steps later";
      return met == 2;
    });
    return met > 0;
  });
}

TEST(reservation_table, is_linear_wherever_changes_are_interrupted_by_others) {
  std::mt19937_64 random(run_seed());
  for (int i = 0; i < 150 && !HasFailure(); ++i) {
    std::vector<operation> before(random() % 4);
    for (auto& o : before) o = some_operation(random, some_index(random, few), small_capacity);
    const std::uint32_t shared = some_index(random, few);
    three_operations three;
    for (auto& o : three) {
      o = some_operation(random, random() % 2 ? shared : some_index(random, few), small_capacity);
      o.epoch = static_cast<std::uint32_t>(random() % 4);
    }
    expect_linear_nested(before, three);
    expect_linear_in_turn(before, three);
  }
}

// ---- threads ----------------------------------------------------------------------------------------------------

TEST(reservation_table, the_shares_of_threads_never_exceed_the_capacity) {
  constexpr std::uint64_t capacity = 100;
  const std::uint64_t seed = run_seed();
  table t(4, capacity);
  core::atomic<std::uint64_t> held{0};  // counted after it was granted, and before it is released
  on_threads(4, [&](int i) {
    const auto index = static_cast<std::uint32_t>(i);
    std::mt19937_64 random(seed + index);
    int granted = 0;
    for (int n = 0; n < 5'000; ++n) {
      const std::uint64_t least = random() % 60;
      const bool guest = random() % 2;
      const ruling r =
          guest ? t.enter_guest(index, least, least + 20) : t.reserve(index, holder::primary, least, least + 20);
      ASSERT_LE(t.granted_pages(), capacity);
      if (r.what == verdict::shortage) {
        ASSERT_LT(r.free_pages, least);
        continue;
      }
      ASSERT_EQ(r.what, verdict::granted);
      ASSERT_LE(held.fetch_add(r.now.share_pages, core::order::seq_cst) + r.now.share_pages, capacity);
      ++granted;
      held.fetch_sub(r.now.share_pages, core::order::seq_cst);
      ASSERT_EQ((guest ? t.leave_guest(index) : t.release(index, r.now.epoch)).what, verdict::granted);
    }
    EXPECT_GT(granted, 0);
  });
  EXPECT_EQ(t.granted_pages(), 0u);
}

TEST(reservation_table, threads_spend_every_epoch_of_an_entry_once) {
  constexpr std::uint32_t entries = 3;
  const std::uint64_t seed = run_seed();
  table t(entries, 100);
  std::array<std::vector<std::uint32_t>, 4> epochs;  // of all entries together: entry << 28 | epoch
  on_threads(4, [&](int thread) {
    auto& mine = epochs[static_cast<std::size_t>(thread)];
    std::mt19937_64 random(seed + static_cast<std::uint64_t>(thread));
    for (int n = 0; n < 10'000; ++n) {
      operation o = some_operation(random, some_index(random, entries), 100);
      if (o.what == operation::release_by_handle) o.epoch = t.read(o.index).epoch;
      const ruling r = o.on(t);
      if (r.what != verdict::granted) continue;
      mine.push_back(o.index << 28 | r.now.epoch);
      ASSERT_TRUE(o.what != operation::release_by_handle || r.now.epoch == o.epoch + 1) << "it ended what it named";
      ASSERT_GE(t.read(o.index).epoch, r.now.epoch);
      ASSERT_GE(t.rules(o.index).load().epoch(), r.now.epoch);
    }
  });
  std::vector<std::uint32_t> all, expected;
  for (const auto& mine : epochs) all.insert(all.end(), mine.begin(), mine.end());
  std::sort(all.begin(), all.end());
  std::uint64_t sum = 0;
  for (std::uint32_t i = 0; i < entries; ++i) {
    for (std::uint32_t e = 1; e <= t.read(i).epoch; ++e) expected.push_back(i << 28 | e);
    sum += t.read(i).share_pages;
    EXPECT_EQ(t.rules(i).load().primary(), t.read(i).kind == holder::primary);
    EXPECT_EQ(t.rules(i).load().secondary(), t.read(i).kind == holder::secondary);
  }
  EXPECT_TRUE(all == expected) << all.size() << " changes, " << expected.size() << " epochs";
  EXPECT_EQ(t.granted_pages(), sum);
}

}  // namespace
}  // namespace pinrail::test
