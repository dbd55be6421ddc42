// A regular file, open for reading.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <utility>

#include "sources/source.hpp"

namespace pinrail::sources {

/// Owns a file descriptor. Move-only.
class descriptor {
 public:
  descriptor() = default;
  explicit descriptor(int number) noexcept : number_(number) {}
  descriptor(descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  descriptor& operator=(descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  ~descriptor();

  [[nodiscard]] int number() const noexcept { return number_; }
  [[nodiscard]] bool is_open() const noexcept { return number_ >= 0; }

 private:
  int number_ = -1;
};

/// What tells one file from another, whatever path led to it.
struct file_identity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  friend bool operator==(const file_identity&, const file_identity&) = default;
};

/// Reads through the page cache. Thread-safety: const members may be called from any thread.
class input_file {
 public:
  /// Throws errc::io_error for what can't be opened and for what is no regular file (EISDIR for a folder);
  /// never waits, not even for the other end of a pipe.
  explicit input_file(const std::filesystem::path& path);

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  [[nodiscard]] const descriptor& handle() const noexcept { return handle_; }
  /// When it was opened.
  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return size_bytes_; }
  [[nodiscard]] const file_identity& identity() const noexcept { return identity_; }

  /// Fills `to`. Errors: io_error, with ENODATA where the file ends too early.
  [[nodiscard]] status read(std::uint64_t offset_bytes, std::span<std::byte> to) const noexcept;
  /// The same for text, at registration: throws.
  [[nodiscard]] std::string read_text(std::uint64_t offset_bytes, std::uint64_t size_bytes) const;
  /// True where the file still reaches to `end_bytes`, and where the system doesn't say.
  [[nodiscard]] bool reaches(std::uint64_t end_bytes) const noexcept;

 private:
  std::filesystem::path path_;
  descriptor handle_;
  std::uint64_t size_bytes_ = 0;
  file_identity identity_;
};

}  // namespace pinrail::sources
