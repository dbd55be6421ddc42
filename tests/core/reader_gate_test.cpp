// Grace periods: a reader that entered before a flip is waited for, one that came later is not (G1).
#include "core/reader_gate.hpp"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <thread>

#include "support/interrupted_atomics.hpp"
#include "support/threads.hpp"

namespace pinrail::test {
namespace {

constexpr std::uint32_t stripes = 16;
using gate = core::reader_gate<core::native_atomics, stripes>;
using interrupted_gate = core::reader_gate<interrupted_atomics>;

TEST(reader_gate, waits_for_every_reader_from_before_the_flip) {
  gate g;
  const auto a = g.enter(1), b = g.enter(2), same_stripe = g.enter(1 + stripes);
  g.flip();
  EXPECT_FALSE(g.drained());
  g.leave(a);
  EXPECT_FALSE(g.drained());
  g.leave(b);
  EXPECT_FALSE(g.drained());
  g.leave(same_stripe);
  EXPECT_TRUE(g.drained());
}

TEST(reader_gate, does_not_wait_for_readers_from_after_the_flip) {
  gate g;
  g.flip();
  EXPECT_TRUE(g.drained());
  const auto late = g.enter(0);
  EXPECT_TRUE(g.drained());
  g.flip();
  EXPECT_FALSE(g.drained()) << "the next grace period waits for it";
  const auto later = g.enter(0);
  g.leave(late);
  EXPECT_TRUE(g.drained());
  g.leave(later);
  EXPECT_TRUE(g.drained());
}

TEST(reader_gate, counts_readers_of_any_hint) {
  gate g;
  for (const std::uint32_t hint : {0u, 1u, 15u, 16u, 17u, 1'000'003u, UINT32_MAX}) {
    const auto t = g.enter(hint);
    g.flip();
    EXPECT_FALSE(g.drained()) << hint;
    g.leave(t);
    EXPECT_TRUE(g.drained()) << hint;
  }
}

TEST(reader_gate, whoever_has_entered_is_waited_for_though_flips_came_while_it_entered) {
  for (int flips = 1; flips <= 3; ++flips) {
    at_every_step([flips](int step) {
      interrupted_gate g;
      interrupted_gate::token reader;
      bool drained = true;
      const auto flip = [&] {
        for (int i = 0; i < flips && drained; ++i) {
          g.flip();
          drained = g.drained();
        }
      };
      const bool met = interrupted(
          step, [&] { reader = g.enter(0); }, flip);
      if (drained) {  // nobody of the period before is inside, so this reader belongs to the present one
        g.flip();
        EXPECT_FALSE(g.drained()) << flips << " flips before step " << step;
      }
      g.leave(reader);
      EXPECT_TRUE(g.drained());
      g.flip();
      EXPECT_TRUE(g.drained()) << "no count is left in either phase";
      return met;
    });
  }
}

TEST(reader_gate, entering_takes_three_steps_where_no_flip_comes) {
  interrupted_gate g;
  interrupted_gate::token t;
  EXPECT_EQ(steps_of([&] { t = g.enter(0); }), 3);
  EXPECT_EQ(steps_of([&] { g.leave(t); }), 1);
}

/// What readers may find; dead memory shows, to the sanitizers too.
struct node {
  std::uint64_t value;
  ~node() { value = 0; }
};

TEST(reader_gate, memory_is_freed_under_no_reader) {
  gate g;
  core::atomic<node*> shared{new node{1}};
  core::atomic<int> readers_left{3};
  on_threads(4, [&](int t) {
    if (t < 3) {
      for (int i = 0; i < 20'000; ++i) {
        const auto inside = g.enter(static_cast<std::uint32_t>(t % 2));
        const node* n = shared.load(core::order::acquire);
        ASSERT_NE(n->value, 0u);
        if (i % 256 == 0) std::this_thread::yield();
        ASSERT_NE(n->value, 0u) << "freed while it was read";
        g.leave(inside);
      }
      readers_left.fetch_sub(1, core::order::release);
      return;
    }
    do {
      const std::unique_ptr<node> unlinked(shared.exchange(new node{2}, core::order::acq_rel));
      g.flip();
      while (!g.drained()) std::this_thread::yield();
    } while (readers_left.load(core::order::acquire) > 0);
  });
  delete shared.load(core::order::acquire);
}

}  // namespace
}  // namespace pinrail::test
