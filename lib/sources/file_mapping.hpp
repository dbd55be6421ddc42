// A file's bytes, mapped read-only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "sources/input_file.hpp"
#include "sources/source.hpp"

namespace pinrail::sources {

/// Thread-safety: const members may be called from any thread.
class file_mapping {
 public:
  file_mapping() = default;
  /// Throws errc::io_error.
  explicit file_mapping(const input_file& file);
  file_mapping(file_mapping&& other) noexcept
      : bytes_(std::exchange(other.bytes_, nullptr)), size_bytes_(std::exchange(other.size_bytes_, 0)) {}
  file_mapping& operator=(file_mapping&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    std::swap(size_bytes_, other.size_bytes_);
    return *this;
  }
  file_mapping(const file_mapping&) = delete;
  file_mapping& operator=(const file_mapping&) = delete;
  ~file_mapping();

  /// Copies mapped bytes into `to`. `file` is the one that was mapped.
  ///
  /// Touching a page that the file no longer reaches, or that the disk can't deliver, kills the process with
  /// SIGBUS. So the file's size is looked at first, and then the system is asked to bring the pages in, which
  /// reports what touching them would do. What stays racy: a file cut short, or pages dropped and not
  /// readable again, between these and the end of the copy. Who can't exclude that uses another `file_io`.
  ///
  /// Errors: io_error: ENODATA where the file became too short, EIO where a page can't be read.
  [[nodiscard]] status read(const input_file& file, std::uint64_t offset_bytes,
                            std::span<std::byte> to) const noexcept;

 private:
  std::byte* bytes_ = nullptr;
  std::size_t size_bytes_ = 0;
};

}  // namespace pinrail::sources
