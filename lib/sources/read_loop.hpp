// pread(2) until everything is there: interrupted and partial reads are normal, the end of the file is not.
//
// The functions take the read as a callable, so that tests can play back what kernels do rarely:
//   ssize_t read_at(std::byte* to, std::size_t size, std::uint64_t offset_bytes), errno set when negative
#pragma once

#include <sys/types.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>

#include "pinrail/error.hpp"
#include "sources/checked.hpp"
#include "sources/source.hpp"

namespace pinrail::sources {

/// The file ends before `needed_bytes` were read, of which `got_bytes` are there: it became shorter after the
/// model was made. ENODATA tells this from errors of the system.
[[nodiscard]] inline failure truncated_file(std::uint64_t needed_bytes, std::uint64_t got_bytes) noexcept {
  return {.code = errc::io_error, .native_code = ENODATA, .needed_bytes = needed_bytes, .available_bytes = got_bytes};
}

[[nodiscard]] inline failure failed_read(int native_code, std::uint64_t needed_bytes,
                                         std::uint64_t got_bytes) noexcept {
  return {
      .code = errc::io_error, .native_code = native_code, .needed_bytes = needed_bytes, .available_bytes = got_bytes};
}

/// Fills `to` from `offset_bytes` on.
template <class ReadAt>
[[nodiscard]] status read_buffered(ReadAt&& read_at, std::uint64_t offset_bytes, std::span<std::byte> to) noexcept {
  std::size_t done = 0;
  while (done < to.size()) {
    const ssize_t got = read_at(to.data() + done, to.size() - done, offset_bytes + done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed_read(errno, to.size(), done);
    if (got == 0) return truncated_file(to.size(), done);
    done += static_cast<std::size_t>(got);
  }
  return {};
}

/// Fills the first `needed_bytes` of `to` from `offset_bytes` on, with reads whose offset, length and memory
/// are aligned to `page_bytes`, as O_DIRECT wants. `offset_bytes` and `to` are aligned, and `to` is as long
/// as `needed_bytes` rounded up. The file may end anywhere after the needed bytes.
template <class ReadAt>
[[nodiscard]] status read_direct(ReadAt&& read_at, std::uint64_t offset_bytes, std::uint64_t needed_bytes,
                                 std::span<std::byte> to) noexcept {
  const std::uint64_t length = align_up(needed_bytes, page_bytes);
  std::uint64_t done = 0;  // a multiple of page_bytes: what came beyond it is read again
  while (done < needed_bytes) {
    const ssize_t got = read_at(to.data() + done, length - done, offset_bytes + done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed_read(errno, needed_bytes, done);
    const std::uint64_t reached = done + static_cast<std::uint64_t>(got);
    if (reached >= needed_bytes) break;
    if (reached - done < page_bytes) return truncated_file(needed_bytes, reached);
    done = align_down(reached, page_bytes);
  }
  return {};
}

}  // namespace pinrail::sources
