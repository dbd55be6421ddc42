// What is unlinked but may still be read: freed after a grace period (core/reader_gate.hpp).
//
// Progress: lock-free, and never waits for readers: what can't be freed yet is freed by a later call, or at the end.
// One thread at a time turns the periods; others leave what they bring to it or to a later call.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "core/atomic.hpp"
#include "core/reader_gate.hpp"

namespace pinrail::residency {

class graveyard {
 public:
  using gate = core::reader_gate<core::native_atomics>;

  graveyard() = default;
  graveyard(const graveyard&) = delete;
  graveyard& operator=(const graveyard&) = delete;
  ~graveyard() { clear(); }

  /// Throws std::bad_alloc, with nothing done.
  void retire(gate& readers, std::shared_ptr<const void> last_reference) {
    auto* const grave = new unlinked{std::move(last_reference), waiting_.load(core::order::relaxed)};
    while (!waiting_.compare_exchange_weak(grave->next, grave, core::order::release, core::order::relaxed)) {
    }
    if (turning_.exchange(1, core::order::acquire) != 0) return;
    unlinked* freed = nullptr;
    if (draining_ == nullptr || readers.drained()) {
      freed = std::exchange(draining_, waiting_.exchange(nullptr, core::order::acquire));
      if (draining_ != nullptr) readers.flip();
    }
    turning_.store(0, core::order::release);
    free(freed);
  }

  /// At the end of a scheduler, when no one reads any more: frees everything.
  void clear() noexcept {
    free(std::exchange(draining_, nullptr));
    free(waiting_.exchange(nullptr, core::order::acquire));
  }

 private:
  struct unlinked {
    std::shared_ptr<const void> last_reference;
    unlinked* next;
  };

  static void free(unlinked* list) noexcept {
    while (list != nullptr) delete std::exchange(list, list->next);
  }

  core::atomic<unlinked*> waiting_{nullptr};  ///< retired since the last flip
  core::atomic<std::uint32_t> turning_{0};
  unlinked* draining_ = nullptr;  ///< retired before it, or null if all of those are freed; who turns
};

}  // namespace pinrail::residency
