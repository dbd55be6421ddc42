// Victim selection against looking at every block and counting the uses until it is needed.
#include "core/selection.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <deque>
#include <memory>
#include <numeric>
#include <optional>
#include <ostream>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "support/interrupted_atomics.hpp"
#include "support/seed.hpp"

namespace pinrail::test {
namespace {

using core::heading;
using core::list_order;
using core::pass_cursor;
using core::pass_kind;
using core::score;
using core::selection_limits;
using A = core::native_atomics;
using runtime_blocks = core::runtime_blocks<A>;
using selection = core::selection<A>;

// ---- a runtime, and what is known about it apart from the code under test ---------------------------------------

struct pass {
  pass_cursor cursor;
  std::uint64_t pace_ns;
  std::vector<std::uint32_t> list;
};

struct test_runtime {
  std::unique_ptr<runtime_blocks> blocks;
  std::vector<std::uint64_t> pages;
  heading parked = heading::forward, after_parked = heading::forward;
  std::uint64_t idle_since_ns = 0;
  std::vector<pass> passes;
  std::deque<list_order> lists;

  explicit test_runtime(std::vector<std::uint64_t> sizes)
      : blocks(std::make_unique<runtime_blocks>(sizes)), pages(std::move(sizes)) {}

  [[nodiscard]] std::uint32_t size() const { return static_cast<std::uint32_t>(pages.size()); }

  void load(std::uint32_t p) {
    (void)blocks->at(p).word.begin_load();
    blocks->at(p).word.publish();
    blocks->offer(p);
  }
  void load_all() {
    for (std::uint32_t p = 0; p < size(); ++p) load(p);
  }
  void dirty(std::uint32_t p) {
    (void)blocks->at(p).word.pin();
    blocks->at(p).word.mark_dirty();
    blocks->at(p).word.unpin();
  }
  /// Ends of passes that make `now`, then `next` the headings to expect of an idle runtime.
  void park(heading now, heading next) {
    for (int i = 0; i < 2; ++i)
      for (const heading h : {now, next}) blocks->note_pass_begin(h);
    parked = now, after_parked = next;
  }
  void end_pass_at(std::uint64_t now_ns) { blocks->note_pass_end(idle_since_ns = now_ns, 0); }

