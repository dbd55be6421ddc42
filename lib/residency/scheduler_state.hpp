// What all handles of one scheduler share.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/atomic.hpp"
#include "core/reader_gate.hpp"
#include "core/reservation_table.hpp"
#include "device/timeline.hpp"
#include "pinrail/device.hpp"
#include "pinrail/options.hpp"
#include "pinrail/trace.hpp"
#include "residency/arena.hpp"
#include "residency/event_count.hpp"
#include "residency/graveyard.hpp"
#include "residency/runtime_state.hpp"

namespace pinrail::residency {

class transfers;

/// Entry 0 of the reservation table: what set_vram_budget withholds. Then runtimes, then byte reservations.
inline constexpr std::uint32_t withheld_entry = 0;

class scheduler_state : public std::enable_shared_from_this<scheduler_state> {
 public:
  using native = core::native_atomics;
  using reservation_table = core::reservation_table<native>;

  scheduler_state(std::shared_ptr<pinrail::device> on, const scheduler_options& options);
  scheduler_state(const scheduler_state&) = delete;
  scheduler_state& operator=(const scheduler_state&) = delete;
  ~scheduler_state();

  /// Starts the transfer thread; after construction, when shared_from_this works.
  void start();
  /// The end of the scheduler: see ~scheduler. Idempotent.
  void close() noexcept;

  // ---- parts ------------------------------------------------------------------------------------------------
  [[nodiscard]] pinrail::device& device() const noexcept { return *device_; }
  [[nodiscard]] devices::backend& backend() const noexcept { return device_->backend(); }
  [[nodiscard]] devices::timeline& timeline() const noexcept { return device_->timeline(); }
  [[nodiscard]] const scheduler_options& options() const noexcept { return options_; }
  [[nodiscard]] residency::arena& arena() noexcept { return *arena_; }
  [[nodiscard]] const residency::arena& arena() const noexcept { return *arena_; }
  [[nodiscard]] reservation_table& table() noexcept { return table_; }
  [[nodiscard]] const reservation_table& table() const noexcept { return table_; }
  [[nodiscard]] transfers& moves() noexcept { return *transfers_; }
  [[nodiscard]] event_count& progress() noexcept { return progress_; }
  [[nodiscard]] std::uint64_t now_ns() const noexcept { return device_->now_ns(); }
  /// False on a simulated device: there is no transfer thread.
  [[nodiscard]] bool threaded() const noexcept { return threaded_; }

  // ---- budget -----------------------------------------------------------------------------------------------
  [[nodiscard]] std::uint64_t budget_pages() const noexcept;
  /// set_vram_budget: leaves `pages` of the arena out of the budget. One call at a time.
  [[nodiscard]] result<void> withhold(std::uint64_t pages, std::uint64_t until_ns) noexcept;
  /// 2^64 - 1 where it would be more: sizes that were asked for may be anything.
  [[nodiscard]] std::uint64_t to_bytes(std::uint64_t pages) const noexcept { return arena_->grid().size_bytes(pages); }
  /// Shares of reservations, guests and byte reservations.
  [[nodiscard]] std::uint64_t reserved_pages() noexcept { return table_.granted_to_others(withheld_entry); }
  [[nodiscard]] std::uint64_t headroom_pages() const noexcept {
    return table_.capacity_pages() - table_.granted_pages();
  }

  // ---- runtimes ---------------------------------------------------------------------------------------------
  /// Entry of the reservation table of a runtime.
  [[nodiscard]] static std::uint32_t entry_of(const runtime_state& r) noexcept { return 1 + r.index(); }
  [[nodiscard]] core::reservation read(const runtime_state& r) const noexcept { return table_.read(entry_of(r)); }
  [[nodiscard]] core::runtime_word<native>& rules(const runtime_state& r) noexcept { return table_.rules(entry_of(r)); }
  [[nodiscard]] const core::runtime_word<native>& rules(const runtime_state& r) const noexcept {
    return table_.rules(entry_of(r));
  }

  /// Keeps the runtimes that a thread finds in memory while it looks at them.
  class reading {
   public:
    explicit reading(scheduler_state& s) noexcept;
    ~reading() { state_.gate_.leave(token_); }
    reading(const reading&) = delete;
    reading& operator=(const reading&) = delete;

