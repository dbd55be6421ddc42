// A test device (support/test_device.hpp), a scheduler and models on it, with everything checked: bytes by kernels,
// order by the device's checker, leaks at the end.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <deque>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/atomic.hpp"
#include "device/timeline.hpp"
#include "pinrail/emulated.hpp"
#include "pinrail/pinrail.hpp"
#include "support/host_model.hpp"
#include "support/test_device.hpp"
#include "support/threads.hpp"

namespace pinrail::test {

/// A kernel that runs until it is let go, so that a test decides what is still under way.
class gate {
 public:
  gate() : opened_(promise_.get_future().share()) {}
  ~gate() { open(); }
  void open() {
    if (!std::exchange(open_, true)) promise_.set_value();
  }
  /// Enqueues the kernel.
  void hold(stream_ref stream) {
    emulated::launch(stream, [opened = opened_] { opened.wait(); });
  }

 private:
  bool open_ = false;
  std::promise<void> promise_;
  std::shared_future<void> opened_;
};

struct named_runtime {
  runtime handle;
  host_model* bytes = nullptr;
};

class rig {
 public:
  static constexpr std::uint64_t page_bytes = 4096;

  explicit rig(scheduler_options options, const std::string& spec = "emulated:vram=64MiB")
      : device_(open_test_device(spec)) {
    if (options.page_bytes == 0) options.page_bytes = page_bytes;
    if (options.load_deadline == std::chrono::seconds(30)) options.load_deadline = std::chrono::seconds(20);
    options.log = [this](log_level, std::string_view text) {
      {
        const std::lock_guard lock(mutex_);
        log_.emplace_back(text);
      }
      if (on_log) on_log(text);
    };
    scheduler_.emplace(*device_, options);
  }

  /// Ends the scheduler, then checks bytes, order and leaks. Called by the destructor.
  void finish() {
    if (!scheduler_) return;
    scheduler_.reset();
    EXPECT_EQ(wrong_blocks(), 0u) << "kernels read wrong bytes";
    EXPECT_EQ(emulated::violations(*device_), std::vector<std::string>{});
    const auto left = emulated::live_resources(*device_);
    EXPECT_EQ(left.arena_bytes, 0u);
    EXPECT_EQ(left.pinned_bytes, device_->timeline().pinned_bytes());
  }
  ~rig() { finish(); }

  named_runtime add(std::string name, std::size_t blocks, std::uint64_t size_bytes,
                    const memory_options& options = {.pinned = true}) {
    return add(std::move(name), std::vector<std::uint64_t>(blocks, size_bytes), options);
  }
  named_runtime add(std::string name, const std::vector<std::uint64_t>& sizes_bytes,
                    const memory_options& options = {.pinned = true}) {
    host_model& bytes = models_.emplace_back(sizes_bytes, models_.size() + 1);
    for (std::size_t b = 0; options.pinned && b < bytes.size(); ++b)
      if (!bytes.block(b).empty()) locked_.emplace_back(bytes.block(b));
    return {scheduler_->add_runtime(std::move(name), bytes.model(options)), &bytes};
  }

  /// Enqueues a kernel that compares the block on the device with its source.
  template <class Held>  // use, block_pin
  void check(const Held& held, const named_runtime& r, stream_ref stream) {
    const auto* data = static_cast<const std::byte*>(held.device_ptr());
    const std::vector<std::byte>* expected = &r.bytes->block(held.block());
    const emulated::access touched{data, held.size_bytes(), false};
    emulated::launch(stream,
                     [this, data, expected] {
                       if (std::memcmp(data, expected->data(), expected->size()) != 0)
                         wrong_.fetch_add(1, core::order::relaxed);
                     },
                     {&touched, 1});
  }

  /// Uses and checks blocks in a pass; returns when the device is done.
  void run(const named_runtime& r, const std::vector<block_index>& blocks, const pass_options& options = {}) {
    const stream s = device_->create_stream();
    {
      auto pass = r.handle.managed_forward(s, options);
      for (const block_index b : blocks) check(pass.use(b), r, s);
    }
    s.synchronize();
  }
  void run(const named_runtime& r) {
    run(r, std::vector<block_index>(r.handle.blocks().begin(), r.handle.blocks().end()), {.wraps = false});
  }

  [[nodiscard]] std::vector<block_index> resident(const named_runtime& r) const {
    std::vector<block_index> all;
    for (const block_index b : r.handle.blocks())
      if (r.handle.is_resident(b)) all.push_back(b);
    return all;
  }

  [[nodiscard]] pinrail::device& device() { return *device_; }
  [[nodiscard]] scheduler& sched() { return *scheduler_; }
  [[nodiscard]] std::uint64_t wrong_blocks() const { return wrong_.load(core::order::relaxed); }
  [[nodiscard]] std::vector<std::string> log() {
    const std::lock_guard lock(mutex_);
    return log_;
  }
  /// Called on the thread that logs. Set it while no one does.
  std::function<void(std::string_view)> on_log;
  [[nodiscard]] bool logged(const std::string& part) {
    for (const std::string& line : log())
      if (line.find(part) != std::string::npos) return true;
    return false;
  }

 private:
  std::shared_ptr<pinrail::device> device_;
  std::mutex mutex_;
  std::vector<std::string> log_;
  core::atomic<std::uint64_t> wrong_{0};
  std::deque<host_model> models_;
  std::deque<page_lock> locked_;
  std::optional<scheduler> scheduler_;
};

/// The code of the error that `call` throws; errc::none if it throws none.
template <class Call>
[[nodiscard]] error caught(Call&& call) {
  try {
    call();
  } catch (const error& e) {
    return e;
  }
  return error(errc::none, "nothing was thrown");
}

/// Waits until a condition holds that other threads bring about; false after 20 s.
template <class Condition>
[[nodiscard]] bool eventually(Condition&& holds) {
  for (int i = 0; i < 20000; ++i) {
    if (holds()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

}  // namespace pinrail::test
