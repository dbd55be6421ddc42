#include "watcher.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

namespace stress {

watcher::watcher(world& w) : world_(w), thread_([this] { run(); }) {}

watcher::~watcher() { finish(); }

void watcher::finish() {
  ending_.store(true, std::memory_order_relaxed);
  if (thread_.joinable()) thread_.join();
}

void watcher::run() {
  constexpr std::uint64_t readings_per_order_check = 64;
  while (!ending_.load(std::memory_order_relaxed)) {
    read_once();
    if (readings_.fetch_add(1, std::memory_order_relaxed) % readings_per_order_check == 0) world_.check_order();
    std::this_thread::sleep_for(std::chrono::microseconds(500));
  }
}

void watcher::read_once() {
  const budget_changes& changes = world_.budgets();
  const std::uint64_t ended = changes.ended();
  const pinrail::statistics s = world_.sched().statistics();
  const bool same_budget = changes.begun() == ended;
  const std::uint64_t most = world_.plan().most_budget_bytes();
  most_used_bytes_ = std::max(most_used_bytes_, s.used_bytes);
  if (s.used_bytes > s.budget_bytes)
    world_.report(check::budget, fmt::format("{} bytes are used, the budget is {}", s.used_bytes, s.budget_bytes));
  if (s.reserved_bytes > (same_budget ? s.budget_bytes : most))
    world_.report(check::budget,
                  fmt::format("{} bytes are reserved, the budget is {}", s.reserved_bytes, s.budget_bytes));
  if (s.headroom_bytes > most || s.largest_free_bytes > most)
    world_.report(check::budget, fmt::format("headroom is {}, the largest free piece {}, and the arena only {}",
                                             s.headroom_bytes, s.largest_free_bytes, most));
}

}  // namespace stress
