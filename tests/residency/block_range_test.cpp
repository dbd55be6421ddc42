#include "pinrail/block_range.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace pinrail::test {
namespace {

static_assert(std::bidirectional_iterator<block_range::iterator>);

TEST(block_range, counts_up_and_down) {
  const block_range three(3);
  EXPECT_EQ(three.size(), 3u);
  EXPECT_THAT(std::vector<block_index>(three.begin(), three.end()), testing::ElementsAre(0, 1, 2));
  std::vector<block_index> down;
  for (auto at = three.end(); at != three.begin();) down.push_back(*--at);
  EXPECT_THAT(down, testing::ElementsAre(2, 1, 0));
}

TEST(block_range, may_be_empty) {
  EXPECT_TRUE(block_range(0).empty());
  EXPECT_EQ(block_range(0).begin(), block_range(0).end());
}

}  // namespace
}  // namespace pinrail::test
