// Streams and events of the fake: each stream is a thread with a queue, an event is the last marker put into
// one.
//
// The threads of two streams share no lock, so ThreadSanitizer sees no order between them but that of
// markers.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

namespace pinrail::testing {

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
  fake_stream(int device, unsigned flags);
  fake_stream(const fake_stream&) = delete;
  fake_stream& operator=(const fake_stream&) = delete;
  ~fake_stream();  // waits for its work
  /// No more work will come; the thread ends after what is there.
  void close();

  const int device;
  const unsigned flags;

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

struct fake_event {
  int device = 0;
  unsigned flags = 0;
  marker_ptr last;  ///< null: never recorded, which reads as complete
};

}  // namespace pinrail::testing
