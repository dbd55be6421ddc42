// The page map: against vector<bool>, takes that collide at any step, and threads that write what they took (M1).
#include "core/page_map.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "support/interrupted_atomics.hpp"
#include "support/seed.hpp"
#include "support/threads.hpp"

namespace pinrail::test {
namespace {

using core::page_run;
using page_map = core::page_map<core::native_atomics>;
using interrupted_map = core::page_map<interrupted_atomics>;

// ---- against a model --------------------------------------------------------------------------------------------

class page_model {
 public:
  explicit page_model(std::uint32_t pages) : taken_(pages) {}

  [[nodiscard]] bool all_free(page_run run) const {
    for (std::uint32_t p = run.first; p < run.end(); ++p)
      if (taken_[p]) return false;
    return true;
  }
  void set(page_run run, bool value) {
    for (std::uint32_t p = run.first; p < run.end(); ++p) taken_[p] = value;
  }
  [[nodiscard]] bool taken(std::uint32_t page) const { return taken_[page]; }
  [[nodiscard]] page_run free_run(std::uint32_t from) const {
    while (from < taken_.size() && taken_[from]) ++from;
    std::uint32_t end = from;
    while (end < taken_.size() && !taken_[end]) ++end;
    return {from, end - from};
  }
  /// The smallest run that holds so many, the lowest of equals.
  [[nodiscard]] page_run best(std::uint32_t count) const {
    page_run best{0, 0};
    for (page_run run = free_run(0); run.count > 0; run = free_run(run.end()))
      if (run.count >= count && (best.count == 0 || run.count < best.count)) best = run;
    return best.count == 0 ? page_run{0, 0} : page_run{best.first, count};
  }

 private:
  std::vector<bool> taken_;
};

class page_map_of_size : public testing::TestWithParam<std::uint32_t> {
 protected:
  page_run some_run() {
    const std::uint32_t size = GetParam();
    const auto first = static_cast<std::uint32_t>(random_() % size);
    const auto longest = random_() % 3 == 0 ? size - first : std::min(size - first, 70u);
    return {first, static_cast<std::uint32_t>(1 + random_() % longest)};
  }
  void take_exactly(page_run run) {
    const bool free = model_.all_free(run);
    ASSERT_EQ(map_.take(run), free) << run.first << " + " << run.count;
    if (free) keep(run);
  }
  void take_best(std::uint32_t count) {
    const page_run expected = model_.best(count), got = map_.take_best(count);
    ASSERT_EQ(got, expected) << count << " pages: " << got.first << " instead of " << expected.first;
    if (got.count > 0) keep(got);
  }
  void give_one() {
    if (held_.empty()) return;
    const std::size_t i = random_() % held_.size();
    std::swap(held_[i], held_.back());
    map_.give(held_.back());
    model_.set(held_.back(), false);
    held_.pop_back();
  }
  void expect_same() {
    for (std::uint32_t p = 0; p < GetParam(); ++p) ASSERT_EQ(map_.taken(p), model_.taken(p)) << "page " << p;
    for (std::uint32_t from = 0; from <= GetParam(); ++from) {
      const page_run expected = model_.free_run(from);
      ASSERT_EQ(map_.free_run(from), expected) << "from " << from;
    }
  }

  page_map map_{GetParam()};
  page_model model_{GetParam()};
  std::vector<page_run> held_;
  std::mt19937_64 random_{run_seed()};

