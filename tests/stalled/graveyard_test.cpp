// Two threads retire at once; one is suspended when the other has taken what it brought.
#include <gtest/gtest.h>

#include <thread>

#include "residency/graveyard.hpp"
#include "support/stall.hpp"

namespace pinrail::test {
namespace {

TEST(stalled_graveyard, a_turn_with_nothing_to_turn_ends_no_period) {
  residency::graveyard::gate readers;
  residency::graveyard graves;
  stall before_its_turn(3);
  std::thread suspended([&] {
    const hooked armed(before_its_turn);
    graves.retire(readers, std::make_shared<int>(1));
    before_its_turn.end();
  });
  ASSERT_TRUE(before_its_turn.await());
  graves.retire(readers, std::make_shared<int>(2));  // takes both
  const auto inside = readers.enter(0);
  before_its_turn.resume();
  suspended.join();

  const auto value = std::make_shared<int>(3);
  const auto retire = [&](std::shared_ptr<const int> what) { graves.retire(readers, std::move(what)); };
  retire(value);
  for (int i = 0; i < 3; ++i) retire(std::make_shared<int>(4));
  EXPECT_EQ(value.use_count(), 2) << "freed under a reader";
  readers.leave(inside);
  for (int i = 0; i < 2; ++i) retire(std::make_shared<int>(5));
  EXPECT_EQ(value.use_count(), 1);
}

}  // namespace
}  // namespace pinrail::test
