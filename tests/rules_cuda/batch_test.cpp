// Small blocks that are asked for together go to the device in one call, where the driver has one for it.
#include "user_streams.hpp"

namespace pinrail::test {
namespace {

constexpr std::uint64_t block_bytes = 64_KiB;
constexpr std::size_t blocks = 32;

struct batches : ::testing::Test {
  [[nodiscard]] std::uint64_t calls(std::string_view name) { return gpu_of(r).machine().calls(name); }

  /// Loads all blocks, again and again, until copies were enqueued that way: how many are asked for before the
  /// transfer thread looks is chance.
  [[nodiscard]] bool until_batched() {
    const std::uint64_t before = calls("cuMemcpyBatchAsync");
    return eventually([&] {
      {
        const auto scope = small.handle.as_guest();
        auto pass = small.handle.managed_forward(s, {.prefetch_blocks = 0, .wraps = false});
        pass.prefetch(all);
        for (const block_index i : small.handle.blocks()) r.check(pass.use(i), small, s);
        s.synchronize();
      }
      return calls("cuMemcpyBatchAsync") > before;
    });
  }

  rig r{{.vram_budget = blocks * block_bytes, .high_watermark = 1}};
  named_runtime small = r.add("small", blocks, block_bytes);
  std::vector<block_index> all{small.handle.blocks().begin(), small.handle.blocks().end()};
  stream s = r.device().create_stream();
};

TEST_F(batches, small_blocks_are_copied_in_one_call) {
  const std::uint64_t at_first = gpu_of(r).copied_to().size();
  ASSERT_TRUE(until_batched());
  const std::uint64_t copied = gpu_of(r).copied_to().size() - at_first;
  EXPECT_EQ(copied, small.handle.statistics().loads) << "each once";
}

TEST_F(batches, are_not_made_of_one_block) {
  const std::uint64_t before = calls("cuMemcpyBatchAsync");
  auto pass = small.handle.managed_forward(s, {.prefetch_blocks = 0});
  for (const block_index i : all) r.check(pass.use(i), small, s);
  EXPECT_EQ(calls("cuMemcpyBatchAsync"), before);
}

TEST_F(batches, that_are_refused_are_copied_one_by_one) {
  for (const cudaError_t code : {cudaErrorNotSupported, cudaErrorMemoryAllocation, cudaErrorUnknown}) {
    gpu_of(r).machine().inject({.call = "cuMemcpyBatchAsync", .code = code, .device = gpu_of(r).ordinal()});
    ASSERT_TRUE(until_batched());
    EXPECT_EQ(small.handle.statistics().failed_loads, 0u) << cudaGetErrorName(code);
  }
}

TEST_F(batches, on_a_lost_device_fail_as_every_load) {
  ASSERT_TRUE(until_batched());
  gpu_of(r).machine().inject(
      {.call = "cuMemcpyBatchAsync", .code = cudaErrorIllegalAddress, .sticky = true, .device = gpu_of(r).ordinal()});
  EXPECT_EQ(caught([&] { (void)until_batched(); }).code(), errc::device_lost);
}

TEST_F(batches, take_no_large_blocks) {
  rig large{{.vram_budget = 8_MiB, .high_watermark = 1}};
  const auto some = large.add("some", 8, 1_MiB);
  const stream t = large.device().create_stream();
  const auto calls = [&] { return gpu_of(large).machine().calls("cuMemcpyBatchAsync"); };
  const std::uint64_t before = calls();
  for (int round = 0; round < 20; ++round) {
    const auto scope = some.handle.as_guest();
    auto pass = some.handle.managed_forward(t, {.prefetch_blocks = 0, .wraps = false});
    pass.prefetch(std::vector<block_index>{0, 1, 2, 3, 4, 5, 6, 7});
    for (const block_index i : some.handle.blocks()) large.check(pass.use(i), some, t);
  }
  EXPECT_EQ(calls(), before);
}

}  // namespace
}  // namespace pinrail::test
