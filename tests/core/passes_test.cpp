// Live passes: cursors that come back as they were packed, slots that are exclusive, and views of the live ones only.
#include "core/passes.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

#include "support/interrupted_atomics.hpp"
#include "support/seed.hpp"
#include "support/threads.hpp"

namespace pinrail::test {
namespace {

using core::heading;
using core::pass_cursor;
using core::pass_kind;
using passes = core::passes<core::native_atomics>;

pass_cursor live_cursor(std::uint32_t done) {
  return {.done = done,
          .now = heading::forward,
          .next = heading::forward,
          .kind = pass_kind::ordered,
          .live = true,
          .waiting = false,
          .window = 2};
}

template <class Passes>
std::vector<std::uint32_t> places_done(const Passes& p) {
  std::vector<std::uint32_t> all;
  p.for_each([&](const auto& view) { all.push_back(view.cursor.done); });
  return all;
}

TEST(pass_cursor, comes_back_as_it_was_packed) {
  std::mt19937_64 random(run_seed());
  for (int i = 0; i < 2000; ++i) {
    const auto r = random();
    const pass_cursor c{.done = i % 3 == 0 ? UINT32_MAX : static_cast<std::uint32_t>(random()),
                        .now = r & 1 ? heading::reverse : heading::forward,
                        .next = r & 2 ? heading::reverse : heading::forward,
                        .kind = static_cast<pass_kind>(r / 4 % 3),
                        .live = (r & 64) != 0,
                        .waiting = (r & 128) != 0,
                        .window = static_cast<std::uint8_t>(r >> 8)};
    const auto back = pass_cursor::unpack(c.pack());
    ASSERT_EQ(back.done, c.done);
    ASSERT_EQ(back.now, c.now);
    ASSERT_EQ(back.next, c.next);
    ASSERT_EQ(back.kind, c.kind);
    ASSERT_EQ(back.live, c.live);
    ASSERT_EQ(back.waiting, c.waiting);
    ASSERT_EQ(back.window, c.window);
  }
  EXPECT_FALSE(pass_cursor::unpack(0).live) << "an empty slot shows no pass";
}

TEST(passes, shows_each_live_pass_as_it_is_now) {
  auto p = std::make_unique<passes>();
  const core::list_order list({1, 0, 1}, 2);
  EXPECT_EQ(p->live(), 0u);
  EXPECT_TRUE(places_done(*p).empty());
  const auto a = p->open(live_cursor(7), nullptr, 100);
  const auto b = p->open(live_cursor(8), &list, 200);
  ASSERT_NE(a, b);
  EXPECT_EQ(p->live(), 2u);
  p->advance(b, live_cursor(9));
  p->set_pace(b, 300);
  p->for_each([&](const passes::view& v) {
    const bool first = v.cursor.done == 7;
    EXPECT_EQ(v.cursor.done, first ? 7u : 9u);
    EXPECT_EQ(v.list, first ? nullptr : &list);
    EXPECT_EQ(v.pace_ns, first ? 100u : 300u);
  });
  p->close(a);
  EXPECT_EQ(places_done(*p), std::vector<std::uint32_t>{9});
  EXPECT_EQ(p->live(), 1u);
  p->close(b);
  EXPECT_TRUE(places_done(*p).empty());
}

TEST(passes, refuses_one_more_than_its_slots_and_takes_it_when_one_is_free) {
  auto p = std::make_unique<passes>();
  for (std::uint32_t i = 0; i < passes::capacity; ++i) ASSERT_NE(p->open(live_cursor(i), nullptr, 0), passes::none);
  EXPECT_EQ(p->open(live_cursor(99), nullptr, 0), passes::none);
  EXPECT_EQ(p->live(), passes::capacity);
  EXPECT_EQ(places_done(*p).size(), passes::capacity);
  p->close(31);
  EXPECT_EQ(places_done(*p).size(), passes::capacity - 1);
  EXPECT_EQ(p->open(live_cursor(99), nullptr, 0), 31u);
  const auto done = places_done(*p);
  EXPECT_EQ(std::count(done.begin(), done.end(), 99u), 1);
}

TEST(passes, looks_at_as_many_slots_as_were_ever_taken) {
  auto p = std::make_unique<core::passes<interrupted_atomics>>();
  const auto look = [&] { (void)places_done(*p); };
  EXPECT_EQ(steps_of(look), 1);
  for (std::uint32_t i = 0; i < 3; ++i) (void)p->open(live_cursor(i), nullptr, 0);
  EXPECT_LE(steps_of(look), 1 + 3 * 3);
}

TEST(passes, an_open_interrupted_by_another_has_a_slot_of_its_own) {
  const int steps = at_every_step([](int step) {
    auto p = std::make_unique<core::passes<interrupted_atomics>>();
    std::uint32_t first = 0, second = passes::none;
    const bool met = interrupted(
        step, [&] { first = p->open(live_cursor(1), nullptr, 0); },
        [&] { second = p->open(live_cursor(2), nullptr, 0); });
    EXPECT_NE(first, second) << "before step " << step;
    EXPECT_EQ(p->live(), met ? 2u : 1u);
    EXPECT_EQ(places_done(*p).size(), met ? 2u : 1u) << "before step " << step;
    return met;
  });
  EXPECT_GT(steps, 5);
}

TEST(passes, a_slot_is_not_handed_on_before_its_pass_is_out_of_sight) {
  at_every_step([](int step) {
    auto p = std::make_unique<core::passes<interrupted_atomics>>();
    const auto old = p->open(live_cursor(1), nullptr, 0);
    const bool met = interrupted(
        step, [&] { p->close(old); }, [&] { (void)p->open(live_cursor(2), nullptr, 0); });
    EXPECT_EQ(places_done(*p), met ? std::vector<std::uint32_t>{2} : std::vector<std::uint32_t>{}) << "step " << step;
    EXPECT_EQ(p->live(), met ? 1u : 0u);
    return met;
  });
}

TEST(passes, threads_never_share_a_slot) {
  auto p = std::make_unique<passes>();
  std::vector<int> owner(passes::capacity, -1);  // plain: ThreadSanitizer reports a slot that two threads hold
  on_threads(4, [&](int t) {
    for (std::uint32_t i = 0; i < 20'000; ++i) {
      const auto slot = p->open(live_cursor(i), nullptr, i);
      ASSERT_NE(slot, passes::none);
      ASSERT_EQ(std::exchange(owner[slot], t), -1);
      p->advance(slot, live_cursor(i + 1));
      std::uint32_t seen = 0;
      p->for_each([&](const passes::view& v) { seen += v.cursor.live; });
      ASSERT_GE(seen, 1u) << "its own at least";
      ASSERT_EQ(std::exchange(owner[slot], -1), t);
      p->close(slot);
    }
  });
  EXPECT_EQ(p->live(), 0u);
  EXPECT_TRUE(places_done(*p).empty());
}

// (23) -> (24). ThreadSanitizer reports it if a list is read that was not shown in order.
TEST(passes, a_list_is_complete_for_who_saw_the_cursor_before) {
  constexpr std::uint32_t lists = 400'000;
  auto p = std::make_unique<passes>();
  pass_cursor listed = live_cursor(0);
  listed.kind = pass_kind::listed;
  std::vector<std::unique_ptr<core::list_order>> all(lists);  // each is made when its turn comes; none is freed
  core::atomic<bool> ended{false};
  on_threads(2, [&](int t) {
    if (t == 0) {
      for (auto& list : all) {
        list = std::make_unique<core::list_order>(std::vector<std::uint32_t>{1, 0, 1}, 2);
        p->close(p->open(listed, list.get(), 0));
      }
      ended.store(true, core::order::release);
    }
    while (!ended.load(core::order::acquire))
      p->for_each([](const passes::view& v) { ASSERT_EQ(v.list->length(), 3u); });
  });
}

}  // namespace
}  // namespace pinrail::test
