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
  /// Touching a page that the file no longer reaches, or that the disk can't deliver, would kill the process with
  /// SIGBUS. So nobody touches one: the system copies (process_vm_readv on this process), and answers EFAULT instead.
  /// Where it refuses to (a sandbox), the bytes are read from the file.
  ///
  /// Errors: io_error: ENODATA where the file became too short, EIO where a page can't be read.
  [[nodiscard]] status read(const input_file& file, std::uint64_t offset_bytes, std::span<std::byte> to) const noexcept;

 private:
  std::byte* bytes_ = nullptr;
  std::size_t size_bytes_ = 0;
};

}  // namespace pinrail::sources
