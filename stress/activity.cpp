#include "activity.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

namespace stress {

std::uint64_t steady_now_ns() noexcept {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
          .count());
}

void activity::begin(const char* what, std::uint64_t deadline_ns, std::uint32_t slot, std::uint32_t block) noexcept {
  what_.store(what, std::memory_order_relaxed);
  deadline_ns_.store(deadline_ns, std::memory_order_relaxed);
  slot_.store(slot, std::memory_order_relaxed);
  block_.store(block, std::memory_order_relaxed);
  began_ns_.store(steady_now_ns(), std::memory_order_relaxed);
}

bool activity::is_hung(std::uint64_t now_ns, std::uint64_t grace_ns) const noexcept {
  const std::uint64_t since_ns = began_ns();
  return since_ns != idle && now_ns > since_ns + deadline_ns_.load(std::memory_order_relaxed) + grace_ns;
}

std::string activity::describe(std::uint64_t now_ns) const {
  const std::uint64_t step = step_.load(std::memory_order_relaxed);
  const std::uint64_t since_ns = began_ns();
  if (since_ns == idle) return fmt::format("step {}, in no call", step);
  std::string text = fmt::format("step {}, {}", step, what_.load(std::memory_order_relaxed));
  if (const auto slot = slot_.load(std::memory_order_relaxed); slot != doing::nothing)
    text += fmt::format(" of runtime {}", slot);
  if (const auto block = block_.load(std::memory_order_relaxed); block != doing::nothing)
    text += fmt::format(" block {}", block);
  const std::uint64_t for_ns = now_ns - std::min(now_ns, since_ns);
  return text + fmt::format(" for {:.3f} s, deadline {:.3f} s", 1e-9 * static_cast<double>(for_ns),
                            1e-9 * static_cast<double>(deadline_ns_.load(std::memory_order_relaxed)));
}

watchdog::watchdog(std::uint32_t threads, std::uint64_t grace_ns, std::function<void(const std::string&)> hung)
    : grace_ns_(grace_ns), hung_(std::move(hung)) {
  for (std::uint32_t i = 0; i <= threads; ++i) entries_.push_back(std::make_unique<activity>());
  thread_ = std::thread([this] { run(); });
}

watchdog::~watchdog() {
  ending_.store(true, std::memory_order_relaxed);
  thread_.join();
}

void watchdog::run() {
  while (!ending_.load(std::memory_order_relaxed)) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    const std::uint64_t now_ns = steady_now_ns();
    const auto hangs = [&](const auto& entry) { return entry->is_hung(now_ns, grace_ns_); };
    if (std::none_of(entries_.begin(), entries_.end(), hangs)) continue;
    std::string text = "a call has not come back:\n";
    for (std::size_t i = 0; i < entries_.size(); ++i)
      text += fmt::format("  {} {}: {}\n", i + 1 < entries_.size() ? fmt::format("thread {}", i) : "main thread",
                          hangs(entries_[i]) ? "HANGS in" : "is at", entries_[i]->describe(now_ns));
    hung_(text);
    return;
  }
}

}  // namespace stress
