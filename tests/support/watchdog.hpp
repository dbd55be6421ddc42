// Ends the program if something hangs: a thread that waits for ever can't be stopped in any other way.
#pragma once

#include <fmt/format.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

namespace pinrail::test {

/// While it lives: exits with a message if it lives longer than `limit`.
class watchdog {
 public:
  /// `what` is called on a thread of the watchdog's own.
  watchdog(std::chrono::seconds limit, std::function<std::string()> what)
      : thread_([this, limit, what = std::move(what)] {
          std::unique_lock lock(mutex_);
          if (changed_.wait_for(lock, limit, [this] { return over_; })) return;
          fmt::print(stderr, "hang: not over after {} s: {}\n", limit.count(), what());
          std::fflush(nullptr);
          std::_Exit(EXIT_FAILURE);
        }) {}
  watchdog(const watchdog&) = delete;
  watchdog& operator=(const watchdog&) = delete;
  ~watchdog() {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
  std::thread thread_;  ///< last: it uses all of the above
};

}  // namespace pinrail::test
