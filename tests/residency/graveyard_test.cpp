// What is retired is freed after the readers of its time have left, and no earlier.
#include <gtest/gtest.h>

#include "residency/graveyard.hpp"
#include "support/rig.hpp"

namespace pinrail::residency {
namespace {

struct graveyard_test : testing::Test {
  graveyard::gate readers;
  graveyard graves;
  std::shared_ptr<int> value = std::make_shared<int>(1);

  [[nodiscard]] bool is_freed() const { return value.use_count() == 1; }
  void retire_something_else() { graves.retire(readers, std::make_shared<int>(2)); }
};

TEST_F(graveyard_test, what_is_retired_is_freed_by_a_later_call) {
  graves.retire(readers, value);
  EXPECT_FALSE(is_freed());
  retire_something_else();
  EXPECT_TRUE(is_freed());
}

TEST_F(graveyard_test, a_reader_of_its_time_holds_it) {
  const auto inside = readers.enter(0);
  graves.retire(readers, value);
  for (int i = 0; i < 4; ++i) retire_something_else();
  EXPECT_FALSE(is_freed());
  readers.leave(inside);
  retire_something_else();
  EXPECT_TRUE(is_freed());
}

TEST_F(graveyard_test, a_reader_of_a_later_time_does_not) {
  graves.retire(readers, value);
  const auto inside = readers.enter(0);
  retire_something_else();
  EXPECT_TRUE(is_freed());
  readers.leave(inside);
}

TEST_F(graveyard_test, the_end_frees_everything) {
  graves.retire(readers, value);
  graves.clear();
  EXPECT_TRUE(is_freed());
}

/// Readers find the number that is current, and it must be alive; writers replace it.
TEST_F(graveyard_test, nothing_is_freed_under_a_reader) {
  constexpr int numbers = 4000;
  core::atomic<const int*> current{value.get()};
  std::shared_ptr<const int> owner = value;
  std::mutex writing;
  core::atomic<int> wrong{0};
  test::on_threads(4, [&](int t) {
    for (int i = 0; i < numbers; ++i) {
      if (t < 2) {
        const auto inside = readers.enter(static_cast<std::uint32_t>(t));
        if (*current.load(core::order::acquire) != 1) wrong.fetch_add(1, core::order::relaxed);
        readers.leave(inside);
        continue;
      }
      std::shared_ptr<const int> old(new int(1), [](int* p) { *p = 0, delete p; });
      {
        const std::lock_guard lock(writing);
        std::swap(old, owner);
        current.store(owner.get(), core::order::seq_cst);
      }
      graves.retire(readers, std::move(old));  // by two threads at once
    }
  });
  EXPECT_EQ(wrong.load(core::order::relaxed), 0);
}

}  // namespace
}  // namespace pinrail::residency
