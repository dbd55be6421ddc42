// Files that are cut, replaced, or can't be read any more while a model made of them is registered.
#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>

#include "source_bed.hpp"
#include "support/tensor_file.hpp"

namespace pinrail::test {
namespace {

std::string content_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Into the file that is there, from `begin` on: what is open or mapped stays the same file.
void write_from(const std::filesystem::path& file, const std::string& content, std::uint64_t begin) {
  std::fstream out(file, std::ios::binary | std::ios::in | std::ios::out);
  out.seekp(static_cast<std::streamoff>(begin));
  out.write(content.data() + begin, static_cast<std::streamsize>(content.size() - begin));
  EXPECT_TRUE(out.good());
}

/// Every descriptor of this process that is open on the file.
std::vector<int> descriptors_of(const std::filesystem::path& file) {
  std::vector<int> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    if (std::filesystem::read_symlink(entry.path(), gone) == file) found.push_back(std::stoi(entry.path().filename()));
  }
  return found;
}

struct mapping {
  void* begin;
  std::size_t size_bytes;
};
std::vector<mapping> mappings_of(const std::filesystem::path& file) {
  std::vector<mapping> found;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (!line.ends_with(file.native())) continue;
    const std::size_t dash = line.find('-');
    const auto begin = std::stoull(line.substr(0, dash), nullptr, 16);
    const auto end = std::stoull(line.substr(dash + 1), nullptr, 16);
    found.push_back({reinterpret_cast<void*>(begin), end - begin});
  }
  return found;
}

class file_faults : public testing::TestWithParam<file_io> {
 protected:
  static constexpr block_index blocks = 3;

  void SetUp() override {
    try {
      r = bed.add(file.open(GetParam()));
    } catch (const error& e) {
      if (GetParam() != file_io::direct) throw;
      GTEST_SKIP() << "this file system has no direct reads: " << e.what();
    }
  }
  /// The bytes of the tensors on the device are those that were written into the file at first.
  void expect_right(block_index b) {
    const std::vector<std::byte> seen = bed.bytes(r, b);
    for (const tensor_info& t : r.block(b).tensors) {
      const auto expected = tensor_file::bytes_of(t);
      EXPECT_TRUE(
          std::equal(expected.begin(), expected.end(), seen.begin() + static_cast<std::ptrdiff_t>(t.offset_bytes)))
          << t.name;
    }
  }

  tensor_file file{blocks};
  const std::string content = content_of(file.path());
  source_bed bed;
  runtime r;
};

TEST_P(file_faults, cut_at_every_chunk) {
  const auto data_begin = content.size() - r.size_bytes();  // not before; sizes on the device include padding
  int cuts = 0;
  for (std::uint64_t left = content.size() - 1; left > data_begin; left -= std::min<std::uint64_t>(left, 1999)) {
    std::filesystem::resize_file(file.path(), left);
    const error e = bed.use(r, blocks - 1);
    EXPECT_EQ(e.code(), errc::io_error) << left << ": " << e.what();
    EXPECT_EQ(e.native_code(), ENODATA) << left;
    write_from(file.path(), content, left);
    expect_right(blocks - 1);
    (void)bed.all().sched().budget().reserve_bytes(1_MiB, "so that it leaves");
    ++cuts;
  }
  EXPECT_GT(cuts, 0);
  RecordProperty("faults_tried", cuts);
}

TEST_P(file_faults, cut_to_nothing) {
  expect_right(0);
  std::filesystem::resize_file(file.path(), 0);
  expect_right(0);  // it is on the device
  EXPECT_EQ(bed.use(r, 1).code(), errc::io_error);
  EXPECT_EQ(bed.use(r, 2).code(), errc::io_error);
  write_from(file.path(), content, 0);
  for (block_index b = 0; b < blocks; ++b) expect_right(b);
}

TEST_P(file_faults, replaced) {
  const auto other = file.path().parent_path() / "other";
  std::ofstream(other, std::ios::binary) << std::string(content.size(), 'x');
  std::filesystem::rename(other, file.path());
  for (block_index b = 0; b < blocks; ++b) expect_right(b);  // the file that was opened
  std::filesystem::remove(file.path());
  (void)bed.all().sched().budget().reserve_bytes(1_MiB, "so that all leave");
  for (block_index b = 0; b < blocks; ++b) expect_right(b);
}

TEST_P(file_faults, overwritten) {
  write_from(file.path(), std::string(content.size(), 'x'), 0);
  EXPECT_EQ(bed.use(r, 0).code(), errc::none)
      << "files must not change; that they did is not seen, and hurts nobody else";
  write_from(file.path(), content, 0);
  expect_right(1);
}

/// A disk that fails: the file's descriptors answer EBADF for a while, its mapping EFAULT.
TEST_P(file_faults, input_output_error) {
  const int unreadable = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  struct saved {
    int number;
    int copy;
  };
  std::vector<saved> all;
  for (const int fd : descriptors_of(file.path())) all.push_back({fd, ::dup(fd)});
  ASSERT_FALSE(all.empty());
  const auto maps = mappings_of(file.path());
  EXPECT_EQ(maps.size(), GetParam() == file_io::mapped ? 1u : 0u);

  if (maps.empty()) {
    for (const saved& s : all) ASSERT_GE(::dup2(unreadable, s.number), 0);
  }
  for (const mapping& m : maps) ASSERT_EQ(::mprotect(m.begin, m.size_bytes, PROT_NONE), 0);
  const error e = bed.use(r, 1);
  EXPECT_EQ(e.code(), errc::io_error) << e.what();
  EXPECT_EQ(e.native_code(), maps.empty() ? EBADF : EIO);

  for (const mapping& m : maps) ASSERT_EQ(::mprotect(m.begin, m.size_bytes, PROT_READ), 0);
  for (const saved& s : all) {
    ASSERT_GE(::dup2(s.copy, s.number), 0);
    ::close(s.copy);
  }
  ::close(unreadable);
  expect_right(1);
}

/// Someone cuts the file and writes it anew, over and over, while it is read. Whatever that gives, it is an error or
/// bytes, and no signal.
TEST_P(file_faults, cut_while_it_is_read) {
  core::atomic<bool> stop{false};
  std::thread cutter([&] {
    while (!stop.load(core::order::relaxed)) {
      std::filesystem::resize_file(file.path(), 100);
      write_from(file.path(), content, 100);
    }
  });
  int failed = 0, succeeded = 0;
  for (int i = 0; i < 100000 && (i < 100 || failed < 5 || succeeded < 5); ++i) {
    const error e = bed.use(r, static_cast<block_index>(i) % blocks);
    (e.code() == errc::none ? succeeded : failed)++;
    EXPECT_TRUE(e.code() == errc::none || e.code() == errc::io_error) << e.what();
    (void)bed.all().sched().budget().reserve_bytes(1_MiB, "so that it leaves");
  }
  stop.store(true, core::order::relaxed);
  cutter.join();
  EXPECT_GE(failed, 5);
  EXPECT_GE(succeeded, 5);
  RecordProperty("faults_tried", failed);
  for (block_index b = 0; b < blocks; ++b) expect_right(b);
}

std::string mode_name(const testing::TestParamInfo<file_io>& each) {
  return std::array{"automatic", "direct", "buffered", "mapped"}.at(static_cast<std::size_t>(each.param));
}

INSTANTIATE_TEST_SUITE_P(modes, file_faults, testing::Values(file_io::buffered, file_io::direct, file_io::mapped),
                         mode_name);

}  // namespace
}  // namespace pinrail::test