  void open(const pass& p) {
    const list_order* list = nullptr;
    if (p.cursor.kind == pass_kind::listed) list = &lists.emplace_back(p.list, size());
    (void)blocks->live_passes().open(p.cursor, list, p.pace_ns);
    passes.push_back(p);
  }
};

pass_cursor cursor(pass_kind kind, std::uint32_t done, heading now, heading next, std::uint8_t window = 0) {
  return {.done = done, .now = now, .next = next, .kind = kind, .live = true, .waiting = false, .window = window};
}

// ---- by brute force ---------------------------------------------------------------------------------------------

/// Uses before a walk comes by.
double count_uses(std::uint32_t length, std::uint32_t done, heading now, heading next, std::uint32_t position) {
  double uses = 0;
  for (std::uint32_t r = done; r < length; ++r, ++uses)
    if ((now == heading::forward ? r : length - 1 - r) == position) return uses;
  for (std::uint32_t r = 0; r < length; ++r, ++uses)
    if ((next == heading::forward ? r : length - 1 - r) == position) return uses;
  return uses;
}

double count_uses(const test_runtime& r, const pass& p, std::uint32_t position) {
  const std::uint32_t length = r.size();
  if (p.cursor.kind == pass_kind::ordered)
    return count_uses(length, p.cursor.done, p.cursor.now, p.cursor.next, position);
  if (p.cursor.kind == pass_kind::data_dependent) return r.blocks->reuse().uses_until(position);
  const auto n = static_cast<std::uint32_t>(p.list.size());
  for (std::uint32_t uses = 0; uses < n; ++uses)
    if (p.list[(p.cursor.done + uses) % n] == position) return uses;
  return 2.0 * (n + length);
}

/// The worth of a block by the rules in selection.hpp; nothing if it is in a near window or needed too soon.
std::optional<score> expected_worth(const test_runtime& r, std::uint32_t position, const selection_limits& limits) {
  const auto pages = static_cast<double>(r.pages[position]);
  if (r.passes.empty()) {
    const double uses = count_uses(r.size(), 0, r.parked, r.after_parked, position);
    return score{true, r.idle_since_ns, (uses + 1) * pages};
  }
  double away_ns = 1e300;
  for (const pass& p : r.passes) {
    const double uses = count_uses(r, p, position);
    const bool has_window = p.cursor.kind != pass_kind::data_dependent && !(p.cursor.waiting && limits.waiting_windows);
    if (has_window && uses < p.cursor.window) return std::nullopt;
    away_ns = std::min(away_ns, (uses + 1) * static_cast<double>(std::max<std::uint64_t>(p.pace_ns, 1)));
  }
  if (away_ns <= limits.later_than_ns) return std::nullopt;
  return score{false, 0, away_ns * pages};
}

bool takeable(const core::block_bits w) {
  return w.resident() && w.pins() == 0 && w.protections() == 0 && !w.claimed() && !w.dirty() && !w.writing_back();
}
bool takeable_but_dirty(const core::block_bits w) {
  return w.resident() && w.pins() == 0 && w.protections() == 0 && w.dirty();
}

/// The best worth among the blocks of these runtimes whose word is as wished.
std::optional<score> best_worth(const std::vector<test_runtime>& all, const selection_limits& limits,
                                bool (*wished)(core::block_bits)) {
  std::optional<score> best;
  for (const test_runtime& r : all) {
    for (std::uint32_t p = 0; p < r.size(); ++p) {
      if (!wished(r.blocks->at(p).word.load())) continue;
      const auto worth = expected_worth(r, p, limits);
      if (worth && (!best || *best < *worth)) best = worth;
    }
  }
  return best;
}

bool same(const std::optional<score>& a, const std::optional<score>& b) {
  if (!a || !b) return !a && !b;
  return !(*a < *b) && !(*b < *a);
}
std::string say(const std::optional<score>& s) {
  return s ? fmt::format("{} {} {}", s->idle ? "idle" : "live", s->idle_since_ns, s->value) : "none";
}

std::optional<score> worth_of(const std::optional<core::victim>& v) {
  return v ? std::optional(v->worth) : std::nullopt;
}

/// A victim must be a block that could be one, with the worth that it has.
void expect_valid(const std::vector<test_runtime>& all, const std::optional<core::victim>& v,
                  const selection_limits& limits, bool (*wished)(core::block_bits)) {
  if (!v) return;
  const test_runtime& r = all[v->runtime];
  ASSERT_TRUE(wished(r.blocks->at(v->position).word.load()));
  ASSERT_EQ(v->pages, r.pages[v->position]);
  const auto expected = expected_worth(r, v->position, limits);
  ASSERT_TRUE(same(expected, v->worth)) << say(v->worth) << " instead of " << say(expected);
}

// ---- random scenes ----------------------------------------------------------------------------------------------

std::vector<std::uint64_t> random_pages(std::mt19937_64& random, std::uint64_t distinct_sizes) {
  std::vector<std::uint64_t> sizes(distinct_sizes);
  for (auto& s : sizes) s = 1 + random() % 50;
  std::vector<std::uint64_t> pages(1 + random() % 100);
  for (auto& p : pages) p = sizes[random() % sizes.size()];
  return pages;
}

void randomize_blocks(test_runtime& r, std::mt19937_64& random) {
  const auto crowd = 1 + random() % 4;
  for (std::uint32_t p = 0; p < r.size(); ++p) {
    auto& word = r.blocks->at(p).word;
    core::block_bits seen;
    if (random() % 4 < crowd) r.load(p);
    if (word.load().resident() && random() % 5 == 0) r.dirty(p);
    if (word.load().dirty() && random() % 3 == 0) (void)word.begin_write_back();
    if (random() % 8 == 0) (void)word.pin();
    if (random() % 8 == 0) (void)word.protect(seen), r.blocks->withdraw(p);
    seen = word.load();
    if (seen.evictable() && random() % 20 == 0) (void)word.claim(seen);
    if (random() % 10 == 0) r.blocks->offer(p);  // bits may be superfluous
    for (auto uses = random() % 3; uses > 0; --uses) r.blocks->reuse().note_use(p);
    if (random() % 8 == 0) r.blocks->reuse().expect_soon(p);
  }
}

heading some_heading(std::mt19937_64& random) { return random() % 2 ? heading::reverse : heading::forward; }

pass some_pass(std::mt19937_64& random, pass_kind kind, std::uint32_t length, heading now, heading next) {
  pass p{.cursor = cursor(kind, 0, now, next), .pace_ns = random() % 9, .list = {}};
  p.cursor.done = static_cast<std::uint32_t>(random() % (length + 1));
  p.cursor.window = random() % 2 ? 0 : static_cast<std::uint8_t>(random() % (length + 2));
  p.cursor.waiting = random() % 4 == 0;
  if (kind == pass_kind::listed) {
    p.list.resize(1 + random() % (2 * length));
    for (auto& b : p.list) b = static_cast<std::uint32_t>(random() % length);
    p.cursor.done = static_cast<std::uint32_t>(random() % (p.list.size() + 1));
  }
  return p;
}

enum class scene { idle, one_walk, forward_walks, reverse_walks, listed, data_dependent, anything };

test_runtime some_runtime(std::mt19937_64& random, scene what, std::uint64_t distinct_sizes) {
  using enum heading;
  test_runtime r(random_pages(random, distinct_sizes));
  randomize_blocks(r, random);
  if (random() % 3) r.park(some_heading(random), some_heading(random));
  r.end_pass_at(random() % 3);
  r.blocks->move_hand(static_cast<std::uint32_t>(random() % 1000));
  const auto open = [&](pass_kind kind, heading now, heading next) {
    r.open(some_pass(random, kind, r.size(), now, next));
  };
  const auto several = 1 + random() % 5;
  switch (what) {
    case scene::idle:
      break;
    case scene::one_walk:
      open(pass_kind::ordered, some_heading(random), some_heading(random));
      break;
    case scene::forward_walks:
      for (std::size_t i = 0; i < several; ++i) open(pass_kind::ordered, forward, forward);
      break;
    case scene::reverse_walks:
      for (std::size_t i = 0; i < several; ++i) open(pass_kind::ordered, reverse, reverse);
      break;
    case scene::listed:
      open(pass_kind::listed, some_heading(random), some_heading(random));
      break;
    case scene::data_dependent:
      open(pass_kind::data_dependent, forward, forward);
      break;
    case scene::anything:
      for (std::size_t i = 0; i < several; ++i)
        open(static_cast<pass_kind>(random() % 3), some_heading(random), some_heading(random));
  }
  return r;
}

selection_limits some_limits(std::mt19937_64& random) {
  const auto later_than = random() % 2 ? 0 : random() % 200;
  return {.later_than_ns = static_cast<double>(later_than), .waiting_windows = random() % 2 == 0};
}

void expect_exact(std::mt19937_64& random, const std::vector<scene>& scenes, std::uint64_t distinct_sizes) {
  std::vector<test_runtime> all;
  for (const scene what : scenes) all.push_back(some_runtime(random, what, distinct_sizes));
  const selection_limits limits = some_limits(random);
  selection s(limits);
  for (std::uint32_t i = 0; i < all.size(); ++i) s.consider(i, *all[i].blocks);

  const auto best = best_worth(all, limits, takeable), dirty = best_worth(all, limits, takeable_but_dirty);
  ASSERT_TRUE(same(worth_of(s.best()), best)) << say(worth_of(s.best())) << " instead of " << say(best);
  ASSERT_NO_FATAL_FAILURE(expect_valid(all, s.best(), limits, takeable));
  ASSERT_NO_FATAL_FAILURE(expect_valid(all, s.best_dirty(), limits, takeable_but_dirty));
  if (dirty && (!best || *best < *dirty)) {
    ASSERT_TRUE(same(worth_of(s.best_dirty()), dirty))
        << "a dirty block would be better: " << say(worth_of(s.best_dirty())) << " instead of " << say(dirty);
  }
}

/// The scenes in which the first acceptable candidate behind a cursor is the best.
class exact_selection : public testing::TestWithParam<scene> {};

void PrintTo(scene what, std::ostream* out) {
  constexpr std::array names = {"idle", "one_walk", "forward_walks", "reverse_walks", "listed", "data_dependent"};
  *out << names.at(static_cast<std::size_t>(what));
}
INSTANTIATE_TEST_SUITE_P(of, exact_selection,
                         testing::Values(scene::idle, scene::one_walk, scene::forward_walks, scene::reverse_walks,
                                         scene::listed, scene::data_dependent),
                         testing::PrintToStringParamName());

TEST_P(exact_selection, finds_as_good_a_victim_as_looking_at_every_block) {
  std::mt19937_64 random(run_seed());
  for (int i = 0; i < 2000; ++i)
    ASSERT_NO_FATAL_FAILURE(expect_exact(random, {GetParam()}, 1 + random() % 4)) << "scene " << i;
}

TEST(selection, is_exact_for_more_sizes_than_classes) {
  std::mt19937_64 random(run_seed());
  for (const scene what : {scene::idle, scene::one_walk, scene::forward_walks, scene::reverse_walks, scene::listed})
    for (int i = 0; i < 1000; ++i) ASSERT_NO_FATAL_FAILURE(expect_exact(random, {what}, 40)) << "scene " << i;
}

TEST(selection, is_exact_over_several_runtimes) {
  std::mt19937_64 random(run_seed());
  for (int i = 0; i < 2000; ++i) {
    std::vector<scene> scenes(1 + random() % 5);
    for (auto& s : scenes) s = static_cast<scene>(random() % 6);
    ASSERT_NO_FATAL_FAILURE(expect_exact(random, scenes, 1 + random() % 4)) << "scene " << i;
  }
}

TEST(selection, that_looks_at_every_block_is_exact_for_any_passes) {
  std::mt19937_64 random(run_seed());
  for (int i = 0; i < 1000; ++i) {
    std::vector<test_runtime> all;
    for (int n = 0; n < 3; ++n)
      all.push_back(some_runtime(random, random() % 4 ? scene::anything : scene::idle, 1 + random() % 20));
    const selection_limits limits = some_limits(random);
    selection s(limits);
    for (std::uint32_t r = 0; r < all.size(); ++r) s.consider_all(r, *all[r].blocks);
    ASSERT_TRUE(same(worth_of(s.best()), best_worth(all, limits, takeable)));
    ASSERT_TRUE(same(worth_of(s.best_dirty()), best_worth(all, limits, takeable_but_dirty)));
    expect_valid(all, s.best(), limits, takeable);
  }
}

TEST(selection, finds_a_valid_victim_where_it_is_a_heuristic) {
  std::mt19937_64 random(run_seed());
  double worst = 1, sum = 0;
  int live = 0, best_possible = 0;
  for (int i = 0; i < 3000; ++i) {
    std::vector<test_runtime> all;
    all.push_back(some_runtime(random, scene::anything, 1 + random() % 4));
    const selection_limits limits = some_limits(random);
    selection s(limits);
    s.consider(0, *all[0].blocks);
    const auto best = best_worth(all, limits, takeable);
    ASSERT_EQ(s.best().has_value(), best.has_value()) << "it misses none where there is one";
    ASSERT_NO_FATAL_FAILURE(expect_valid(all, s.best(), limits, takeable));
    if (!best) continue;
    const double fraction = s.best()->worth.value / best->value;
    ++live, sum += fraction, worst = std::min(worst, fraction), best_possible += fraction == 1;
  }
  fmt::print("mixed headings and kinds: worth {:.3f} of the best on average, {:.3f} at worst, the best in {} of {}\n",
             sum / live, worst, best_possible, live);
  RecordProperty("mean_worth", std::to_string(sum / live));
  EXPECT_GT(live, 1000);
}

// ---- one by one -------------------------------------------------------------------------------------------------

TEST(score, idle_comes_before_live_longest_idle_first_then_by_value) {
  const score live{false, 0, 1e12}, recent{true, 200, 5}, old{true, 100, 5}, old_and_far{true, 100, 6};
  EXPECT_LT(live, recent);
  EXPECT_LT(recent, old);
  EXPECT_LT(old, old_and_far);
  EXPECT_FALSE(old_and_far < live);
  EXPECT_FALSE(old < old);
  EXPECT_LT((score{false, 7, 1}), (score{false, 3, 2})) << "since when counts for the idle only";
}

std::optional<core::victim> choose(test_runtime& r, const selection_limits& limits = {}) {
  selection s(limits);
  s.consider(0, *r.blocks);
  return s.best();
}

TEST(selection, of_a_listed_pass_a_larger_block_goes_before_one_that_is_a_little_farther) {
  using enum heading;
  test_runtime r({100, 1});
  r.load_all();
  r.open({.cursor = cursor(pass_kind::listed, 0, forward, forward), .pace_ns = 1, .list = {0, 1}});
  ASSERT_TRUE(choose(r));
  EXPECT_EQ(choose(r)->position, 0u) << "(0 + 1) x 100 against (1 + 1) x 1";
}

TEST(selection, of_a_shared_size_class_the_larger_block_goes_though_it_is_a_little_nearer) {
  std::vector<std::uint64_t> pages;
  for (std::uint64_t n = 1; n <= 32; ++n) pages.push_back(n * n);
  std::swap(pages[20], pages[31]);
  std::swap(pages[21], pages[30]);
  test_runtime r(pages);
  r.load(20), r.load(21);
  ASSERT_EQ(r.blocks->bits().classes().back().members->next(20, 21), 20u);
  ASSERT_EQ(r.blocks->bits().classes().back().members->next(21, 22), 21u);
  ASSERT_TRUE(choose(r));
  EXPECT_EQ(choose(r)->position, 20u) << "(20 + 1) x 1024 against (21 + 1) x 961";
}

TEST(selection, takes_the_block_of_a_data_dependent_pass_that_is_estimated_to_come_last) {
  using enum heading;
  test_runtime r(std::vector<std::uint64_t>(12, 1));
  r.load_all();
  r.open({.cursor = cursor(pass_kind::data_dependent, 0, forward, forward), .pace_ns = 1, .list = {}});
  for (int round = 0; round < 4; ++round)
    for (std::uint32_t p = 0; p < 12; ++p) r.blocks->reuse().note_use(p);
  EXPECT_EQ(choose(r)->position, 6u) << "it comes last, but for the five just used";
  r.blocks->reuse().note_use(0);
  EXPECT_EQ(choose(r)->position, 7u);
  r.blocks->reuse().expect_soon(7);
  EXPECT_EQ(choose(r)->position, 6u);
}

TEST(selection, looks_at_other_blocks_the_next_time_where_there_are_very_many) {
  using enum heading;
  test_runtime r(std::vector<std::uint64_t>(2000, 1));
  r.load_all();
  r.open({.cursor = cursor(pass_kind::data_dependent, 0, forward, forward), .pace_ns = 1, .list = {}});
  for (std::uint32_t p = 0; p < 2000; ++p) r.blocks->reuse().note_use(p);
  std::vector<std::uint32_t> chosen;
  for (int i = 0; i < 4; ++i) chosen.push_back(choose(r)->position);
  EXPECT_EQ(chosen, (std::vector<std::uint32_t>{0, 512, 1024, 0})) << "the first used of each 512 from the hand on";
}

TEST(selection, withdraws_superfluous_bits_that_it_meets) {
  test_runtime r(std::vector<std::uint64_t>(5, 1));
  r.load(1);
  for (std::uint32_t p = 0; p < 5; ++p) r.blocks->offer(p);
  EXPECT_EQ(choose(r)->position, 1u);
  EXPECT_FALSE(r.blocks->bits().test(4)) << "farther, and absent";
  EXPECT_TRUE(r.blocks->bits().test(1));
}

TEST(selection, an_empty_runtime_offers_nothing) {
  using enum heading;
  test_runtime none({});
  EXPECT_FALSE(choose(none));
  none.open({.cursor = cursor(pass_kind::data_dependent, 0, forward, forward), .pace_ns = 1, .list = {}});
  EXPECT_FALSE(choose(none));
}

/// Steps of one selection among so many blocks of four sizes, most of them resident, with the passes that `open` opens.
template <class Open>
int steps_of_selection(std::uint32_t size, const selection_limits& limits, Open&& open) {
  std::vector<std::uint64_t> pages(size);
  for (std::uint32_t p = 0; p < size; ++p) pages[p] = 1 + p % 4;
  core::runtime_blocks<interrupted_atomics> blocks(pages);
  for (std::uint32_t p = 0; p < size; p += 1 + p % 7) {
    (void)blocks.at(p).word.begin_load();
    blocks.at(p).word.publish();
    blocks.offer(p);
  }
  open(blocks.live_passes());
  core::selection<interrupted_atomics> s(limits);
  const int steps = steps_of([&] { s.consider(0, blocks); });
  EXPECT_EQ(s.best().has_value(), limits.later_than_ns == 0);
  return steps;
}

constexpr selection_limits everything_too_soon{.later_than_ns = 1e18, .waiting_windows = false};

TEST(selection, takes_a_few_loads_at_any_number_of_blocks) {
  using enum heading;
  const auto steps_with = [](std::uint32_t size, const selection_limits& limits, std::vector<std::uint32_t> cursors) {
    return steps_of_selection(size, limits, [&](auto& passes) {
      for (const std::uint32_t done : cursors)
        (void)passes.open(cursor(pass_kind::ordered, done, forward, forward, 4), nullptr, 5);
    });
  };
  EXPECT_LE(steps_with(1'000, {}, {300, 500}), 100);
  EXPECT_LE(steps_with(100'000, {}, {300, 33'000}), 150) << "a level or two more for each class and pass";
  EXPECT_LE(steps_with(100'000, {}, {}), 100) << "idle";
  EXPECT_LE(steps_with(100'000, everything_too_soon, {300}), 100) << "prefetch that finds no victim";
}

TEST(selection, takes_a_few_loads_for_a_list_of_all_blocks) {
  using enum heading;
  const auto steps_with = [](std::uint32_t size, const selection_limits& limits) {
    std::vector<std::uint32_t> order(size);
    std::iota(order.rbegin(), order.rend(), 0u);
    const list_order list(order, size);
    return steps_of_selection(size, limits, [&](auto& passes) {
      (void)passes.open(cursor(pass_kind::listed, size / 3, forward, forward, 4), &list, 5);
    });
  };
  EXPECT_LE(steps_with(1'000, {}), 100);
  EXPECT_LE(steps_with(100'000, {}), 100);
  EXPECT_LE(steps_with(100'000, everything_too_soon), 100);
}

}  // namespace
}  // namespace pinrail::test
