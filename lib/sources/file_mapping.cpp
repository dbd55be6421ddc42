#include "sources/file_mapping.hpp"

#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

#include "sources/messages.hpp"
#include "sources/read_loop.hpp"

namespace pinrail::sources {

file_mapping::file_mapping(const input_file& file) : size_bytes_(file.size_bytes()) {
  void* const at = ::mmap(nullptr, size_bytes_, PROT_READ, MAP_SHARED, file.handle().number(), 0);
  if (at == MAP_FAILED) throw_io(file.path(), errno, "can't be mapped");
  bytes_ = static_cast<std::byte*>(at);
}

file_mapping::~file_mapping() {
  if (bytes_ != nullptr) ::munmap(bytes_, size_bytes_);
}

status file_mapping::read(const input_file& file, std::uint64_t offset_bytes, std::span<std::byte> to) const noexcept {
  const status done = read_buffered(
      [mapped = bytes_](std::byte* at, std::size_t size, std::uint64_t offset) noexcept {
        const iovec here{at, size};
        const iovec there{mapped + offset, size};
        return ::process_vm_readv(::getpid(), &here, 1, &there, 1, 0);
      },
      offset_bytes, to);
  const int native = done.why().native_code;
  if (native == EPERM || native == ENOSYS) return file.read(offset_bytes, to);
  // Afterwards, and also when all went well: what a page holds beyond the file's end reads as zeros.
  if (!file.reaches(offset_bytes + to.size())) return truncated_file(to.size(), 0);
  return native == EFAULT ? failed_read(EIO, to.size(), 0) : done;
}

}  // namespace pinrail::sources
