// Suspends a thread right before one of its atomic accesses, until it is told to go on.
#pragma once

#include <pthread.h>

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <source_location>
#include <string_view>
#include <utility>

#include "support/hooked_atomics.hpp"

namespace pinrail::test {

/// Install it on the thread as a hook (`hooked`) around the operation. Accesses count from 1; those of the emulated
/// device don't: it may hold a lock of its own, as a driver may.
class stall final : public access_hook {
 public:
  /// Of loops, only the first `most_per_place` accesses at each place count.
  explicit stall(std::uint64_t point, unsigned most_per_place = UINT32_MAX)
      : point_(point), most_per_place_(most_per_place) {}

  // ---- the thread that is suspended -------------------------------------------------------------------------
  void before_access(const std::source_location& where) noexcept override {
    if (std::string_view(where.file_name()).find("/device/emulated/") != std::string_view::npos) return;
    if (++at_place_[{where.file_name(), where.line()}] > most_per_place_) return;
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
  const unsigned most_per_place_;
  // The suspended thread's.
  std::uint64_t accesses_ = 0;
  std::map<std::pair<const char*, std::uint_least32_t>, unsigned> at_place_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool suspended_ = false;
  bool resumed_ = false;
  bool ended_ = false;
  std::source_location where_;
};

/// Installs a hook, for the scope, on the threads on which schedulers enqueue copies.
class hooked_copies {
 public:
  explicit hooked_copies(access_hook& hook) { forwarder::the().set(&hook); }
  hooked_copies(const hooked_copies&) = delete;
  hooked_copies& operator=(const hooked_copies&) = delete;
  /// When this returns the hook has returned too.
  ~hooked_copies() { forwarder::the().set(nullptr); }

 private:
  /// Lives on, for threads that find it as it is taken away.
  class forwarder final : public access_hook {
   public:
    static forwarder& the() {
      static forwarder one;
      return one;
    }
    void set(access_hook* target) {
      const std::lock_guard lock(mutex_);
      target_ = target;
      hook_of_other_threads.store(target != nullptr ? this : nullptr, std::memory_order::release);
    }
    void before_access(const std::source_location& where) noexcept override {
      thread_local const bool copies = is_copy_thread();
      if (!copies) return;
      const std::lock_guard lock(mutex_);
      if (target_ != nullptr) target_->before_access(where);
    }

   private:
    static bool is_copy_thread() noexcept {
      char name[16] = "";
      pthread_getname_np(pthread_self(), name, sizeof(name));
      return std::string_view(name) == "pinrail-copies";
    }

    std::mutex mutex_;
    access_hook* target_ = nullptr;
  };
};

}  // namespace pinrail::test
