#include "device/device_memory.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <limits>

namespace pinrail::devices {
namespace {

using arena_kind = device_memory::arena_kind;

bool is_aligned(const std::byte* memory) { return reinterpret_cast<std::uintptr_t>(memory) % 4096 == 0; }

TEST(device_memory, large_arenas_cost_nothing_until_touched) {
  device_memory memory(std::uint64_t{1} << 36, arena_kind::bytes);
  std::byte* const arena = memory.allocate_arena(std::uint64_t{1} << 36).value();
  EXPECT_TRUE(is_aligned(arena));
  arena[0] = arena[(std::uint64_t{1} << 36) - 1] = std::byte{1};
  EXPECT_EQ(memory.arena_bytes(), std::uint64_t{1} << 36);
  EXPECT_NE(memory.remove_arena(arena), nullptr);
  EXPECT_EQ(memory.arena_bytes(), 0u);
}

TEST(device_memory, all_arenas_together_fit_the_device) {
  device_memory memory(8192, arena_kind::bytes);
  std::byte* const first = memory.allocate_arena(6000).value();
  const auto refused = memory.allocate_arena(2193);
  EXPECT_EQ(refused.why().code, errc::out_of_memory);
  EXPECT_EQ(refused.why().needed_bytes, 2193u);
  EXPECT_EQ(refused.why().available_bytes, 2192u);
  EXPECT_TRUE(memory.allocate_arena(2192));
  memory.remove_arena(first);
  EXPECT_TRUE(memory.allocate_arena(6000));
}

TEST(device_memory, refuses_nothing_and_the_impossible) {
  device_memory memory(std::numeric_limits<std::uint64_t>::max(), arena_kind::bytes);
  EXPECT_EQ(memory.allocate_arena(0).code(), errc::device_error);
  EXPECT_EQ(memory.allocate_pinned(0).code(), errc::device_error);
  EXPECT_EQ(memory.allocate_arena(std::uint64_t{1} << 62).code(), errc::out_of_memory);
  EXPECT_EQ(memory.allocate_pinned(std::numeric_limits<std::uint64_t>::max()).code(), errc::out_of_memory);
  EXPECT_EQ(memory.arena_bytes() + memory.pinned_bytes(), 0u);
}

TEST(device_memory, an_arena_of_addresses_can_not_be_touched) {
  device_memory memory(4096, arena_kind::addresses);
  const std::byte* const arena = memory.allocate_arena(4096).value();
  std::array<int, 2> pipe_ends{};
  ASSERT_EQ(::pipe(pipe_ends.data()), 0);
  EXPECT_EQ(::write(pipe_ends[1], arena, 1), -1);
  EXPECT_EQ(errno, EFAULT);
  ::close(pipe_ends[0]);
  ::close(pipe_ends[1]);
}

TEST(device_memory, finds_pinned_memory_by_any_range_within) {
  device_memory memory(4096, arena_kind::bytes);
  std::byte* const pinned = memory.allocate_pinned(5000).value();
  EXPECT_TRUE(is_aligned(pinned));
  EXPECT_EQ(memory.pinned_bytes(), 5000u);
  EXPECT_EQ(memory.pinned_owner(pinned, 5000).get(), pinned);
  EXPECT_EQ(memory.pinned_owner(pinned + 4999, 1).get(), pinned);
  EXPECT_EQ(memory.pinned_owner(pinned + 4999, 2), nullptr);
  EXPECT_EQ(memory.pinned_owner(pinned + 5000, 1), nullptr);
  EXPECT_EQ(memory.pinned_owner(pinned - 1, 1), nullptr);
  EXPECT_EQ(memory.pinned_owner(pinned + 1, std::numeric_limits<std::uint64_t>::max()), nullptr);
  EXPECT_EQ(memory.remove_pinned(pinned + 1), nullptr);
  EXPECT_EQ(memory.remove_pinned(pinned).get(), pinned);
  EXPECT_EQ(memory.pinned_bytes(), 0u);
  EXPECT_EQ(memory.remove_pinned(pinned), nullptr);
}

TEST(device_memory, tells_which_copies_are_possible) {
  device_memory memory(8192, arena_kind::bytes);
  const std::byte* const arena = memory.allocate_arena(8192).value();
  std::array<std::byte, 16> host{};
  using enum direction;
  EXPECT_TRUE(memory.can_copy(host_to_device, arena + 8176, host.data(), 16));
  EXPECT_FALSE(memory.can_copy(host_to_device, arena + 8177, host.data(), 16));
  EXPECT_FALSE(memory.can_copy(host_to_device, host.data(), arena, 16));
  EXPECT_TRUE(memory.can_copy(device_to_host, host.data(), arena, 16));
  EXPECT_FALSE(memory.can_copy(device_to_host, arena, host.data(), 16));
  EXPECT_FALSE(memory.can_copy(device_to_host, nullptr, arena, 16));
  EXPECT_FALSE(memory.can_copy(host_to_device, arena, nullptr, 16));
  EXPECT_TRUE(memory.can_copy(device_to_device, arena, arena + 16, 16));
  EXPECT_TRUE(memory.can_copy(device_to_device, arena + 16, arena, 16));
  EXPECT_FALSE(memory.can_copy(device_to_device, arena, arena + 15, 16));
  EXPECT_FALSE(memory.can_copy(device_to_device, arena + 15, arena, 16));
  EXPECT_FALSE(memory.can_copy(device_to_device, arena, host.data(), 16));
}

}  // namespace
}  // namespace pinrail::devices
