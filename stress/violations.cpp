#include "violations.hpp"

#include <fmt/format.h>

#include <cstdio>

namespace stress {

const char* to_string(check what) noexcept {
  switch (what) {
    case check::content:
      return "content";
    case check::order:
      return "order";
    case check::budget:
      return "budget";
    case check::protection:
      return "protection";
    case check::primary:
      return "primary";
    case check::secondary:
      return "secondary";
    case check::extents:
      return "extents";
    case check::lost_bytes:
      return "lost_bytes";
    case check::leak:
      return "leak";
    case check::errors:
      return "errors";
    case check::handles:
      return "handles";
  }
  return "unknown";
}

void violations::report(check what, const std::string& text) noexcept {
  count_.fetch_add(1, std::memory_order_relaxed);
  try {
    const std::lock_guard lock(mutex_);
    if (findings_.size() >= kept) return;
    findings_.push_back({what, elapsed_s(), round_.load(std::memory_order_relaxed), text});
    fmt::print(stderr, "\nviolation ({}) in round {} after {:.2f} s: {}\n", to_string(what), findings_.back().round,
               findings_.back().after_s, text);
  } catch (...) {  // counted, at least
  }
}

double violations::elapsed_s() const noexcept {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count();
}

std::vector<violations::finding> violations::findings() const {
  const std::lock_guard lock(mutex_);
  return findings_;
}

}  // namespace stress
