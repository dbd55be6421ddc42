// Compaction, against fragmentation: blocks that are not in use are moved by device-to-device copies until there is
// contiguous room. For a demand load that found none it is the last resort, and protected and reserved blocks move too:
// their bytes stay. For loads to come (`request_free_run`) it is done where blocks were evicted although as much was
// free.
//
//   slide     in a stretch without blocks in use: evictable blocks go, the others move towards its low end, each
//             into the hole before it, and the holes add up. A move by less than the block's length goes in
//             pieces of the hole's size, in order on one stream, so that no copy overlaps itself.
//   relocate  where no stretch has enough free pages: movable blocks leave the best one for holes elsewhere.
//   gather    for loads to come, where neither works: in each stretch the holes become one at its high end. What is
//             between stretches is in use, slots mostly; those slide down over the hole (loads.cpp), and it joins the
//             next one.
//
// Where neither is possible, dirty blocks are written back: clean ones can move.
//
// A move owns the block like a load does (`loading`): pinners wait until the copy has been submitted. The copy
// waits on the device for the block's copy and uses, and for what was in the hole; the hole's new fence is the
// move's ticket.
//
// Runs on the transfer thread only.
#pragma once

#include <cstdint>

#include "core/atomic.hpp"
#include "residency/address_map.hpp"
#include "residency/victims.hpp"

namespace pinrail::residency {

class compaction {
 public:
  compaction(scheduler_state& s, std::uint32_t stream) noexcept : state_(s), stream_(stream) {}

  /// Any thread. A later request replaces an earlier one that was not served yet: who waits asks again.
  void request(const room_request& r) noexcept;
  enum class effort : std::uint8_t {
    little,        ///< blocks that may never be needed again had to go: worth moving some times their bytes, not more
    all_it_takes,  ///< blocks that are needed in every pass had to go
  };
  /// Any thread. Moves blocks together until so many free pages are in one piece. Blocks of idle runtimes go for it
  /// only by all it takes, and where nothing else helps. Nobody waits for it, so it gives way to requests, and takes at
  /// most a twentieth of the transfer thread's time: it looks at all of memory.
  void request_free_run(std::uint32_t pages, effort most) noexcept;
  /// Who asked needs it no more.
  void withdraw(const room_request& r) noexcept;

  /// Serves a request. False if there was none.
  bool step() noexcept;

 private:
  /// Pages held, right below the span that comes next.
  using hole = extent;

  [[nodiscard]] bool is_resting() const noexcept;
  [[nodiscard]] bool make_free_run(std::uint32_t pages, effort most) noexcept;
  [[nodiscard]] bool make_room(const room_request& r, effort most) noexcept;
  [[nodiscard]] bool slide(const std::vector<span_of_pages>& spans, const window& w, const room_request& r) noexcept;
  /// No stretch has enough: in each, the holes become one at its high end.
  [[nodiscard]] bool gather(const std::vector<span_of_pages>& spans, const room_request& r) noexcept;
  [[nodiscard]] bool widen(hole& h, const span_of_pages& span, const room_request& r) noexcept;
  [[nodiscard]] bool move_down(hole& h, const span_of_pages& span) noexcept;
  [[nodiscard]] bool relocate(const std::vector<span_of_pages>& spans, const room_request& r) noexcept;
  [[nodiscard]] bool relocate_one(const std::vector<span_of_pages>& spans, const span_of_pages& span,
                                  const window& stretch, const room_request& r) noexcept;
  /// Copies a block that the caller owns (`begin_move`) to `to.run`, publishes it there, and says when its old
  /// pages are free. On a device error the block is given up, as after a failed load.
  [[nodiscard]] result<core::ticket> move_block(runtime_state& r, std::uint32_t position, page_run from,
                                                const extent& to) noexcept;
  void let_go(runtime_state& r, std::uint32_t position) noexcept;
  void write_back_all() noexcept;
  [[nodiscard]] devices::status enqueue(page_run from, const extent& to, std::uint64_t size_bytes) noexcept;
  /// Adds what the block's old pages wait for.
  [[nodiscard]] bool wait_for_block_too(hole& h, const core::block<native_atomics>& block) noexcept;

  scheduler_state& state_;
  std::uint32_t stream_;
  /// Pages in the low half, runtime index + 1 (0: none) above, bit 63: a free run, bit 62: by all it takes; 0 is no
  /// request.
  core::atomic<std::uint64_t> wanted_{0};
  std::uint64_t free_run_not_before_ns_ = 0;
};

}  // namespace pinrail::residency
