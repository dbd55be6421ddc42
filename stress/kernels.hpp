// Kernels: host functions on the streams of an emulated device.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>

#include "world.hpp"

namespace stress {

/// Whose bytes a kernel looks at, for messages and to tell what was found instead.
struct content_place {
  world* where = nullptr;
  std::uint64_t owner = 0;
  std::uint64_t version = 0;
  std::string name;  ///< "block 3 of runtime 1 at the beginning of a use"
};

/// Enqueues a kernel that compares bytes on the device with what they must be.
void launch_check(pinrail::stream_ref stream, std::span<const std::byte> data, content_place expected);
/// Enqueues a kernel that writes the content of a version.
void launch_write(pinrail::stream_ref stream, std::span<std::byte> data, std::uint64_t key);
/// Enqueues a kernel that takes its time.
void launch_delay(pinrail::stream_ref stream, std::chrono::microseconds duration);

/// A kernel that runs until it is let go, or for a few milliseconds: so that no thread waits for one that waits for it.
class gate {
 public:
  gate() : state_(std::make_shared<state>()) {}
  ~gate() { open(); }
  gate(const gate&) = delete;
  gate& operator=(const gate&) = delete;

  void hold(pinrail::stream_ref stream);
  void open();

 private:
  struct state {
    std::mutex mutex;
    std::condition_variable changed;
    bool open = false;
  };
  std::shared_ptr<state> state_;
};

}  // namespace stress
