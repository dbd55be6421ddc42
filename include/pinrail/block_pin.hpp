// A block held without a pass and without a stream: for the life of a captured graph, or while the CPU looks at it.
#pragma once

#include <cstdint>
#include <utility>

#include "pinrail/device.hpp"
#include "pinrail/error.hpp"
#include "pinrail/model.hpp"

namespace pinrail {

namespace residency {
class runtime_state;
}

/// While it lives, its block stays on the device, at one address. Made by `runtime::pin`. It knows of no stream: before
/// a stream's first kernel on the block call `order_after_load`, and after its last one `record_use`, as a `use` does
/// by itself; kernels that were not recorded must be done when the pin ends. Blocks whose kernels write are for `use`.
///
/// Must end before the last handle of its runtime and before the scheduler, which waits for it; a runtime with pins is
/// not removed. Move-only; may end on another thread than it began on.
/// Progress: begin (of a resident block) and end are wait-free, one read-modify-write each, without allocation.
class [[nodiscard]] block_pin {
 public:
  block_pin() = default;
  block_pin(block_pin&& other) noexcept
      : runtime_(std::exchange(other.runtime_, nullptr)), data_(other.data_), block_(other.block_) {}
  block_pin& operator=(block_pin&& other) noexcept {
    block_pin taken(std::move(other));  // ends with what this one held
    std::swap(runtime_, taken.runtime_);
    std::swap(data_, taken.data_);
    std::swap(block_, taken.block_);
    return *this;
  }
  ~block_pin() {
    if (runtime_ != nullptr) end();
  }

  [[nodiscard]] void* device_ptr() const noexcept { return data_; }
  [[nodiscard]] std::uint64_t size_bytes() const noexcept;
  [[nodiscard]] block_index block() const noexcept { return block_; }
  /// False once it has ended, or was moved from.
  [[nodiscard]] bool active() const noexcept { return runtime_ != nullptr; }

  /// Orders the stream after the copy that brings the block's bytes; the CPU does not wait, except while the stream is
  /// captured into a graph. Throws `errc::invalid_argument` for a stream of another device, and what the device
  /// answers.
  void order_after_load(stream_ref stream) const;
  [[nodiscard]] result<void> try_order_after_load(stream_ref stream) const noexcept;

  /// Records a last use: the block's memory is not written again before what was enqueued on the stream until now is
  /// done. Throws as `order_after_load` does, and `errc::not_supported` while the stream is captured: record the use
  /// after the launch of the graph.
  void record_use(stream_ref stream) const;
  [[nodiscard]] result<void> try_record_use(stream_ref stream) const noexcept;

  /// Lets the block go now. Idempotent.
  void end() noexcept;

 private:
  friend class runtime;

  /// The block is pinned, and resident.
  block_pin(residency::runtime_state& r, block_index block) noexcept;
  /// The block is pinned, or the pin was refused: too many. Waits for its load.
  [[nodiscard]] static result<block_pin> of_absent(residency::runtime_state& r, block_index block,
                                                   bool refused) noexcept;

  residency::runtime_state* runtime_ = nullptr;
  void* data_ = nullptr;
  block_index block_ = 0;
};

}  // namespace pinrail
