// Options of the public calls. Everything has a default; a value outside its limits is an error that names both.
#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <vector>

#include "pinrail/log.hpp"
#include "pinrail/model.hpp"

namespace pinrail {

namespace core {
class list_order;
}

class trace_recorder;

/// Which idle runtime gives its blocks first.
enum class idle_order : std::uint8_t {
  least_recently_used,
  /// The same, but a runtime counts as idle for longer by an eighth of the time between its uses, from five passes'
  /// time after its last one on. For many models that are asked for at different rates: fewer bytes than by recency
  /// alone.
  rarely_used_first,
};

struct scheduler_options {
  /// Bytes of device memory for blocks and reserved bytes. 0: all of the device's memory.
  std::uint64_t vram_budget = 0;
  /// The most `set_vram_budget` may ever ask for; the arena is allocated once, this large. 0: vram_budget.
  std::uint64_t max_vram_budget = 0;
  /// When blocks of runtimes that hold no share fill more than `high` of the headroom, blocks of idle runtimes
  /// are evicted until they fill `low` of it. 0 < low <= high <= 1; high = 1 turns it off.
  double high_watermark = 0.95;
  double low_watermark = 0.85;
  /// How long a use waits for its block before it fails with `no_victim`.
  std::chrono::nanoseconds load_deadline = std::chrono::seconds(30);
  /// A runtime that is walked forward again and again and is larger than its share: spread what has to be copied evenly
  /// along compute time, once compute and copy times are known (docs/plans.md). False: evict by next use only.
  bool paced_plans = true;
  pinrail::idle_order idle_order = idle_order::least_recently_used;
  /// Granularity of device memory, a power of two from 256 bytes to 1 GiB. 0: chosen from the arena's size,
  /// 4 KiB to 2 MiB, such that memory for 24 equal blocks, say, holds 24; pages then begin at multiples of 256 bytes.
  /// At most 2,097,151 pages.
  std::uint64_t page_bytes = 0;
  /// The largest minimum of a guest: what a default reservation of a runtime larger than the budget leaves free.
  std::uint64_t guest_minimum_bytes = 0;
  /// Copies are cut to chunks so that an urgent block can overtake a large one. Multiple of 4096.
  std::uint64_t chunk_bytes = std::uint64_t{16} << 20;
  /// Page-locked slabs that blocks are read into, each chunk_bytes plus slack.
  std::uint32_t staging_slabs = 6;
  /// Threads that read sources: oneTBB workers, of which a process has one less than cores. 0: up to 8 of them.
  std::uint32_t reader_threads = 0;
  /// At most 4096.
  std::uint32_t max_runtimes = 256;
  log_callback log = {};
  /// Records what happens, for pictures and Perfetto; kept alive by the caller until the scheduler ends.
  trace_recorder* trace = nullptr;
};

enum class priority : std::uint8_t { primary, secondary };

struct reserve_options {
  pinrail::priority priority = pinrail::priority::primary;
  /// 0: the footprint, or, where that exceeds the budget, the budget less byte reservations and
  /// `guest_minimum_bytes`.
  std::uint64_t bytes = 0;
  /// Grant less than `bytes` where less is free, but at least the runtime's largest block.
  bool allow_partial = false;
};

struct keep_options {
  /// Also load every block, and return when all are resident. Each may take up to scheduler_options::load_deadline.
  bool load = false;
};

/// The order in which a forward pass will use its blocks.
class order {
 public:
  enum class kind : std::uint8_t { forward, reverse, listed, data_dependent };

  static const order forward;
  static const order reverse;
  /// Not known ahead (routed experts): nothing is prefetched but what `forward_pass::prefetch` names.
  static const order data_dependent;

  order() = default;
  /// Any list of blocks; they may repeat or be left out.
  order(std::vector<block_index> blocks) : kind_(kind::listed), blocks_(std::move(blocks)) {}  // NOLINT
  order(std::initializer_list<block_index> blocks) : kind_(kind::listed), blocks_(blocks) {}

  [[nodiscard]] kind type() const noexcept { return kind_; }
  [[nodiscard]] const std::vector<block_index>& blocks() const noexcept { return blocks_; }

 private:
  explicit order(kind k) : kind_(k) {}

  kind kind_ = kind::forward;
  std::vector<block_index> blocks_;
};

inline const order order::forward{order::kind::forward};
inline const order order::reverse{order::kind::reverse};
inline const order order::data_dependent{order::kind::data_dependent};

struct pass_options {
  pinrail::order order = {};
  /// Blocks to load ahead of use; they are the pass's near window, which no one evicts from. At most 64.
  std::uint32_t prefetch_blocks = 2;
  /// At the end of the order, prefetch its beginning for the pass that follows.
  bool wraps = true;
  /// Instead of scheduler_options::load_deadline.
  std::optional<std::chrono::nanoseconds> load_deadline = std::nullopt;
};

struct byte_options {
  /// Also set contiguous device memory aside, at `byte_reservation::device_ptr()`. Else the bytes are only
  /// counted: the memory is the caller's own, outside the arena.
  bool with_memory = false;
  std::optional<std::chrono::nanoseconds> deadline = std::nullopt;
};

}  // namespace pinrail
