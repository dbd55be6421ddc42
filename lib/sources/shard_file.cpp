#include "sources/shard_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "sources/checked.hpp"
#include "sources/messages.hpp"
#include "sources/read_loop.hpp"

namespace pinrail::sources {

namespace {

/// False where the file system says that it wants coarser alignment than ours, or no direct reads at all.
bool page_alignment_suffices(int fd) noexcept {
#ifdef STATX_DIOALIGN
  struct statx about = {};
  if (::statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &about) != 0) return true;
  if ((about.stx_mask & STATX_DIOALIGN) == 0) return true;
  return about.stx_dio_offset_align != 0 && about.stx_dio_offset_align <= page_bytes &&
         about.stx_dio_mem_align <= page_bytes;
#else
  return static_cast<void>(fd), true;
#endif
}

/// Some file systems take O_DIRECT and then refuse to read. Returns errno or 0.
int try_one_page(int fd) noexcept {
  alignas(page_bytes) std::array<std::byte, page_bytes> page;
  while (::pread(fd, page.data(), page.size(), 0) < 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

}  // namespace

int shard_file::open_direct() {
  descriptor opened(::open(file_.path().c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_DIRECT));
  if (!opened.is_open()) return errno;
  struct stat about = {};
  if (::fstat(opened.number(), &about) != 0) return errno;
  if (file_identity{.device = about.st_dev, .inode = about.st_ino} != file_.identity()) {
    throw_io(file_.path(), ESTALE, "was replaced while it was being opened");
  }
  if (!page_alignment_suffices(opened.number())) return EINVAL;
  if (const int refused = try_one_page(opened.number()); refused != 0) return refused;
  direct_ = std::move(opened);
  return 0;
}

void shard_file::prepare(file_io io) {
  mode_ = io;
  if (io == file_io::mapped) mapping_ = file_mapping(file_);
  if (io != file_io::direct && io != file_io::automatic) return;
  const int refused = open_direct();
  if (refused != 0 && io == file_io::direct) {
    throw_io(file_.path(), refused, "can't be read directly (O_DIRECT); file_io::automatic falls back");
  }
  mode_ = refused == 0 ? file_io::direct : file_io::buffered;
}

status shard_file::read_through_direct(std::uint64_t begin_bytes, std::uint64_t end_bytes,
                                       std::span<std::byte> slab) const noexcept {
  const std::uint64_t first_page = align_down(begin_bytes, page_bytes);
  const status done = sources::read_direct(
      [fd = direct_.number()](std::byte* at, std::size_t size, std::uint64_t offset) noexcept {
        return ::pread(fd, at, size, static_cast<off_t>(offset));
      },
      first_page, end_bytes - first_page, slab);
  // A read that stops inside of a page is a file's end, unless the file goes on: then the disk failed there.
  if (!done && done.why().native_code == ENODATA && file_.reaches(end_bytes)) {
    return failed_read(EIO, done.why().needed_bytes, done.why().available_bytes);
  }
  return done;
}

status shard_file::read(std::uint64_t begin_bytes, std::uint64_t end_bytes, std::span<std::byte> slab) const noexcept {
  if (mode_ == file_io::direct) return read_through_direct(begin_bytes, end_bytes, slab);
  const std::span<std::byte> to = slab.subspan(begin_bytes % page_bytes, end_bytes - begin_bytes);
  return mode_ == file_io::mapped ? mapping_.read(file_, begin_bytes, to) : file_.read(begin_bytes, to);
}

}  // namespace pinrail::sources