   private:
    scheduler_state& state_;
    core::reader_gate<native>::token token_;
  };
  /// Calls `visit(runtime_state&)` for every registered runtime. Inside a `reading`.
  template <class Visit>
  void for_each_runtime(Visit&& visit) const {
    const std::uint32_t end = runtimes_high_.load(core::order::acquire);
    for (std::uint32_t i = 0; i < end; ++i)
      if (runtime_state* r = runtimes_[i].load(core::order::acquire)) visit(*r);
  }
  [[nodiscard]] runtime_state* runtime_at(std::uint32_t index) const noexcept {
    return runtimes_[index].load(core::order::acquire);
  }
  /// Whose block was seen there; null if it is gone. An index is given away again at once, so it may be another runtime
  /// by now, but one that has such a block: then whoever claims it finds another word, or other pages, than it saw.
  [[nodiscard]] runtime_state* runtime_at(std::uint32_t index, std::uint32_t position) const noexcept {
    runtime_state* r = runtime_at(index);
    return r != nullptr && position < r->blocks().size() ? r : nullptr;
  }
  std::shared_ptr<runtime_state> add_runtime(std::string name, model blocks);
  void remove_runtime(runtime_state& r);
  /// Frees what was retired and is no longer read. Throws std::bad_alloc.
  void retire(std::shared_ptr<const void> last_reference) { graveyard_.retire(gate_, std::move(last_reference)); }

  // ---- byte reservations: names for error messages --------------------------------------------------------
  static constexpr std::uint32_t byte_entries = 256;
  [[nodiscard]] std::optional<std::uint32_t> claim_byte_entry(std::string_view name) noexcept;
  void free_byte_entry(std::uint32_t entry) noexcept;
  /// Calls `visit(name, pages)` for each. The name is a copy.
  template <class Visit>
  void for_each_byte_entry(Visit&& visit) const {
    for (std::uint32_t i = 0; i < byte_entries; ++i) {
      byte_name::text name;
      if (byte_names_[i].read(name))
        visit(std::string_view(name.data()), table_.read(first_byte_entry() + i).share_pages);
    }
  }

  // ---- ending and failing -----------------------------------------------------------------------------------
  /// A call on a handle that may touch the device or its memory, other than a use (those are counted in their passes).
  /// `close` waits for it; one that comes later finds the scheduler halted.
  class working {
   public:
    explicit working(scheduler_state& s) noexcept : state_(s) { state_.calls_.fetch_add(1, core::order::seq_cst); }
    ~working() { state_.calls_.fetch_sub(1, core::order::release); }
    working(const working&) = delete;
    working& operator=(const working&) = delete;
    /// False: nothing may be touched.
    explicit operator bool() const noexcept { return !state_.halted(); }

   private:
    scheduler_state& state_;
  };

  /// Its last guest scope has ended, and nothing uses it since.
  [[nodiscard]] bool should_leave(const runtime_state& r) const noexcept {
    return r.leaving.load(core::order::acquire) != runtime_state::departure::none &&
           read(r).kind == core::holder::none && r.blocks().live_passes().live() == 0;
  }

  /// Nothing starts any more: closed, or the device is lost.
  [[nodiscard]] bool halted() const noexcept { return halt_.load(core::order::seq_cst) != halt::no; }
  [[nodiscard]] bool device_lost() const noexcept { return halt_.load(core::order::seq_cst) == halt::lost; }
  [[nodiscard]] failure why_halted() const noexcept;
  [[nodiscard]] const char* halt_text() const noexcept;
  /// Something failed. A lost device poisons the scheduler: everything fails from then on, with that error.
  void note_device_failure(const failure& why, std::string_view doing) noexcept;
  /// The same for a loss that only a query has seen so far.
  void look_for_loss() noexcept {
    if (const auto why = timeline().loss(); why && !device_lost()) note_device_failure(*why, "waiting for device work");
  }
  /// An error that no caller can be told.
  void keep_error(log_level level, const std::string& message) noexcept;
  [[nodiscard]] std::optional<std::string> first_error() const;
  void log(log_level level, std::string_view message) const noexcept;

