#include "block_access.hpp"

#include <utility>

namespace stress {

/// The caller holds the block's mutex.
block_access::block_access(block_record& block, std::uint32_t stream, bool writes) noexcept
    : block_(&block), stream_(stream), writes_(writes), version_(block.version_) {
  if (!writes) return;
  streams_to_await_ = block.read_on_;
  streams_to_await_.reset(stream);
}

block_access::block_access(block_access&& other) noexcept
    : block_(std::exchange(other.block_, nullptr)),
      stream_(other.stream_),
      writes_(other.writes_),
      version_(other.version_),
      streams_to_await_(other.streams_to_await_) {}

std::optional<block_access> block_access::to_read(block_record& block, std::uint32_t stream) {
  const std::lock_guard lock(block.mutex_);
  if (block.writer_) return std::nullopt;
  ++block.readers_;
  return block_access(block, stream, false);
}

std::optional<block_access> block_access::to_write(block_record& block, std::uint32_t stream) {
  const std::lock_guard lock(block.mutex_);
  if (block.writer_ || block.readers_ != 0) return std::nullopt;
  block.writer_ = true;
  return block_access(block, stream, true);
}

block_access::~block_access() {
  if (block_ == nullptr) return;
  const std::lock_guard lock(block_->mutex_);
  if (!writes_) {
    --block_->readers_;
    block_->read_on_.set(stream_);
    return;
  }
  block_->writer_ = false;
  if (version_ == block_->version_) {  // nothing was written; what was awaited is over, and this stream has read
    block_->read_on_.set(stream_);
    return;
  }
  block_->version_ = version_;
  block_->read_on_.reset();
}

}  // namespace stress