 private:
  void keep(page_run run) {
    model_.set(run, true);
    held_.push_back(run);
  }
};
INSTANTIATE_TEST_SUITE_P(sizes, page_map_of_size, testing::Values(1, 63, 64, 65, 128, 200, 1000, 2000),
                         testing::PrintToStringParamName());

TEST_P(page_map_of_size, does_what_a_vector_of_bool_does) {
  EXPECT_EQ(map_.size(), GetParam());
  for (int i = 0; i < 3000; ++i) {
    switch (random_() % 4) {
      case 0:
        take_exactly(some_run());
        break;
      case 1:
        take_best(static_cast<std::uint32_t>(1 + random_() % (GetParam() / 8 + 1)));
        break;
      default:
        give_one();
    }
    if (i % 20 == 0) expect_same();
    if (HasFatalFailure()) return;
  }
}

TEST_P(page_map_of_size, can_be_taken_whole_and_page_by_page) {
  const std::uint32_t size = GetParam();
  EXPECT_EQ(map_.take_best(size), (page_run{0, size}));
  EXPECT_EQ(map_.free_run(0).count, 0u);
  EXPECT_EQ(map_.take_best(1).count, 0u);
  map_.give({0, size});
  for (std::uint32_t p = 0; p < size; ++p) ASSERT_EQ(map_.take_best(1), (page_run{p, 1}));
  EXPECT_EQ(map_.take_best(1).count, 0u);
  EXPECT_FALSE(map_.take({size - 1, 1}));
  map_.give({size - 1, 1});
  EXPECT_EQ(map_.free_run(0), (page_run{size - 1, 1}));
}

TEST(page_map, a_run_of_no_pages_takes_nothing) {
  page_map m(100);
  EXPECT_TRUE(m.take({50, 0}));
  EXPECT_EQ(m.free_run(0), (page_run{0, 100}));
}

// ---- interrupted ------------------------------------------------------------------------------------------------

std::vector<std::uint32_t> taken_pages(const interrupted_map& m) {
  std::vector<std::uint32_t> all;
  for (std::uint32_t p = 0; p < m.size(); ++p)
    if (m.taken(p)) all.push_back(p);
  return all;
}

TEST(page_map, of_two_takes_that_collide_one_succeeds_and_the_other_leaves_nothing) {
  const page_run runs[] = {{0, 260}, {10, 60}, {60, 70}, {63, 2}, {64, 64}, {100, 160}, {255, 1}, {0, 1}};
  int collisions = 0;
  for (const page_run a : runs) {
    for (const page_run b : runs) {
      at_every_step([&](int step) {
        interrupted_map m(260);
        bool first = false, second = false;
        const bool met = interrupted(
            step, [&] { first = m.take(a); }, [&] { second = m.take(b); });
        const bool overlap = a.first < b.end() && b.first < a.end();
        EXPECT_EQ(first + second, met && !overlap ? 2 : 1) << a.first << " and " << b.first << ", step " << step;
        collisions += met && overlap;
        EXPECT_EQ(taken_pages(m).size(), (first ? a.count : 0) + (second ? b.count : 0));
        for (const page_run run : {first ? a : page_run{}, second ? b : page_run{}})
          for (std::uint32_t p = run.first; p < run.end(); ++p) EXPECT_TRUE(m.taken(p));
        return met;
      });
    }
  }
  EXPECT_GT(collisions, 100);
}

TEST(page_map, a_best_take_that_loses_its_run_finds_another) {
  const int steps = at_every_step([](int step) {
    interrupted_map m(130);
    EXPECT_TRUE(m.take({70, 20}));  // free: 0 to 69, 90 to 129
    page_run got, others;
    const bool met = interrupted(
        step, [&] { got = m.take_best(40); }, [&] { others = m.take_best(40); });
    EXPECT_EQ(got.count, 40u) << "before step " << step;
    EXPECT_EQ(others.count, met ? 40u : 0u) << "before step " << step;
    EXPECT_EQ(taken_pages(m).size(), met ? 100u : 60u);
    return met;
  });
  EXPECT_GT(steps, 4);
}

// ---- threads ----------------------------------------------------------------------------------------------------

/// A thread that writes its name on the pages it takes, and looks whether it is still there before it gives them.
class page_writer {
 public:
  page_writer(page_map& map, std::vector<int>& owner, int name, std::uint64_t seed)
      : map_(map), owner_(owner), name_(name), random_(seed + static_cast<std::uint64_t>(name)) {}

  void take() {
    const auto count = static_cast<std::uint32_t>(1 + random_() % (random_() % 8 == 0 ? 100 : 20));
    page_run run{static_cast<std::uint32_t>(random_() % (map_.size() - count + 1)), count};
    if (random_() % 2) {
      run = map_.take_best(count);
    } else if (!map_.take(run)) {
      return;
    }
    sign(run, -1, name_);
    taken_pages_ += run.count;
    if (run.count > 0) held_.push_back(run);
  }
  void give() {
    sign(held_.front(), name_, -1);
    map_.give(held_.front());
    held_.erase(held_.begin());
  }
  /// Says how many pages it took in all.
  std::uint64_t run(int rounds) {
    for (int i = 0; i < rounds && !testing::Test::HasFailure(); ++i) {
      held_.size() > random_() % 4 ? give() : take();
      if (i % 128 == 0) std::this_thread::yield();
    }
    while (!held_.empty()) give();
    return taken_pages_;
  }

 private:
  void sign(page_run run, int before, int after) {
    for (std::uint32_t p = run.first; p < run.end(); ++p)
      EXPECT_EQ(std::exchange(owner_[p], after), before) << "page " << p << ", thread " << name_;
  }

  page_map& map_;
  std::vector<int>& owner_;
  int name_;
  std::mt19937_64 random_;
  std::vector<page_run> held_;
  std::uint64_t taken_pages_ = 0;
};

TEST(page_map, no_two_threads_ever_hold_the_same_page) {
  const std::uint64_t seed = run_seed();
  page_map m(150);
  std::vector<int> owner(m.size(), -1);  // plain: ThreadSanitizer reports a page that two threads write
  core::atomic<std::uint64_t> taken_pages{0};
  on_threads(4,
             [&](int t) { taken_pages.fetch_add(page_writer(m, owner, t, seed).run(20'000), core::order::relaxed); });
  EXPECT_GT(taken_pages.load(core::order::relaxed), 10u * m.size()) << "all pages changed hands";
  EXPECT_EQ(m.free_run(0), (page_run{0, m.size()})) << "every page came back";
}

}  // namespace
}  // namespace pinrail::test
