// One file of a model, readable in the way that its options ask for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

#include "pinrail/model.hpp"
#include "sources/file_mapping.hpp"
#include "sources/input_file.hpp"
#include "sources/source.hpp"

namespace pinrail::sources {

/// Holds a descriptor, one more for direct reads, and the mapping, as needed; all closed with the object.
/// Thread-safety: const members may be called from any thread.
class shard_file {
 public:
  /// Only opens. Throws as `input_file`.
  explicit shard_file(const std::filesystem::path& path) : file_(path) {}

  /// Makes `read` work in this mode. Throws errc::io_error: what the system says, or EINVAL where
  /// `file_io::direct` is asked for and the file system refuses it.
  void prepare(file_io io);

  [[nodiscard]] const input_file& file() const noexcept { return file_; }
  /// What `prepare` settled on; never `automatic`.
  [[nodiscard]] file_io mode() const noexcept { return mode_; }

  /// Reads the file's [begin, end) into `slab`, where it starts at `begin_bytes % page_bytes`. `slab` is
  /// aligned to page_bytes and reaches to the page end after the last byte, which may be overwritten up to
  /// there. Errors: io_error; ENODATA says that the file was cut short. Allocates nothing.
  [[nodiscard]] status read(std::uint64_t begin_bytes, std::uint64_t end_bytes,
                            std::span<std::byte> slab) const noexcept;

 private:
  /// Returns the errno of a refusal, or 0.
  [[nodiscard]] int open_direct();
  [[nodiscard]] status read_through_direct(std::uint64_t begin_bytes, std::uint64_t end_bytes,
                                           std::span<std::byte> slab) const noexcept;

  input_file file_;
  descriptor direct_;
  file_mapping mapping_;
  file_io mode_ = file_io::buffered;
};

}  // namespace pinrail::sources
