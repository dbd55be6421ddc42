// What every thread is doing, and the watchdog that looks for calls that do not come back.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace stress {

[[nodiscard]] std::uint64_t steady_now_ns() noexcept;

/// One thread's entry. Written by that thread, read by the watchdog.
class activity {
 public:
  static constexpr std::uint64_t idle = 0;

  void begin(const char* what, std::uint64_t deadline_ns, std::uint32_t slot, std::uint32_t block) noexcept;
  void end() noexcept { began_ns_.store(idle, std::memory_order_relaxed); }
  void set_step(std::uint64_t step) noexcept { step_.store(step, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t began_ns() const noexcept { return began_ns_.load(std::memory_order_relaxed); }

  [[nodiscard]] bool is_hung(std::uint64_t now_ns, std::uint64_t grace_ns) const noexcept;
  [[nodiscard]] std::string describe(std::uint64_t now_ns) const;

 private:
  std::atomic<const char*> what_{""};
  std::atomic<std::uint64_t> began_ns_{idle};
  std::atomic<std::uint64_t> deadline_ns_{0};
  std::atomic<std::uint32_t> slot_{0};
  std::atomic<std::uint32_t> block_{0};
  std::atomic<std::uint64_t> step_{0};
};

/// A call that may take `deadline_ns`, from construction to destruction.
class doing {
 public:
  static constexpr std::uint32_t nothing = UINT32_MAX;

  doing(activity& mine, const char* what, std::uint64_t deadline_ns = 0, std::uint32_t slot = nothing,
        std::uint32_t block = nothing) noexcept
      : mine_(mine), deadline_ns_(deadline_ns) {
    mine_.begin(what, deadline_ns, slot, block);
  }
  doing(const doing&) = delete;
  doing& operator=(const doing&) = delete;
  ~doing() { mine_.end(); }

  [[nodiscard]] std::uint64_t elapsed_ns() const noexcept { return steady_now_ns() - mine_.began_ns(); }
  [[nodiscard]] bool is_early() const noexcept { return elapsed_ns() < deadline_ns_; }
  /// How much longer than its deadline it has taken.
  [[nodiscard]] std::uint64_t overrun_ns() const noexcept {
    const std::uint64_t taken_ns = elapsed_ns();
    return taken_ns > deadline_ns_ ? taken_ns - deadline_ns_ : 0;
  }

 private:
  activity& mine_;
  std::uint64_t deadline_ns_;
};

/// Looks every 100 ms for a call that is `grace_ns` beyond its deadline, and calls `hung` with what every thread does.
class watchdog {
 public:
  watchdog(std::uint32_t threads, std::uint64_t grace_ns, std::function<void(const std::string&)> hung);
  watchdog(const watchdog&) = delete;
  watchdog& operator=(const watchdog&) = delete;
  ~watchdog();

  /// Of the threads 0 to threads - 1; the last is the main thread.
  [[nodiscard]] activity& of(std::uint32_t thread) noexcept { return *entries_[thread]; }
  [[nodiscard]] activity& of_main() noexcept { return *entries_.back(); }

 private:
  void run();

  std::vector<std::unique_ptr<activity>> entries_;
  std::uint64_t grace_ns_;
  std::function<void(const std::string&)> hung_;
  std::atomic<bool> ending_{false};
  std::thread thread_;
};

}  // namespace stress
