#include "device/cuda/aligned_memory.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace pinrail::devices {
namespace {

/// Hands out addresses that no one touches, and notes what came back.
struct toy_allocator {
  std::uintptr_t next = 0;
  std::vector<std::uintptr_t> released = {};

  cudaError_t make(aligned_memory& memory, std::byte*& out) {
    return memory.allocate(
        100, [this](void** base, std::uint64_t) { return *base = reinterpret_cast<void*>(next), cudaSuccess; },
        [this](void* base) { released.push_back(reinterpret_cast<std::uintptr_t>(base)); }, out);
  }
};

std::uintptr_t number(const void* address) { return reinterpret_cast<std::uintptr_t>(address); }

TEST(aligned_memory, moves_to_the_next_page_and_finds_back) {
  aligned_memory memory;
  toy_allocator allocator{.next = 0x10100};
  std::byte* block = nullptr;
  ASSERT_EQ(allocator.make(memory, block), cudaSuccess);
  EXPECT_EQ(number(block), 0x11000u);
  EXPECT_EQ(allocator.released, std::vector<std::uintptr_t>{0x10100}) << "the one without room to move";
  EXPECT_EQ(number(memory.take_base(block)), 0x10100u);
}

TEST(aligned_memory, forgets_a_block_that_was_given_back) {
  aligned_memory memory;
  toy_allocator allocator{.next = 0x10100};
  std::byte* block = nullptr;
  ASSERT_EQ(allocator.make(memory, block), cudaSuccess);
  EXPECT_EQ(number(memory.take_base(block)), 0x10100u);
  allocator.next = 0x11000;  // the address that the first block was moved to, this time the allocator's own
  ASSERT_EQ(allocator.make(memory, block), cudaSuccess);
  EXPECT_EQ(number(memory.take_base(block)), 0x11000u);
}

}  // namespace
}  // namespace pinrail::devices
