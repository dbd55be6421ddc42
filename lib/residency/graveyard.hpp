// What is unlinked but may still be read: freed after a grace period (core/reader_gate.hpp).
#pragma once

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "core/reader_gate.hpp"

namespace pinrail::residency {

/// Control plane only. Never waits for readers: what can't be freed yet is freed by a later call, or at the end.
class graveyard {
 public:
  using gate = core::reader_gate<core::native_atomics>;

  void retire(gate& readers, std::shared_ptr<const void> last_reference) {
    std::vector<std::shared_ptr<const void>> freed;  // destroyed after the lock
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(last_reference));
    if (!draining_.empty() && !readers.drained()) return;
    freed = std::move(draining_);
    draining_ = std::exchange(waiting_, {});
    readers.flip();
  }

  /// At the end of a scheduler, when no one reads any more: frees everything.
  void clear() {
    const std::lock_guard lock(mutex_);
    draining_.clear();
    waiting_.clear();
  }

 private:
  std::mutex mutex_;
  std::vector<std::shared_ptr<const void>> draining_;  ///< retired before the last flip
  std::vector<std::shared_ptr<const void>> waiting_;   ///< retired since
};

}  // namespace pinrail::residency
