// What the two threads of a program share: a device, a scheduler, models whose bytes are known, and the oracles.
#pragma once

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <vector>

#include "core/atomic.hpp"
#include "fuzz/api/contents.hpp"
#include "fuzz/api/program.hpp"
#include "fuzz/support/expect.hpp"
#include "pinrail/emulated.hpp"
#include "pinrail/pinrail.hpp"

namespace pinrail::fuzz {

/// A block, its bytes on the host, and who works on it. A program must not write a block while others use it, and the
/// scheduler does not check that it doesn't: so the harness keeps a book.
struct tested_block {
  tested_block(std::uint64_t key, std::uint64_t size_bytes) : contents(key), host(size_bytes) {
    contents.write(host, 0);
  }

  block_contents contents;
  std::vector<std::byte> host;  ///< written by write-backs

  std::mutex mutex;  ///< of what follows
  unsigned users = 0;
  bool written = false;       ///< its one user writes
  std::uint32_t version = 0;  ///< that its next reader must find
  std::uint32_t streams = 0;  ///< bit per stream whose kernels may still use it
};

struct tested_model {
  std::string name;
  enum class from : std::uint8_t { pinned, pageable, callback } source = from::pinned;
  bool writable = false;
  std::deque<tested_block> blocks;
  std::uint64_t footprint_pages = 0;

  std::mutex mutex;  ///< of what follows
  runtime now;       ///< registered, or the last that was
  runtime former;    ///< removed before
  bool registered = false;
  // As a program in turns must find them.
  core::atomic<std::uint64_t> reservation{0};  ///< which reserve call holds; 0: none
  core::atomic<std::uint32_t> guests{0};
};

class world {
 public:
  static constexpr std::size_t streams = 3;

  explicit world(const program& p);
  world(const world&) = delete;
  world& operator=(const world&) = delete;
  /// Ends the scheduler, if it still runs, and checks what must hold then.
  ~world();

  [[nodiscard]] const program& setup() const { return setup_; }
  [[nodiscard]] pinrail::device& device() { return *device_; }
  [[nodiscard]] tested_model& model(std::size_t i) { return models_[i % models_.size()]; }
  [[nodiscard]] stream_ref stream(std::size_t i) const { return streams_[i % streams]; }
  [[nodiscard]] budget_control& budget() { return budget_; }
  [[nodiscard]] std::uint64_t pages(std::uint64_t size_bytes) const { return size_bytes / setup_.page_bytes; }

  // ---- the scheduler, which either thread may end -----------------------------------------------------------
  /// Calls `with(scheduler&)`, during which it does not end; false if it is ending or has ended.
  template <class With>
  bool with_scheduler(With&& with) {
    const std::shared_lock lock(ending_, std::try_to_lock);
    if (!lock.owns_lock() || !scheduler_) return false;
    with(*scheduler_);
    return true;
  }
  void end_scheduler();
  [[nodiscard]] bool closing() const { return closing_.load(core::order::acquire); }

  void add_runtime(tested_model& m);
  void remove_runtime(tested_model& m);

  // ---- errors -----------------------------------------------------------------------------------------------
  /// Runs a call. Whether it succeeded; if not, it must have thrown a pinrail::error with one of these codes, or with
  /// one that removals, the scheduler's end or injected faults explain.
  template <class Call>
  bool attempt(std::initializer_list<errc> documented, Call&& call) {
    try {
      std::forward<Call>(call)();
      return true;
    } catch (const error& e) {
      expect_explained(e, documented);
      return false;
    }
  }
  void inject(const emulated::fault& what);
  void clear_faults() { emulated::clear_faults(*device_); }
  /// The next `reads` and `writes` of models with callbacks fail.
  void break_source(std::uint32_t reads, std::uint32_t writes);
  [[nodiscard]] bool faulty() const { return faulty_.load(core::order::acquire); }

  // ---- blocks -----------------------------------------------------------------------------------------------
  /// Before a use begins. False while someone writes the block.
  [[nodiscard]] bool enter(tested_block& b);
  void leave(tested_block& b, std::size_t stream);
  /// Nobody else uses the block, and kernels of other streams are done with it: its user may write.
  [[nodiscard]] bool begin_write(tested_block& b, std::size_t stream);
  void cancel_write(tested_block& b);
  /// Enqueues a kernel that compares the block with the version that it must have now.
  void launch_check(tested_block& b, const use& held, std::size_t stream);
  /// Enqueues a kernel that makes the next version of it.
  void launch_write(tested_block& b, const use& held, std::size_t stream);

  // ---- oracles ----------------------------------------------------------------------------------------------
  /// After each call: the budget; for a program in turns also the sums of shares.
  void expect_budget();
  void count_reserved_bytes(std::int64_t bytes) { reserved_bytes_.fetch_add(bytes, core::order::acq_rel); }

  // ---- turns ------------------------------------------------------------------------------------------------
  /// Waits until call `i` may run.
  void await_turn(std::size_t i);
  void end_turn();
  [[nodiscard]] bool in_turns() const { return setup_.in_turns && !closing(); }

 private:
  void make_models();
  [[nodiscard]] pinrail::model describe(tested_model& m);
  void expect_explained(const error& e, std::initializer_list<errc> documented) const;
  void expect_quiet();
  void expect_host_bytes();
  void expect_device_unused();

  const program setup_;
  std::shared_ptr<pinrail::device> device_;
  std::array<pinrail::stream, streams> streams_;
  std::deque<tested_model> models_;
  trace_recorder trace_;

  std::shared_mutex ending_;
  std::optional<scheduler> scheduler_;
  budget_control budget_;

  core::atomic<bool> closing_{false};
  core::atomic<bool> removed_{false};   ///< some runtime was
  core::atomic<bool> faulty_{false};    ///< device faults were injected
  core::atomic<bool> broken_{false};    ///< source faults were
  core::atomic<bool> troubled_{false};  ///< the scheduler logged an error
  core::atomic<std::int32_t> failing_reads_{0};
  core::atomic<std::int32_t> failing_writes_{0};
  core::atomic<std::int64_t> reserved_bytes_{0};

  std::mutex turns_;
  std::condition_variable turned_;
  std::size_t turn_ = 0;
};

}  // namespace pinrail::fuzz
