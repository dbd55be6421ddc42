#include "fake_streams.hpp"

#include <utility>

namespace pinrail::testing {
namespace {

thread_local bool on_stream_thread = false;

}  // namespace

void marker::reach() {
  const std::scoped_lock lock(mutex_);
  reached_ = true;
  changed_.notify_all();
}

void marker::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return reached_; });
}

bool marker::is_reached() {
  const std::scoped_lock lock(mutex_);
  return reached_;
}

fake_stream::fake_stream(int device_ordinal, unsigned stream_flags, std::uint32_t number_on_device)
    : device(device_ordinal), flags(stream_flags), number(number_on_device), thread_([this] { run(); }) {}

bool fake_stream::is_running_here() noexcept { return on_stream_thread; }

fake_stream::~fake_stream() {
  close();
  thread_.join();
}

void fake_stream::close() {
  const std::scoped_lock lock(mutex_);
  closing_ = true;
  changed_.notify_all();
}

void fake_stream::push(std::function<void()> task) {
  const std::scoped_lock lock(mutex_);
  tasks_.push_back(std::move(task));
  changed_.notify_all();
}

void fake_stream::push_wait(marker_ptr what) {
  if (what) push([what = std::move(what)] { what->wait(); });
}

marker_ptr fake_stream::mark() {
  auto end = std::make_shared<marker>();
  push([end] { end->reach(); });
  return end;
}

void fake_stream::run() {
  on_stream_thread = true;
  for (;;) {
    std::function<void()> task;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return closing_ || !tasks_.empty(); });
      if (tasks_.empty()) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task();
  }
}

}  // namespace pinrail::testing
