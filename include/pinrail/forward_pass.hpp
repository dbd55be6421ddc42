// Forward passes and uses: how kernels get at the blocks of a runtime.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pinrail/device.hpp"
#include "pinrail/error.hpp"
#include "pinrail/model.hpp"

namespace pinrail {

namespace residency {
class runtime_state;
struct pass_state;

/// What the beginning of a use tells its end.
struct open_use {
  std::uint64_t trace_id = 0;
  bool captured = false;  ///< the stream's work goes into a CUDA graph
};
}  // namespace residency

/// A named part of a block on the device.
struct tensor_view {
  std::byte* data = nullptr;
  std::uint64_t size_bytes = 0;
  std::string_view dtype;
  std::span<const std::uint64_t> shape;
};

/// A block held for kernels that are being enqueued on the pass's stream. From its beginning the stream is
/// ordered after the copy that brings the bytes; the CPU waited only if the copy had not been submitted yet.
/// Its end records the last use on the stream and then lets go, so enqueue the kernels before it ends.
/// Must end before its pass ends and before the scheduler ends. Move-only.
///
/// While the stream is captured into a CUDA graph, blocks that are resident can be used, and nothing else: an absent
/// one is refused with `errc::not_supported` and the capture goes on. A captured use holds the block until it ends, and
/// the graph needs it whenever it runs: keep a guard (keep_resident, protect_blocks) for as long as the graph lives,
/// and before that ends wait for the last launch, or end a use of each block on the launching stream, outside of a
/// capture. A use that began before the capture must not end in it. Progress: begin (of a resident block) and end are
/// wait-free apart from the device's own calls.
class [[nodiscard]] use {
 public:
  use() = default;
  use(use&& other) noexcept
      : runtime_(std::exchange(other.runtime_, nullptr)),
        pass_(other.pass_),
        block_(other.block_),
        dirty_(other.dirty_),
        data_(other.data_),
        size_bytes_(other.size_bytes_),
        opened_(other.opened_) {}
  use& operator=(use&& other) noexcept {
    use taken(std::move(other));  // ends with what this one held
    std::swap(runtime_, taken.runtime_);
    std::swap(pass_, taken.pass_);
    std::swap(block_, taken.block_);
    std::swap(dirty_, taken.dirty_);
    std::swap(data_, taken.data_);
    std::swap(size_bytes_, taken.size_bytes_);
    std::swap(opened_, taken.opened_);
    return *this;
  }
  ~use() { end(); }

  [[nodiscard]] void* device_ptr() const noexcept { return data_; }
  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return size_bytes_; }
  [[nodiscard]] block_index block() const noexcept { return block_; }

  /// A tensor by its full name, or by what follows the block's name: "attn.to_q.weight". Throws
  /// `errc::invalid_argument` if the block has no such tensor.
  [[nodiscard]] tensor_view tensor(std::string_view name) const;

  /// Says that the kernels change the block's bytes; call it before enqueuing them. The stream is ordered after
  /// a write-back that may be under way. The block is written back before its memory is used for anything else.
  /// Throws `errc::read_only` if the model's source can't take blocks back, and `errc::not_supported` for a captured
  /// use.
  void mark_dirty();

  /// Ends the use now. Idempotent.
  void end() noexcept;

 private:
  friend class forward_pass;
  residency::runtime_state* runtime_ = nullptr;
  residency::pass_state* pass_ = nullptr;
  block_index block_ = 0;
  bool dirty_ = false;
  std::byte* data_ = nullptr;
  std::uint64_t size_bytes_ = 0;
  residency::open_use opened_;
};

/// One walk of a runtime over its blocks on one stream, or several in a row: after the last block of the order
/// comes the first again. Prefetches ahead. Move-only; a runtime may have 64 at once.
/// Thread-safety: one thread at a time per pass; different passes are independent.
class [[nodiscard]] forward_pass {
 public:
  forward_pass() = default;
  forward_pass(forward_pass&& other) noexcept
      : runtime_(std::move(other.runtime_)), pass_(std::exchange(other.pass_, nullptr)) {}
  forward_pass& operator=(forward_pass&& other) noexcept {
    forward_pass taken(std::move(other));  // ends with what this one held
    std::swap(runtime_, taken.runtime_);
    std::swap(pass_, taken.pass_);
    return *this;
  }
  ~forward_pass() { end(); }

  /// Holds a block. Loads it first if it is absent, waiting up to the deadline; throws then `errc::no_victim`
  /// with the blockers named, or what the load failed with.
  pinrail::use use(block_index block);
  /// The same without text and exceptions.
  [[nodiscard]] result<pinrail::use> try_use(block_index block) noexcept;

  /// Begins to load blocks that will be needed soon, as far as there is room for them. Never waits.
  void prefetch(std::span<const block_index> blocks) noexcept;

  [[nodiscard]] stream_ref stream() const noexcept;

  /// Ends the pass now. Idempotent.
  void end() noexcept;

 private:
  friend class runtime;
  forward_pass(std::shared_ptr<residency::runtime_state> r, residency::pass_state* p) noexcept
      : runtime_(std::move(r)), pass_(p) {}

  std::shared_ptr<residency::runtime_state> runtime_;
  residency::pass_state* pass_ = nullptr;
};

}  // namespace pinrail
