// The transfer thread: the one thread that enqueues copies, in each direction, for one scheduler.
//
// Loads. Demanded ones first, each class in order of arrival. A load is cut to chunks, and only a few chunks are
// in the copy stream at a time: a copy engine is first-in first-out, so what is queued there can't be overtaken.
// Before its first copy a load makes the stream wait for what last used the memory; after its last it records an
// event and publishes the block: resident from then on, ordered by that ticket. A load that fails gives
// everything back and leaves the block absent.
//
// It also runs write-backs, compaction, and upkeep: drained pages, leaving guests, watermarks.
//
// On a simulated device there is no thread; who waits calls `step`.
#pragma once

#include <deque>
#include <thread>
#include <vector>

#include "residency/compaction.hpp"
#include "residency/load_job.hpp"
#include "residency/running_average.hpp"
#include "residency/staging.hpp"
#include "residency/victims.hpp"
#include "residency/write_back.hpp"

namespace pinrail::residency {

class transfers {
 public:
  /// Makes its streams. Throws where the device refuses.
  explicit transfers(scheduler_state& s);
  ~transfers();

  /// Before `start`, and before anything lives in the arena. What can't be measured stays unknown.
  void measure_copies() noexcept;
  void start();
  /// Fails loads that have not begun, ends the others, stops the thread. Idempotent.
  void stop() noexcept;
  /// Waits until every load submitted so far is in the copy stream, and every write-back done on the device.
  void drain() noexcept;
  /// The same, and until the copies of loads are done on the device.
  void synchronize() noexcept;

  // ---- any thread, lock-free ----------------------------------------------------------------------------
  [[nodiscard]] load_job* take_job() noexcept { return jobs_.take(); }
  void return_job(load_job* job) noexcept { jobs_.give(job); }
  /// The job's block is `loading` and belongs to the job from now on.
  void submit(load_job* job) noexcept;
  /// Someone waits for this block.
  void promote(runtime_state& r, std::uint32_t position) noexcept;
  void request_write_back(runtime_state& r, std::uint32_t position, bool at_once = false) noexcept;
  void request_compaction(const room_request& r) noexcept;
  void request_free_run(std::uint32_t pages, compaction::effort most) noexcept;
  void withdraw_compaction(const room_request& r) noexcept { compaction_.withdraw(r); }
  void wake() noexcept { signal_.notify(); }

  [[nodiscard]] staging& slabs() noexcept { return staging_; }
  [[nodiscard]] const copy_rates& bare_rates() const noexcept { return bare_rates_; }
  /// What plans go by; 0: not known yet.
  [[nodiscard]] double load_bytes_per_second() const noexcept;

  /// Does what there is to do now. False if there was nothing.
  bool step() noexcept;

 private:
  struct copy_under_way {
    ticket done;
    std::uint32_t slab = no_slab;
    std::uint64_t size_bytes = 0;
    std::uint64_t submitted_ns = 0;
    bool quiet = false;  ///< waited for nothing but the copies before it: its time says how fast copies are
    bool last = false;   ///< of its block
    std::uint32_t runtime = 0;
    std::uint32_t position = 0;
  };
  static constexpr std::uint32_t no_slab = UINT32_MAX;
  static constexpr std::size_t most_copies = 64;
  static constexpr std::uint64_t batched_copy_bytes =
      256 << 10;  ///< the largest in a batch; a guess (docs/cuda.md, Not yet)

  void run() noexcept;
  bool take_in() noexcept;
  bool sort_finished_tasks() noexcept;
  bool issue() noexcept;
  [[nodiscard]] static bool is_awaited(const load_job& job) noexcept;
  [[nodiscard]] bool is_stale(const load_job& job) const noexcept;
  bool issue_direct(load_job& job) noexcept;
  [[nodiscard]] bool is_quiet(const load_job& job) const noexcept;
  [[nodiscard]] bool may_be_batched(const load_job& job, std::uint64_t size_bytes) const noexcept;
  void submit_batch() noexcept;
  [[nodiscard]] bool copy_batch() noexcept;
  bool issue_reads(load_job& job) noexcept;
  bool submit_read_chunks() noexcept;
  bool retire_copies() noexcept;
  bool end_jobs() noexcept;
  bool upkeep() noexcept;

  void prepare(load_job& job) noexcept;
  [[nodiscard]] bool copies_have_room(std::uint64_t size_bytes) const noexcept;
  void submit_chunk(load_job& job, const std::byte* from, std::span<const sources::piece> pieces,
                    std::uint32_t slab) noexcept;
  void submit_direct(load_job& job, std::uint64_t at_bytes, std::uint64_t size_bytes) noexcept;
  void note_copy(load_job& job, const copy_under_way& copy) noexcept;
  [[nodiscard]] devices::status begin_copying(load_job& job) noexcept;
  void discard(const load_job& job) noexcept;
  void fail(load_job& job, const failure& why) noexcept;
  void publish(load_job& job) noexcept;
  void give_up(load_job& job) noexcept;
  void trim_to_watermark() noexcept;
  void note_copy_time(const copy_under_way& first, std::uint64_t size_bytes) noexcept;
  void learn_copy_time(double ns_per_byte) noexcept;
  void note_arrival(const copy_under_way& c) noexcept;
  bool sample_uses() noexcept;
  [[nodiscard]] bool idle() const noexcept;

  scheduler_state& state_;
  std::uint32_t copy_stream_;
  std::uint64_t chunk_bytes_;
  event_count signal_;
  load_jobs jobs_;
  boost::lockfree::queue<load_job*, boost::lockfree::fixed_sized<true>> incoming_;
  staging staging_;
  write_backs write_backs_;
  compaction compaction_;
  copy_rates bare_rates_;  ///< as measured before the start

  // Transfer thread only.
  std::vector<load_job*> active_;         ///< in order of arrival
  std::deque<std::uint32_t> read_slabs_;  ///< slabs with a chunk to copy
  std::deque<copy_under_way> copies_;
  std::vector<load_job*> batch_;  ///< gathered by `issue`, whole blocks; empty outside it
  std::uint64_t upkeep_ns_ = 0;
  std::uint64_t copy_end_ns_ = 0;  ///< of the last copy that was seen to end
  running_average copy_ns_per_byte_;
  bool sampling_ = false;  ///< some runtime's uses are sampled

  core::atomic<double> load_ns_per_byte_{0};  ///< copy_ns_per_byte_ for other threads
  core::atomic<std::uint32_t> stopping_{0};
  core::atomic<std::uint64_t> unfinished_{0};  ///< jobs submitted and not ended
  std::thread thread_;
};

}  // namespace pinrail::residency
