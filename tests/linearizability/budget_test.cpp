// The budget word: three counters whose sum never exceeds the capacity.
#include "core/budget.hpp"
#include "linearizability/rounds.hpp"

namespace pinrail::test {
namespace {

struct budget_spec {
  static constexpr std::int64_t capacity = 20;

  struct state {
    std::int64_t used = 0;
    std::int64_t set_aside = 0;
    std::int64_t withheld = 0;
    std::int64_t peak = 0;
    bool operator==(const state&) const = default;
  };

  enum class call { exchange, take, give, read, peak };
  struct operation {
    call what = call::read;
    core::budget_change change = {};
    bool done = false;
    core::budget_pages seen = {};
    std::uint64_t peak = 0;
  };

  [[nodiscard]] std::size_t hash(const state& s) const {
    return static_cast<std::size_t>((s.used + 32 * s.set_aside + 1024 * s.withheld + 32768 * s.peak) * 0x9e3779b9);
  }

  template <class Visit>
  void after(const state& now, const operation& o, Visit&& visit) const {
    if (o.what == call::peak || o.what == call::read) {
      const bool agrees = o.what == call::peak ? is(now.peak, o.peak)
                                               : is(now.used, o.seen.used) && is(now.set_aside, o.seen.set_aside) &&
                                                     is(now.withheld, o.seen.withheld);
      if (agrees) visit(now);
      return;
    }
    state next{now.used + o.change.used, now.set_aside + o.change.set_aside, now.withheld + o.change.withheld,
               now.peak};
    const bool fits = next.used + next.set_aside + next.withheld <= capacity;
    if (fits != o.done) return;
    if (!fits) return visit(now);
    next.peak = std::max(next.peak, next.used + next.set_aside);
    visit(next);
  }

  [[nodiscard]] std::string text(const operation& o) const {
    static constexpr std::array names{"exchange", "take", "give", "read", "peak"};
    if (o.what == call::peak) return fmt::format("peak: {}", o.peak);
    if (o.what == call::read) return fmt::format("read: {} + {} + {}", o.seen.used, o.seen.set_aside, o.seen.withheld);
    return fmt::format("{} {:+} {:+} {:+}: {}", names[static_cast<std::size_t>(o.what)], o.change.used,
                       o.change.set_aside, o.change.withheld, o.done ? "done" : "refused");
  }

 private:
  [[nodiscard]] static bool is(std::int64_t a, std::uint64_t b) { return a == static_cast<std::int64_t>(b); }
};

using word = core::budget_word<core::native_atomics>;

struct as_shipped {
  word budget{budget_spec::capacity, 0};
  bool exchange(const core::budget_change& change) { return budget.exchange(change); }
  bool take(std::uint64_t pages) { return budget.take(pages); }
};

template <class Calls>
class budget_subject {
 public:
  using spec = budget_spec;
  using call = spec::call;

  explicit budget_subject(std::uint64_t) {}
  [[nodiscard]] spec::state initial() const { return {}; }

  spec::operation pick(unsigned thread, std::mt19937_64& random) {
    const auto between = [&](std::int64_t low, std::int64_t high) {
      return low + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(high - low + 1));
    };
    const core::budget_change& mine = held_[thread];
    switch (random() % 5) {
      case 0:
        return {.what = call::take, .change = {.used = between(1, 9)}};
      case 1:
        return {.what = call::give, .change = {.used = -between(0, mine.used)}};
      case 2:
        return {.what = call::read};
      default:
        return {.what = call::exchange,
                .change = {.used = between(-mine.used, 6),
                           .set_aside = between(-mine.set_aside, 6),
                           .withheld = between(-mine.withheld, 6)}};
    }
  }

  void perform(unsigned thread, spec::operation& o) {
    switch (o.what) {
      case call::exchange:
        o.done = calls_.exchange(o.change);
        break;
      case call::take:
        o.done = calls_.take(static_cast<std::uint64_t>(o.change.used));
        break;
      case call::give:
        calls_.budget.give(static_cast<std::uint64_t>(-o.change.used));
        o.done = true;
        break;
      case call::read:
        o.seen = calls_.budget.load();
        break;
      case call::peak:
        o.peak = calls_.budget.peak();
        break;
    }
    if (!o.done) return;
    held_[thread].used += o.change.used;
    held_[thread].set_aside += o.change.set_aside;
    held_[thread].withheld += o.change.withheld;
  }

  /// The peak is raised after the change that raised it: all must be quiet.
  [[nodiscard]] std::vector<spec::operation> looks() const { return {{.what = call::read}, {.what = call::peak}}; }

 private:
  Calls calls_;
  std::array<core::budget_change, 8> held_{};  // by thread
};

TEST(budget, is_linearizable) { expect_linearizable<budget_subject<as_shipped>>(); }
TEST(budget, is_linearizable_with_four_threads) { expect_linearizable<budget_subject<as_shipped>>({.threads = 4}); }

/// The word takes everything; whether it fits was looked at before.
struct admission_in_two_steps : as_shipped {
  admission_in_two_steps() : as_shipped{.budget{100 * budget_spec::capacity, 0}} {}
  bool exchange(const core::budget_change& c) {
    const auto sum = static_cast<std::int64_t>(budget.load().sum());
    return sum + c.used + c.set_aside + c.withheld <= budget_spec::capacity && budget.exchange(c);
  }
  bool take(std::uint64_t pages) { return exchange({.used = static_cast<std::int64_t>(pages)}); }
};

/// Gives first, then takes: for a moment what was given is anyone's.
struct exchange_in_two_steps : as_shipped {
  bool exchange(const core::budget_change& c) {
    const core::budget_change given{std::min(c.used, std::int64_t{0}), std::min(c.set_aside, std::int64_t{0}),
                                    std::min(c.withheld, std::int64_t{0})};
    (void)budget.exchange(given);
    if (budget.exchange({c.used - given.used, c.set_aside - given.set_aside, c.withheld - given.withheld})) return true;
    (void)budget.exchange({-given.used, -given.set_aside, -given.withheld});
    return false;
  }
};

TEST(budget_flaws, admission_in_two_steps) {
  expect_linearizable<budget_subject<admission_in_two_steps>>({.threads = 1, .rounds = 100});  // one step at a time
  expect_rejected<budget_subject<admission_in_two_steps>>();
}
TEST(budget_flaws, exchange_in_two_steps) { expect_rejected<budget_subject<exchange_in_two_steps>>(); }

}  // namespace
}  // namespace pinrail::test
