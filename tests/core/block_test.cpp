// The layout of a block: one cache line, and an extent that comes back as it was set.
#include "core/block.hpp"

#include <gtest/gtest.h>

#include <array>

namespace pinrail::test {
namespace {

using block = core::block<core::native_atomics>;

TEST(block, is_absent_with_no_extent_and_no_uses_at_first) {
  const block b;
  EXPECT_TRUE(b.word.load().absent());
  EXPECT_EQ(b.run(), (core::page_run{0, 0}));
  EXPECT_FALSE(core::ticket(b.ready.load(core::order::relaxed)));
  for (std::size_t i = 0; i < b.uses.capacity; ++i) EXPECT_FALSE(b.uses.read(i));
}

TEST(block, keeps_the_extent_that_was_set_to_its_limits) {
  block b;
  for (const std::uint32_t first : {0u, 1u, UINT32_MAX}) {
    for (const std::uint32_t count : {0u, 1u, 0x80000000u, UINT32_MAX}) {
      b.set_run({first, count});
      EXPECT_EQ(b.run(), (core::page_run{first, count}));
    }
  }
}

TEST(block, shares_no_cache_line_with_its_neighbour) {
  const std::array<block, 3> blocks;
  for (const block& b : blocks) EXPECT_EQ(reinterpret_cast<std::uintptr_t>(&b) % core::cache_line_bytes, 0u);
  EXPECT_EQ(sizeof(blocks), blocks.size() * core::cache_line_bytes);
}

}  // namespace
}  // namespace pinrail::test
