// Write-back: dirty blocks are copied to the host and handed to their source, before their memory is used again.
//
// It begins when no one holds the block. The block stays resident and usable meanwhile; `writing back` in its word
// keeps it where it is, and who wants to change its bytes waits (`await_write_back`). The copy waits on the device for
// the last use that changed the block. A failure makes it dirty again, and is reported.
//
// The memory is handed over only after the host has seen the end of the write: a device-ordered hand-over could
// overwrite bytes whose write then fails.
#pragma once

#include <deque>
#include <vector>

#include <boost/lockfree/queue.hpp>

#include "residency/scheduler_state.hpp"
#include "residency/staging.hpp"

namespace pinrail::residency {

class write_backs {
 public:
  write_backs(scheduler_state& s, staging& slabs, std::uint32_t stream);

  /// Any thread. Does nothing if the block isn't dirty, or is held, or is being written back, or, unless `at_once`, if
  /// its last write-back failed a moment ago: whoever needs it asks again.
  void request(runtime_state& r, std::uint32_t position, bool at_once) noexcept;

  /// The device's copies to the host run in it.
  [[nodiscard]] std::uint32_t stream() const noexcept { return stream_; }

  /// Any thread. Has every request ended?
  [[nodiscard]] bool idle() const noexcept { return pending_.load(core::order::acquire) == 0; }

  // ---- transfer thread --------------------------------------------------------------------------------------
  bool step() noexcept;
  /// A slab whose write task is done.
  void finish_task(std::uint32_t slab) noexcept;

 private:
  struct job {
    runtime_state* runtime = nullptr;
    std::uint32_t position = 0;
    std::uint64_t copied_bytes = 0;  ///< handed to the device
    std::uint32_t under_way = 0;     ///< slabs between copy and end of write
    failure why{};
  };
  struct copy_under_way {
    ticket done;
    std::uint32_t slab = 0;
  };
  struct request_item {
    runtime_state* runtime;
    std::uint32_t position;
  };

  bool take_in() noexcept;
  bool copy_out(job& j) noexcept;
  bool write_copied() noexcept;
  bool end_jobs() noexcept;
  void end(job& j) noexcept;

  scheduler_state& state_;
  staging& slabs_;
  std::uint32_t stream_;
  boost::lockfree::queue<request_item, boost::lockfree::fixed_sized<true>> incoming_;
  core::atomic<std::uint64_t> pending_{0};  ///< requested and not ended
  std::deque<job> active_;
  std::deque<copy_under_way> copies_;
};

}  // namespace pinrail::residency
