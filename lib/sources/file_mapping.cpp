#include "sources/file_mapping.hpp"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>

#include "sources/checked.hpp"
#include "sources/messages.hpp"
#include "sources/read_loop.hpp"

namespace pinrail::sources {

namespace {

/// False where touching the pages would raise SIGBUS. Systems older than Linux 5.14 can't tell: true.
bool populate(std::byte* begin, std::size_t size) noexcept {
#ifdef MADV_POPULATE_READ
  for (;;) {
    if (::madvise(begin, size, MADV_POPULATE_READ) == 0) return true;
    if (errno == EFAULT || errno == EHWPOISON) return false;
    if (errno != EINTR && errno != EAGAIN) return true;
  }
#else
  return static_cast<void>(begin), static_cast<void>(size), true;
#endif
}

}  // namespace

file_mapping::file_mapping(const input_file& file) : size_bytes_(file.size_bytes()) {
  void* const at = ::mmap(nullptr, size_bytes_, PROT_READ, MAP_SHARED, file.handle().number(), 0);
  if (at == MAP_FAILED) throw_io(file.path(), errno, "can't be mapped");
  bytes_ = static_cast<std::byte*>(at);
}

file_mapping::~file_mapping() {
  if (bytes_ != nullptr) ::munmap(bytes_, size_bytes_);
}

status file_mapping::read(const input_file& file, std::uint64_t offset_bytes,
                          std::span<std::byte> to) const noexcept {
  const std::uint64_t end_bytes = offset_bytes + to.size();
  if (!file.reaches(end_bytes)) return truncated_file(to.size(), 0);
  const std::uint64_t page = align_down(offset_bytes, page_bytes);
  if (!populate(bytes_ + page, end_bytes - page)) {
    return file.reaches(end_bytes) ? failed_read(EIO, to.size(), 0) : truncated_file(to.size(), 0);
  }
  std::memcpy(to.data(), bytes_ + offset_bytes, to.size());
  return {};
}

}  // namespace pinrail::sources
