// Runtimes of resident blocks on a null device: what most benchmarks need.
#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "pinrail/pinrail.hpp"
#include "residency/scheduler_state.hpp"
#include "support/null_backend.hpp"

namespace pinrail::bench {

inline constexpr std::uint64_t page_bytes = 256;

struct set_shape {
  std::uint32_t runtimes = 1;
  std::uint32_t blocks = 1024;         ///< of all runtimes together
  bool four_sizes = false;             ///< 1, 2, 3 and 4 pages (60, 20, 10, 10 %); else 1 page
  std::uint32_t absent = 0;            ///< more blocks, for which there is no room: of a runtime of its own
  bool threaded = false;               ///< see null_backend
  std::uint32_t budget_percent = 100;  ///< of the runtimes' pages; below 100 not all blocks are resident

  friend bool operator==(const set_shape&, const set_shape&) = default;
};

/// A scheduler on a null device with `shape.blocks` resident blocks that fill its budget.
class resident_set {
 public:
  explicit resident_set(const set_shape& shape)
      : shape_(shape),
        device_(std::make_shared<pinrail::device>(
            std::make_unique<null_backend>(pages_of(shape) * shape.budget_percent / 100 * page_bytes, shape.threaded))),
        sched_(*device_, {.high_watermark = 1, .paced_plans = false, .page_bytes = page_bytes}) {
    std::uint32_t number = 0;
    for (std::uint32_t r = 0; r < shape.runtimes; ++r) {
      const std::uint32_t count = shape.blocks / shape.runtimes + (r < shape.blocks % shape.runtimes);
      all_.push_back(add("runtime " + std::to_string(r), number, count));
      number += count;
    }
    for (const runtime& r : all_) fill(r);
    if (shape.absent != 0) absent_ = add("absent", number, shape.absent);
  }

  [[nodiscard]] pinrail::device& device() { return *device_; }
  [[nodiscard]] scheduler& sched() { return sched_; }
  [[nodiscard]] residency::scheduler_state& state() { return all_.front().state()->owner(); }
  [[nodiscard]] runtime& at(std::size_t i) { return all_[i]; }
  [[nodiscard]] std::vector<runtime>& all() { return all_; }
  [[nodiscard]] runtime& absent() { return absent_; }

  [[nodiscard]] std::uint64_t resident_blocks() const {
    std::uint64_t sum = 0;
    for (const runtime& r : all_) sum += r.statistics().resident_blocks;
    return sum;
  }
  /// Are all of them resident, as the benchmark's name says?
  [[nodiscard]] bool complete() const { return resident_blocks() == shape_.blocks; }
  [[nodiscard]] std::uint64_t victims() const {
    std::uint64_t sum = 0;
    for (const runtime_statistics& r : sched_.statistics().runtimes) sum += r.victims_total();
    return sum;
  }

  [[nodiscard]] const set_shape& shape() const { return shape_; }

  /// Pages of the block with this number.
  [[nodiscard]] static std::uint64_t pages_of_block(const set_shape& shape, std::uint32_t number) {
    constexpr std::array<std::uint8_t, 10> sizes{1, 2, 1, 3, 1, 2, 1, 4, 1, 1};
    return shape.four_sizes ? sizes[number * 7 % 10] : 1;
  }

 private:
  [[nodiscard]] static std::uint64_t pages_of(const set_shape& shape) {
    std::uint64_t sum = 0;
    for (std::uint32_t b = 0; b < shape.blocks; ++b) sum += pages_of_block(shape, b);
    return sum;
  }

  runtime add(std::string name, std::uint32_t first, std::uint32_t count) {
    static std::array<std::byte, 4 * page_bytes> memory;  // of all blocks: nothing reads it
    std::vector<memory_block> blocks;
    blocks.reserve(count);
    for (std::uint32_t b = 0; b < count; ++b)
      blocks.push_back({"b", std::span(memory).first(pages_of_block(shape_, first + b) * page_bytes)});
    return sched_.add_runtime(std::move(name), model_from_memory(blocks, {.pinned = true}));
  }

  void fill(const runtime& r) {
    if (shape_.budget_percent >= 100) {
      (void)r.keep_resident({.load = true});
      return;
    }
    const stream s = device_->create_stream();
    auto pass = r.managed_forward(s, {.prefetch_blocks = 0});
    for (const block_index b : r.blocks()) pass.use(b).end();
  }

  set_shape shape_;
  std::shared_ptr<pinrail::device> device_;
  scheduler sched_;
  std::vector<runtime> all_;
  runtime absent_;
};

/// The set that the benchmark before this one used, if it had the same shape: making a large one takes seconds.
inline resident_set& shared_set(const set_shape& shape) {
  static std::unique_ptr<resident_set> set;
  if (set == nullptr || !(set->shape() == shape)) {
    set.reset();
    set = std::make_unique<resident_set>(shape);
  }
  return *set;
}

/// In a benchmark of several threads: by one of them, after the loop.
inline void require(benchmark::State& state, bool holds, const char* text) {
  if (!holds) state.SkipWithError(text);
}

}  // namespace pinrail::bench
