// A thread that reads the figures of a world all the time.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

#include "world.hpp"

namespace stress {

/// Checks at each reading: used <= budget, which come from one read; reserved <= budget, unless the budget is being
/// changed; and what the order checker has found.
class watcher {
 public:
  explicit watcher(world& w);
  watcher(const watcher&) = delete;
  watcher& operator=(const watcher&) = delete;
  ~watcher();

  /// Ends the watch.
  void finish();
  [[nodiscard]] std::uint64_t readings() const noexcept { return readings_.load(std::memory_order_relaxed); }
  /// The most that was ever seen in use. After `finish`.
  [[nodiscard]] std::uint64_t most_used_bytes() const noexcept { return most_used_bytes_; }

 private:
  void run();
  void read_once();

  world& world_;
  std::uint64_t most_used_bytes_ = 0;
  std::atomic<std::uint64_t> readings_{0};
  std::atomic<bool> ending_{false};
  std::thread thread_;
};

}  // namespace stress
