// Streams and events of the fake: each stream is a thread with a queue, an event is the last marker put into
// one.
//
// The threads of two streams share no lock, so ThreadSanitizer sees no order between them but that of
// markers.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "device/emulated/order_checker.hpp"

namespace pinrail::testing {

struct fake_capture;

/// A point in a stream's work.
class marker {
 public:
  void reach();
  void wait();
  [[nodiscard]] bool is_reached();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool reached_ = false;
};

using marker_ptr = std::shared_ptr<marker>;

class fake_stream {
 public:
  fake_stream(int device, unsigned flags, std::uint32_t number);
  fake_stream(const fake_stream&) = delete;
  fake_stream& operator=(const fake_stream&) = delete;
  ~fake_stream();  // waits for its work
  /// No more work will come; the thread ends after what is there.
  void close();
  /// The calling thread is a stream's: what runs on it is a kernel or a host function.
  [[nodiscard]] static bool is_running_here() noexcept;

  const int device;
  const unsigned flags;
  const std::uint32_t number;             ///< on its device; for the order checker
  std::shared_ptr<fake_capture> capture;  ///< null: work runs; the fake's lock

  void push(std::function<void()> task);
  void push_wait(marker_ptr what);
  /// Marks the end of the work that is there now.
  marker_ptr mark();

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;
  bool closing_ = false;
  std::thread thread_;
};

/// The fake's lock.
struct fake_event {
  int device = 0;
  unsigned flags = 0;
  marker_ptr last;                              ///< null: never recorded, which reads as complete
  devices::order_checker::moment covers = {};   ///< what the order checker knows of the last record
  std::shared_ptr<fake_capture> captured = {};  ///< the last record is part of a graph
};

}  // namespace pinrail::testing
