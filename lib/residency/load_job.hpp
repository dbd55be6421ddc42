// A load under way: from the thread that won the block (`begin_load`) to the transfer thread.
//
// Jobs come from a fixed pool and are used again; a pointer to one that is kept elsewhere (block_extra::job) is a
// hint.
#pragma once

#include <cstdint>
#include <memory>

#include <boost/lockfree/queue.hpp>

#include "residency/arena.hpp"
#include "residency/runtime_state.hpp"

namespace pinrail::residency {

struct load_job {
  // Written by the loader before the job is submitted.
  runtime_state* runtime = nullptr;
  std::uint32_t position = 0;
  extent room;
  bool prefetch = false;
  /// Someone waits for it: it goes before those that no one waits for. Any thread.
  core::atomic<std::uint32_t> demanded{0};

  // Transfer thread only.
  const std::byte* direct = nullptr;  ///< page-locked source, or null: staged
  std::uint32_t chunks = 0;
  std::uint32_t issued = 0;     ///< chunks whose read was started, or that were copied directly
  std::uint32_t reading = 0;    ///< chunks in a reader task or waiting to be copied
  std::uint32_t submitted = 0;  ///< chunks whose copy is in the stream
  bool begun = false;           ///< the stream waits for what was in the room before
  std::uint64_t taken_in_ns = 0;
  bool withdrawn = false;  ///< given up without a failure
  failure why;             ///< code none: no failure
  ticket last;             ///< of the last copy submitted

  [[nodiscard]] bool failed() const noexcept { return why.code != errc::none; }
};

class load_jobs {
 public:
  static constexpr std::uint32_t capacity = 512;

  load_jobs() : jobs_(std::make_unique<load_job[]>(capacity)), free_(capacity) {
    for (std::uint32_t i = 0; i < capacity; ++i) free_.bounded_push(&jobs_[i]);
  }

  /// Null if all are in use.
  [[nodiscard]] load_job* take() noexcept {
    load_job* job = nullptr;
    return free_.pop(job) ? job : nullptr;
  }
  void give(load_job* job) noexcept { free_.bounded_push(job); }

 private:
  std::unique_ptr<load_job[]> jobs_;
  boost::lockfree::queue<load_job*, boost::lockfree::fixed_sized<true>> free_;
};

}  // namespace pinrail::residency
