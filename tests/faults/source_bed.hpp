// A scheduler, and models whose sources fail.
#pragma once

#include <chrono>
#include <optional>

#include "support/rig.hpp"

namespace pinrail::test {

/// Every load is demanded, and checked by who asks.
class source_bed {
 public:
  static constexpr std::chrono::milliseconds long_enough{20'000};

  explicit source_bed(std::uint64_t vram_budget = 1_MiB, std::uint64_t chunk_bytes = 4096)
      : rig_({.vram_budget = vram_budget, .high_watermark = 1, .chunk_bytes = chunk_bytes, .staging_slabs = 2}) {}

  [[nodiscard]] rig& all() { return rig_; }
  [[nodiscard]] runtime add(model m) { return rig_.sched().add_runtime("faulty", std::move(m)); }

  /// Uses a block. On failure it must be absent, and nobody may have its bytes; what was resident before still is.
  error use(const runtime& r, block_index b, std::chrono::nanoseconds deadline = long_enough) {
    const std::uint64_t before = rig_.sched().budget().used_bytes();
    auto pass = r.managed_forward(stream_, {.prefetch_blocks = 0, .load_deadline = deadline});
    error outcome = caught([&] { (void)pass.use(b); });
    if (outcome.code() == errc::none || outcome.code() == errc::timed_out) return outcome;
    EXPECT_FALSE(r.is_resident(b));
    EXPECT_TRUE(eventually([&] { return rig_.sched().budget().used_bytes() == before; }))
        << "every byte was given back";
    return outcome;
  }
  /// The block's bytes on the device.
  std::vector<std::byte> bytes(const runtime& r, block_index b) {
    std::vector<std::byte> seen(r.block(b).size_bytes);
    auto pass = r.managed_forward(stream_, {.prefetch_blocks = 0});
    auto held = pass.use(b);
    const emulated::access touched{held.device_ptr(), held.size_bytes(), false};
    emulated::launch(stream_, [&seen, from = held.device_ptr()] { std::memcpy(seen.data(), from, seen.size()); },
                     {&touched, 1});
    stream_.synchronize();
    return seen;
  }

 private:
  rig rig_;
  stream stream_ = rig_.device().create_stream();
};

}  // namespace pinrail::test
