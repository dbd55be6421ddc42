// A block that someone waits for overtakes a large one that is prefetched, within what the copy queue holds.
#include <algorithm>

#include "user_streams.hpp"

namespace pinrail::test {
namespace {

constexpr std::uint64_t chunk_bytes = 64_KiB;
constexpr std::uint64_t chunks = 64;

TEST(cuda_copies, an_urgent_block_overtakes_a_large_one_within_what_is_queued) {
  rig r{{.vram_budget = (chunks + 1) * chunk_bytes, .high_watermark = 1, .chunk_bytes = chunk_bytes}};
  const auto first = r.add("first", 1, chunks * chunk_bytes);
  const auto large = r.add("large", 1, chunks * chunk_bytes);
  const auto urgent = r.add("urgent", 1, chunk_bytes);
  const stream busy = r.device().create_stream();
  const stream hasty = r.device().create_stream();
  gate held;
  {
    auto pass = first.handle.managed_forward(busy, {.prefetch_blocks = 0});
    auto use = pass.use(0);
    held.hold(busy);
    r.check(use, first, busy);
  }
  // The large block takes the place of the first, whose kernel is held: its copies queue up behind that.
  auto ahead = large.handle.managed_forward(busy, {.prefetch_blocks = 0});
  const auto copied = [&] { return gpu_of(r).copied_to(); };
  const std::size_t before = copied().size();
  ASSERT_TRUE(eventually([&] {
    ahead.prefetch(std::vector<block_index>{0});  // refused until the first block counts as later needed
    return copied().size() > before;
  }));
  const std::byte* urgent_at = nullptr;
  {
    auto pass = urgent.handle.managed_forward(hasty, {.prefetch_blocks = 0});
    std::thread opener([&] {  // not before the urgent one has been asked for
      EXPECT_TRUE(eventually([&] { return urgent.handle.statistics().resident_bytes != 0; }));
      held.open();
    });
    auto use = pass.use(0);
    opener.join();
    urgent_at = static_cast<const std::byte*>(use.device_ptr());
    r.check(use, urgent, hasty);
  }
  hasty.synchronize();
  r.check(ahead.use(0), large, busy);
  busy.synchronize();
  const auto all = copied();
  const auto at = std::find(all.begin() + static_cast<std::ptrdiff_t>(before), all.end(), urgent_at);
  ASSERT_NE(at, all.end());
  EXPECT_LE(at - all.begin() - static_cast<std::ptrdiff_t>(before), 4) << "two slabs, each a chunk and its slack";
  EXPECT_EQ(all.size() - before, chunks + 1);
}

}  // namespace
}  // namespace pinrail::test