  // ---- waiting ----------------------------------------------------------------------------------------------
  /// Waits for progress since `key` until `until_ns` at most. On a simulated device: does the transfer thread's
  /// work, or moves the clock.
  void await(std::uint32_t key, std::uint64_t until_ns) noexcept;
  /// On a simulated device: does all that can be done at this moment of its clock.
  void pump() noexcept {
    if (!threaded_) pump_now();
  }
  /// A stream of Pinrail's own, closed with the scheduler. Throws where the device refuses.
  [[nodiscard]] std::uint32_t open_stream(const char* purpose);

  // ---- trace ------------------------------------------------------------------------------------------------
  [[nodiscard]] bool tracing() const noexcept { return options_.trace != nullptr; }
  void trace(trace_kind kind, const runtime_state* r, block_index block = 0, std::uint64_t id = 0,
             std::uint64_t size_bytes = 0, const char* text = "") noexcept;
  void trace_used() noexcept;
  [[nodiscard]] std::uint64_t next_trace_id() noexcept { return trace_ids_.fetch_add(1, core::order::relaxed); }

 private:
  friend class reading;
  friend class working;
  enum class halt : std::uint32_t { no, closed, lost };
  /// A name that may be read while its entry ends and begins anew.
  struct byte_name {
    using text = std::array<char, 48>;
    enum : std::uint32_t { free = 0, being_written = 1, in_use = 2, next_turn = 4 };

    /// False if the entry isn't in use, or changed hands meanwhile.
    [[nodiscard]] bool read(text& out) const noexcept;

    core::atomic<std::uint32_t> state{free};  ///< and, above the low two bits, how often it was taken
    std::array<core::atomic<char>, std::tuple_size_v<text>> name{};
  };

  [[nodiscard]] std::uint32_t first_byte_entry() const noexcept { return 1 + options_.max_runtimes; }
  void pump_now() noexcept;
  void end_work() noexcept;
  void free_device() noexcept;
  template <class Condition>
  [[nodiscard]] bool await_condition(Condition&& holds) noexcept;
  [[nodiscard]] bool await_callers() noexcept;
  /// Calls something of the user's, unless the scheduler has ended.
  template <class Call>
  void call_out(Call&& call) const noexcept;
  void end_calls_out() noexcept;
  [[nodiscard]] bool await_device() noexcept;
  void await_readers() noexcept;
  void write_back_all() noexcept;
  void prepare_staging(const sources::source& from, std::size_t blocks);
  [[nodiscard]] std::uint32_t free_index() const;
  void check_removable(runtime_state& r) const;

  std::shared_ptr<pinrail::device> device_;
  scheduler_options options_;
  bool threaded_;
  std::byte* memory_ = nullptr;
  std::vector<std::uint32_t> streams_;
  std::unique_ptr<residency::arena> arena_;
  reservation_table table_;
  std::unique_ptr<core::atomic<runtime_state*>[]> runtimes_;
  core::atomic<std::uint32_t> runtimes_high_{0};
  std::unique_ptr<byte_name[]> byte_names_;
  core::reader_gate<native> gate_;
  graveyard graveyard_;
  event_count progress_;
  std::unique_ptr<transfers> transfers_;
  core::atomic<halt> halt_{halt::no};
  core::atomic<std::uint32_t> closed_{0};
  core::atomic<std::uint32_t> calls_{0};              ///< see `working`
  mutable core::atomic<std::uint32_t> calls_out_{0};  ///< threads in the user's log callback or trace recorder
  core::atomic<std::uint32_t> silent_{0};             ///< those may be gone
  core::atomic<std::int32_t> lost_code_{0};
  core::atomic<std::uint64_t> trace_ids_{1};

  std::mutex withholding_;       ///< control plane: one change of the budget at a time
  mutable std::mutex registry_;  ///< control plane: runtimes come and go
  std::vector<std::shared_ptr<runtime_state>> registered_;
  mutable std::mutex errors_;
  std::optional<std::string> first_error_;
};

}  // namespace pinrail::residency
