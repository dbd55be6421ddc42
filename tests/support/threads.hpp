// Threads of a test, started together.
#pragma once

#include <exception>
#include <functional>
#include <future>
#include <thread>
#include <vector>

namespace pinrail::test {

/// Runs `work(i)` on `count` threads at once and passes on what they throw.
inline void on_threads(int count, const std::function<void(int)>& work) {
  std::vector<std::thread> threads;
  std::vector<std::exception_ptr> failures(static_cast<std::size_t>(count));
  std::promise<void> start;
  std::shared_future<void> started = start.get_future().share();
  for (int i = 0; i < count; ++i) {
    threads.emplace_back([&, i, started] {
      started.wait();
      try {
        work(i);
      } catch (...) {
        failures[static_cast<std::size_t>(i)] = std::current_exception();
      }
    });
  }
  start.set_value();
  for (std::thread& t : threads) t.join();
  for (const auto& f : failures)
    if (f) std::rethrow_exception(f);
}

}  // namespace pinrail::test
