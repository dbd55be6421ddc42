// Finds uses, copies and reuses of memory that no stream order, event or host wait orders.
//
// The checker works on what is enqueued, in the order in which it is enqueued, not on what runs when: a
// missing wait is found in every run, also where the timing happened to be kind.
//
// Order. Each stream has a vector clock. Its own component is its present moment, which ends when it is
// recorded or synchronised. An event carries the clock of its last record; a wait joins that into the waiting
// stream's clock. What the host has seen to be complete joins the host's clock, which every stream inherits
// with its next work: that work is enqueued later, so it runs later. The host's clock is one for all threads,
// so a thread that polls an event excuses another that should have waited for it and did not.
//
// Memory. Arenas and page-locked blocks are tracked, other host memory is not. For each range of bytes there
// is the last write and the reads since. Two accesses, at least one a write, conflict when the earlier is not
// in the later one's clock. A discard is a write after which reads are wrong although ordered.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "device/backend.hpp"
#include "device/emulated/shadow_map.hpp"
#include "device/emulated/vector_clock.hpp"

namespace pinrail::devices {

/// Thread-safety: any thread may call anything; the callers keep the calls for one stream in the order of its
/// queue. Where memory runs out findings are lost, and `violations` says so.
class order_checker {
 public:
  using moment = std::shared_ptr<const vector_clock>;
  enum class memory : std::uint8_t { device, pinned };

  static constexpr std::size_t kept_violations = 64;

  /// Remembers at most `most_ranges` ranges of memory; at more, it forgets all, and `violations` says so.
  explicit order_checker(std::size_t most_ranges = 1u << 18) : most_ranges_(most_ranges) {}

  // ---- streams --------------------------------------------------------------------------------------------
  /// The one call that throws, std::bad_alloc.
  void begin_stream(std::uint32_t stream);
  /// The stream's work is done.
  void end_stream(std::uint32_t stream) noexcept;
  /// The device is lost: all of its work has ended, or never runs.
  void end_all() noexcept;

  /// All work of the stream so far.
  [[nodiscard]] moment record(std::uint32_t stream) noexcept;
  /// Later work of the stream comes after `what`. Null is complete.
  void wait(std::uint32_t stream, const moment& what) noexcept;
  /// The host knows `what` to be complete.
  void learn(const moment& what) noexcept;

  // ---- memory ---------------------------------------------------------------------------------------------
  void add_memory(memory kind, const void* start, std::uint64_t size_bytes) noexcept;
  /// Pinned memory may not be freed under a copy that the host does not know to be complete.
  void remove_memory(const void* start) noexcept;

  /// An access by work enqueued on the stream. A copy's host side may lie outside tracked memory.
  void touch_by_stream(std::uint32_t stream, toucher what, const void* data, std::uint64_t size_bytes,
                       access way) noexcept;
  /// An access by the host.
  void touch_by_host(const void* data, std::uint64_t size_bytes, access way) noexcept;

  /// One sentence each; more than are kept are counted in the last.
  [[nodiscard]] std::vector<std::string> violations() const;
  /// Ranges of memory that are remembered now.
  [[nodiscard]] std::size_t ranges() const;

 private:
  using address = shadow_map::address;

  static constexpr std::size_t first_sweep = 1024;

  struct region {
    memory kind;
    std::uint64_t size_bytes;
    std::uint64_t number;  ///< for messages: pinned blocks are numbered in the order of allocation
  };
  struct request {
    touch who;
    address begin;
    address end;
    access way;
  };

  template <class F>
  void guarded(F&& action) noexcept;

  [[nodiscard]] vector_clock& inherit(std::uint32_t stream);
  void apply(const request& asked, const vector_clock& known);
  [[nodiscard]] bool report_conflict(const request& asked, const vector_clock& known, const shadow_map::piece& at);
  void report(std::string sentence);
  void bound_memory();

  [[nodiscard]] const std::pair<const address, region>* region_of(address at) const noexcept;
  [[nodiscard]] std::string describe(const request& asked, address begin, address end) const;

  const std::size_t most_ranges_;
  mutable std::mutex mutex_;
  std::vector<vector_clock> streams_;
  vector_clock host_;
  std::map<address, region> regions_;
  std::uint64_t pinned_blocks_ = 0;
  shadow_map shadows_;
  std::size_t next_sweep_ = first_sweep;  ///< ranges at which to look for some to forget
  std::vector<std::string> found_;
  std::uint64_t not_kept_ = 0;
  bool ran_out_of_memory_ = false;
  bool forgot_ranges_ = false;
};

}  // namespace pinrail::devices
