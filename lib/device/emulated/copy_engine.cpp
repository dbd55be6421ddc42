#include "device/emulated/copy_engine.hpp"

#include <chrono>
#include <thread>

namespace pinrail::devices {

copy_engine::turn::turn(copy_engine& engine) : engine_(engine) {
  std::unique_lock lock(engine_.mutex_);
  const std::uint64_t mine = engine_.arrived_++;
  engine_.changed_.wait(lock, [&] { return engine_.served_ == mine; });
}

copy_engine::turn::~turn() {
  {
    const std::lock_guard lock(engine_.mutex_);
    ++engine_.served_;
  }
  engine_.changed_.notify_all();
}

std::uint64_t copy_engine::arrived() const {
  const std::lock_guard lock(mutex_);
  return arrived_;
}

void copy_engine::sleep_until(std::uint64_t steady_ns) {
  const std::chrono::nanoseconds since_start(static_cast<std::int64_t>(steady_ns));
  std::this_thread::sleep_until(std::chrono::steady_clock::time_point(since_start));
}

}  // namespace pinrail::devices
