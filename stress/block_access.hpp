// Who may touch which block just now, as the user of Pinrail has to arrange it: kernels on different streams that
// write one block, or write and read it, are the user's business.
//
// A writer excludes other uses from before its use begins until after it has ended; a reader excludes writers for
// that long. Pinrail orders later uses after a writer's kernels. What it doesn't order is a write after kernels that
// still read: a writer first waits for the streams that have read since the last write (`streams_to_await`).
//
// Nobody ever waits for a block here: who doesn't get it does something else.
#pragma once

#include <bitset>
#include <cstdint>
#include <mutex>
#include <optional>

namespace stress {

inline constexpr std::size_t most_streams = 160;
using stream_set = std::bitset<most_streams>;

class block_access;

/// The version that a block's bytes must have, and who may touch them.
class block_record {
 public:
  [[nodiscard]] std::uint64_t version() const {
    const std::lock_guard lock(mutex_);
    return version_;
  }

 private:
  friend class block_access;
  mutable std::mutex mutex_;
  std::uint32_t readers_ = 0;
  bool writer_ = false;
  std::uint64_t version_ = 0;
  stream_set read_on_;  ///< since the last write
};

/// Leave to touch a block, until the end of its life. Move-only.
class block_access {
 public:
  [[nodiscard]] static std::optional<block_access> to_read(block_record& block, std::uint32_t stream);
  [[nodiscard]] static std::optional<block_access> to_write(block_record& block, std::uint32_t stream);
  block_access(block_access&& other) noexcept;
  block_access& operator=(block_access&&) = delete;
  ~block_access();

  [[nodiscard]] std::uint64_t version() const noexcept { return version_; }
  [[nodiscard]] bool writes() const noexcept { return writes_; }
  /// Writers: streams with kernels that may still read the block.
  [[nodiscard]] const stream_set& streams_to_await() const noexcept { return streams_to_await_; }
  /// Writers: a kernel that writes the next version is enqueued.
  void note_written() noexcept { ++version_; }

 private:
  block_access(block_record& block, std::uint32_t stream, bool writes) noexcept;

  block_record* block_;
  std::uint32_t stream_;
  bool writes_;
  std::uint64_t version_;
  stream_set streams_to_await_;
};

}  // namespace stress
