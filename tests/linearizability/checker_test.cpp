// The checker itself, on histories whose verdict is known.
#include <gtest/gtest.h>

#include <deque>

#include "support/linearizability.hpp"

namespace pinrail::test {
namespace {

struct register_spec {
  using state = int;
  struct operation {
    bool writes;
    int value;
  };
  [[nodiscard]] std::size_t hash(state s) const { return static_cast<std::size_t>(s); }
  template <class Visit>
  void after(state now, const operation& call, Visit&& visit) const {
    if (call.writes || call.value == now) visit(call.value);
  }
  [[nodiscard]] std::string text(const operation& o) const {
    return fmt::format("{} {}", o.writes ? "write" : "read", o.value);
  }
};

constexpr register_spec::operation write(int value) { return {true, value}; }
constexpr register_spec::operation read(int value) { return {false, value}; }
using register_history = history<register_spec::operation>;

struct register_test : testing::Test {
  linearizability<register_spec> checker{register_spec{}};
  /// Of a register that was 0.
  [[nodiscard]] std::vector<int> ends(const register_history& calls) { return checker.explain({0}, calls); }
};
using values = std::vector<int>;

TEST_F(register_test, calls_in_a_row) {
  EXPECT_EQ(ends({{0, 0, 1, write(1)}, {0, 2, 3, read(1)}}), values{1});
  EXPECT_EQ(ends({}), values{0});
}

TEST_F(register_test, a_stale_read_is_rejected) {
  EXPECT_EQ(ends({{0, 0, 1, write(1)}, {1, 2, 3, read(0)}}), values{});
  EXPECT_EQ(checker.text(),
            "   0  thread 0  [   0,    1]  write 1\n"
            "   1  thread 1  [   2,    3]  read 0\n"
            "  longest order: 0; none of these can follow: 1\n");
}

TEST_F(register_test, a_read_beside_a_write_may_see_either_value) {
  EXPECT_EQ(ends({{0, 0, 5, write(1)}, {1, 1, 2, read(0)}, {1, 3, 4, read(1)}}), values{1});
}

TEST_F(register_test, nor_may_it_see_the_old_value_after_the_new) {
  EXPECT_EQ(ends({{0, 0, 5, write(1)}, {1, 1, 2, read(1)}, {2, 3, 4, read(0)}}), values{});
}

TEST_F(register_test, two_readers_must_agree_on_the_order_of_two_writes) {
  register_history calls{{0, 0, 9, write(1)}, {1, 1, 10, write(2)}};
  EXPECT_EQ(ends(calls), (values{2, 1}));
  calls.insert(calls.end(), {{2, 2, 3, read(1)}, {2, 4, 5, read(2)}, {3, 6, 7, read(2)}});
  EXPECT_EQ(ends(calls), values{2});
  calls.push_back({3, 8, 11, read(1)});
  EXPECT_EQ(ends(calls), values{});
}

TEST_F(register_test, each_state_that_it_may_begin_in_is_tried) {
  EXPECT_EQ(checker.explain({3, 5}, {{0, 0, 1, read(5)}}), values{5});
  EXPECT_EQ(checker.explain({3, 5}, {{0, 0, 1, read(4)}}), values{});
}

TEST_F(register_test, calls_may_be_given_in_any_order) {
  EXPECT_EQ(ends({{0, 2, 3, read(1)}, {1, 0, 1, write(1)}}), values{1});
}

TEST_F(register_test, a_set_of_calls_is_tried_once_per_state) {
  register_history calls;
  for (unsigned i = 0; i < 12; ++i) calls.push_back({i, i, 100 + i, write(1)});
  calls.push_back({12, 200, 201, read(2)});  // never: all orders of the writes must be refuted
  EXPECT_EQ(ends(calls), values{});
  EXPECT_EQ(checker.configurations(), 1u << 12);  // not 12! orders
}

TEST_F(register_test, too_long_a_history_is_refused) {
  EXPECT_THROW((void)ends(register_history(65, {0, 0, 1, read(0)})), std::length_error);
  register_history longest;
  for (unsigned i = 0; i < 64; ++i) longest.push_back({0, 2 * i, 2 * i + 1, i % 2 == 0 ? write(1) : read(1)});
  EXPECT_EQ(ends(longest), values{1});
}

/// A queue whose `take` may lose what it took: several states may follow a call.
struct lossy_queue_spec {
  using state = std::deque<int>;
  struct operation {
    bool puts;
    int value;
  };
  [[nodiscard]] std::size_t hash(const state& s) const { return s.size(); }
  template <class Visit>
  void after(const state& now, const operation& call, Visit&& visit) const {
    state next = now;
    if (call.puts) {
      visit(next);  // lost
      next.push_back(call.value);
      return visit(next);
    }
    if (now.empty() || now.front() != call.value) return;
    next.pop_front();
    visit(next);
  }
  [[nodiscard]] std::string text(const operation& o) const {
    return fmt::format("{} {}", o.puts ? "put" : "take", o.value);
  }
};

TEST(lossy_queue_test, each_state_that_may_follow_is_tried) {
  linearizability<lossy_queue_spec> checker{lossy_queue_spec{}};
  EXPECT_EQ(checker.explain({{}}, {{0, 0, 1, {true, 1}}, {0, 2, 3, {true, 2}}, {1, 4, 5, {false, 2}}}).size(), 1u);
  EXPECT_TRUE(
      checker.explain({{}}, {{0, 0, 1, {true, 1}}, {0, 2, 3, {true, 2}}, {1, 4, 5, {false, 2}}, {1, 6, 7, {false, 1}}})
          .empty());
}

}  // namespace
}  // namespace pinrail::test
