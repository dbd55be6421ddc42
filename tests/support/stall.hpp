// Suspends a thread right before one of its atomic accesses, until it is told to go on.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <source_location>

#include "support/hooked_atomics.hpp"

namespace pinrail::test {

/// Install it on the thread as a hook (`hooked`) around the operation. Accesses count from 1.
class stall final : public access_hook {
 public:
  explicit stall(std::uint64_t point) : point_(point) {}

  // ---- the thread that is suspended -------------------------------------------------------------------------
  void before_access(const std::source_location& where) noexcept override {
    if (++accesses_ == point_) suspend(where);
  }
  /// Its operation is over.
  void end() {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_all();
  }

  // ---- another thread ---------------------------------------------------------------------------------------
  /// Waits until the thread is suspended; false if its operation was over before that access.
  [[nodiscard]] bool await() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return suspended_ || ended_; });
    return suspended_;
  }
  void resume() {
    const std::lock_guard lock(mutex_);
    resumed_ = true;
    changed_.notify_all();
  }
  /// Where it is suspended.
  [[nodiscard]] std::source_location where() {
    const std::lock_guard lock(mutex_);
    return where_;
  }

 private:
  void suspend(const std::source_location& where) noexcept {
    std::unique_lock lock(mutex_);
    where_ = where;
    suspended_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return resumed_; });
  }

  const std::uint64_t point_;
  std::uint64_t accesses_ = 0;  // the suspended thread's
  std::mutex mutex_;
  std::condition_variable changed_;
  bool suspended_ = false;
  bool resumed_ = false;
  bool ended_ = false;
  std::source_location where_;
};

}  // namespace pinrail::test
