#include "sources/input_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "sources/messages.hpp"
#include "sources/read_loop.hpp"

namespace pinrail::sources {

descriptor::~descriptor() {
  if (is_open()) ::close(number_);
}

input_file::input_file(const std::filesystem::path& path) : path_(path) {
  // O_NONBLOCK: opening a pipe that nobody writes to would wait for ever. Regular files ignore it.
  handle_ = descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!handle_.is_open()) throw_io(path, errno, "can't be opened");
  struct stat about = {};
  if (::fstat(handle_.number(), &about) != 0) throw_io(path, errno, "fstat failed");
  if (S_ISDIR(about.st_mode)) throw_io(path, EISDIR, "is a folder, not a file");
  if (!S_ISREG(about.st_mode)) throw_io(path, ESPIPE, "is not a regular file");
  size_bytes_ = static_cast<std::uint64_t>(about.st_size);
  identity_ = {.device = about.st_dev, .inode = about.st_ino};
}

status input_file::read(std::uint64_t offset_bytes, std::span<std::byte> to) const noexcept {
  return read_buffered(
      [fd = handle_.number()](std::byte* at, std::size_t size, std::uint64_t offset) noexcept {
        return ::pread(fd, at, size, static_cast<off_t>(offset));
      },
      offset_bytes, to);
}

std::string input_file::read_text(std::uint64_t offset_bytes, std::uint64_t size_bytes) const {
  std::string text(size_bytes, '\0');
  const status done = read(offset_bytes, std::as_writable_bytes(std::span(text)));
  if (!done) throw_io(path_, done.why().native_code, "can't be read");
  return text;
}

bool input_file::reaches(std::uint64_t end_bytes) const noexcept {
  struct stat about = {};
  if (::fstat(handle_.number(), &about) != 0) return true;
  return static_cast<std::uint64_t>(about.st_size) >= end_bytes;
}

}  // namespace pinrail::sources
