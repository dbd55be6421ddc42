// A stream of an emulated device: a thread and its queue.
#pragma once

#include <array>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <variant>

#include "device/backend.hpp"
#include "device/device_memory.hpp"
#include "device/emulated/copy_engine.hpp"
#include "device/emulated/fault_plan.hpp"
#include "device/emulated/progress.hpp"
#include "device/spec.hpp"

namespace pinrail::devices {

/// Work up to `number` of the stream whose progress this is.
struct stream_position {
  std::shared_ptr<progress> of;  ///< null: complete
  std::uint64_t number = 0;
};

struct copy_work {
  direction way;
  void* to;
  const void* from;
  std::uint64_t size_bytes;
  memory_owner host_memory;  ///< null where the caller owns it
};

struct poison_work {
  std::byte* data;
  std::uint64_t size_bytes;
};

/// What discarded bytes are overwritten with: one line of 64 in every 4096 bytes, and the first and last
/// line.
inline constexpr std::byte poison_byte{0xDB};

/// What the streams of one device share.
struct stream_environment {
  const host_device_options& options;
  const fault_plan& faults;
  std::array<copy_engine, 3> engines{};
};

/// Thread-safety: any thread may enqueue; who needs two calls to be neighbours in the queue holds
/// `enqueue_mutex`.
class stream_thread {
 public:
  using work = std::variant<stream_position, copy_work, poison_work, std::function<void()>>;

  /// `number` is for messages. Throws std::system_error where no thread can be had.
  stream_thread(std::uint32_t number, stream_environment& environment);
  stream_thread(const stream_thread&) = delete;
  stream_thread& operator=(const stream_thread&) = delete;
  /// Waits for the stream's work.
  ~stream_thread();

  [[nodiscard]] std::uint32_t number() const noexcept { return number_; }
  [[nodiscard]] std::mutex& enqueue_mutex() noexcept { return enqueue_mutex_; }
  /// A `stream_position` as work makes the stream wait for it.
  void enqueue(work what);
  /// All work enqueued so far.
  [[nodiscard]] stream_position position();

 private:
  struct entry {
    work what;
    std::uint64_t enqueued_ns;
  };

  void run() noexcept;
  [[nodiscard]] std::optional<entry> next();
  /// Each does the work and returns when it ends by the schedule, given when it was ready.
  std::uint64_t execute(const stream_position& awaited, std::uint64_t ready_ns);
  std::uint64_t execute(const copy_work& copy, std::uint64_t ready_ns);
  std::uint64_t execute(const poison_work& poison, std::uint64_t ready_ns);
  std::uint64_t execute(const std::function<void()>& kernel, std::uint64_t ready_ns);

  const std::uint32_t number_;
  stream_environment& environment_;
  const std::shared_ptr<progress> progress_ = std::make_shared<progress>();
  std::mutex enqueue_mutex_;

  std::mutex queue_mutex_;
  std::condition_variable queue_changed_;
  std::deque<entry> queue_;
  std::uint64_t enqueued_ = 0;
  bool closed_ = false;

  std::thread thread_;  ///< last: it uses all of the above
};

}  // namespace pinrail::devices
