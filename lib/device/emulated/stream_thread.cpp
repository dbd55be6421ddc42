#include "device/emulated/stream_thread.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "device/copy_cost.hpp"
#include "device/emulated/schedule.hpp"

namespace pinrail::devices {
namespace {

void overwrite(std::byte* data, std::uint64_t size_bytes) noexcept {
  constexpr std::uint64_t line_bytes = 64;
  constexpr std::uint64_t stride_bytes = 4096;
  const std::uint64_t written_bytes = std::min(line_bytes, size_bytes);
  for (std::uint64_t offset = 0; offset + written_bytes <= size_bytes && written_bytes != 0; offset += stride_bytes) {
    std::memset(data + offset, static_cast<int>(poison_byte), written_bytes);
  }
  std::memset(data + size_bytes - written_bytes, static_cast<int>(poison_byte), written_bytes);
}

}  // namespace

stream_thread::stream_thread(std::uint32_t number, stream_environment& environment)
    : number_(number), environment_(environment), thread_([this] { run(); }) {}

stream_thread::~stream_thread() {
  {
    const std::lock_guard lock(queue_mutex_);
    closed_ = true;
  }
  queue_changed_.notify_one();
  thread_.join();
}

void stream_thread::enqueue(work what) {
  {
    const std::lock_guard lock(queue_mutex_);
    queue_.push_back({std::move(what), steady_now_ns()});
    ++enqueued_;
  }
  queue_changed_.notify_one();
}

stream_position stream_thread::position() {
  const std::lock_guard lock(queue_mutex_);
  return {progress_, enqueued_};
}

std::optional<stream_thread::entry> stream_thread::next() {
  std::unique_lock lock(queue_mutex_);
  queue_changed_.wait(lock, [&] { return closed_ || !queue_.empty(); });
  if (queue_.empty()) return std::nullopt;
  std::optional<entry> first(std::move(queue_.front()));
  queue_.pop_front();
  return first;
}

void stream_thread::run() noexcept {
  std::uint64_t end_ns = 0;
  for (std::uint64_t number = 1;; ++number) {
    std::optional<entry> current = next();
    if (!current) return;
    const std::uint64_t ready_ns = std::max(end_ns, current->enqueued_ns);
    end_ns = std::visit([&](const auto& what) { return execute(what, ready_ns); }, current->what);
    // Before anyone is told: what a kernel captured is gone once its stream is synchronised.
    current.reset();
    progress_->complete(number, end_ns);
  }
}

std::uint64_t stream_thread::execute(const stream_position& awaited, std::uint64_t ready_ns) {
  if (awaited.of == nullptr) return ready_ns;
  const std::uint64_t reached_ns = awaited.of->wait(awaited.number);
  return limit_lag(std::max(ready_ns, reached_ns), steady_now_ns());
}

std::uint64_t stream_thread::execute(const copy_work& copy, std::uint64_t ready_ns) {
  copy_engine& engine = environment_.engines[static_cast<std::size_t>(copy.way)];
  return engine.run(ready_ns, copy_ns(environment_.options, copy.way, copy.size_bytes), [&] {
    if (environment_.faults.lost()) return false;
    std::memcpy(copy.to, copy.from, copy.size_bytes);
    return true;
  });
}

std::uint64_t stream_thread::execute(const poison_work& poison, std::uint64_t ready_ns) {
  if (!environment_.faults.lost()) overwrite(poison.data, poison.size_bytes);
  return ready_ns;
}

std::uint64_t stream_thread::execute(const std::function<void()>& kernel, std::uint64_t ready_ns) {
  if (environment_.faults.lost()) return ready_ns;
  const std::uint64_t began_ns = steady_now_ns();
  kernel();
  const std::uint64_t now_ns = steady_now_ns();
  return limit_lag(ready_ns + (now_ns - began_ns), now_ns);
}

}  // namespace pinrail::devices
