// Each way of reading a file, and what happens when the file changes under it.

#include "sources/shard_file.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <optional>
#include <string>
#include <vector>

#include "reading.hpp"
#include "refusal.hpp"
#include "temp_folder.hpp"

namespace pinrail::test {
namespace {

using sources::shard_file;
using sources::status;

constexpr std::uint64_t file_bytes = 50'000;
constexpr std::uint64_t slab_bytes = 53'248;

std::string content() {
  std::string bytes(file_bytes, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7 >> 2);
  return bytes;
}

shard_file opened(const std::filesystem::path& path, file_io io) {
  shard_file file(path);
  file.prepare(io);
  return file;
}

std::string text_at(const slab& from, std::uint64_t begin, std::uint64_t size) {
  return {reinterpret_cast<const char*>(from.bytes().data()) + begin % 4096, size};
}

class shard_file_modes : public testing::TestWithParam<file_io> {};

TEST_P(shard_file_modes, read_any_range) {
  const temp_folder folder;
  const std::string bytes = content();
  const shard_file file = opened(folder.write("f", bytes), GetParam());
  const slab to(slab_bytes);
  const std::vector<std::uint64_t> edges = {0, 1, 4095, 4096, 4097, 12'288, 49'151, 49'152, 49'999, file_bytes};
  for (const std::uint64_t begin : edges) {
    for (const std::uint64_t end : edges) {
      if (end <= begin) continue;
      ASSERT_TRUE(file.read(begin, end, to.bytes())) << begin << " " << end;
      ASSERT_EQ(text_at(to, begin, end - begin), bytes.substr(begin, end - begin)) << begin << " " << end;
    }
  }
}

TEST_P(shard_file_modes, report_a_file_that_was_cut_short) {
  const temp_folder folder;
  const std::filesystem::path path = folder.write("f", content());
  const shard_file file = opened(path, GetParam());
  const slab to(slab_bytes);
  for (const std::uint64_t size : {49'999, 49'152, 12'288, 5000, 1, 0}) {
    std::filesystem::resize_file(path, size);
    const status whole = file.read(0, file_bytes, to.bytes());
    EXPECT_EQ(whole.why().code, errc::io_error) << size;
    EXPECT_EQ(whole.why().native_code, ENODATA) << size;
    EXPECT_EQ(whole.why().needed_bytes, file_bytes);
    EXPECT_LT(whole.why().available_bytes, file_bytes);
    EXPECT_FALSE(file.read(49'999, file_bytes, to.bytes())) << size;
    if (size > 0) {
      EXPECT_TRUE(file.read(0, size, to.bytes())) << "what is left can be read";
    }
  }
}

TEST_P(shard_file_modes, keep_reading_a_file_that_was_replaced) {
  const temp_folder folder;
  const std::string bytes = content();
  const std::filesystem::path path = folder.write("f", bytes);
  const shard_file file = opened(path, GetParam());
  std::filesystem::rename(folder.write("new", "other"), path);
  const slab to(slab_bytes);
  ASSERT_TRUE(file.read(0, file_bytes, to.bytes()));
  EXPECT_EQ(text_at(to, 0, file_bytes), bytes);
}

std::string mode_name(const testing::TestParamInfo<file_io>& each) {
  return std::array{"automatic", "direct", "buffered", "mapped"}.at(static_cast<std::size_t>(each.param));
}

INSTANTIATE_TEST_SUITE_P(all, shard_file_modes,
                         testing::Values(file_io::automatic, file_io::direct, file_io::buffered, file_io::mapped),
                         mode_name);

TEST(shard_file, settles_on_a_mode) {
  const temp_folder folder;
  const std::filesystem::path path = folder.write("f", content());
  EXPECT_EQ(opened(path, file_io::buffered).mode(), file_io::buffered);
  EXPECT_EQ(opened(path, file_io::mapped).mode(), file_io::mapped);
  EXPECT_EQ(opened(path, file_io::direct).mode(), file_io::direct);
  EXPECT_EQ(opened(path, file_io::automatic).mode(), file_io::direct);
}

TEST(shard_file, falls_back_where_direct_reads_are_refused) {
  const std::filesystem::path refuses = "/proc/self/status";  // a regular file of a file system without O_DIRECT
  EXPECT_EQ(opened(refuses, file_io::automatic).mode(), file_io::buffered);
  const std::optional<error> refused = caught([&] { opened(refuses, file_io::direct); });
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->code(), errc::io_error);
  EXPECT_EQ(refused->native_code(), EINVAL);
  EXPECT_THAT(refused->what(), testing::HasSubstr(refuses.string()));
}

TEST(shard_file, reads_from_memory_file_systems) {
  if (!std::filesystem::is_directory("/dev/shm")) GTEST_SKIP() << "no /dev/shm";
  const temp_folder folder("/dev/shm");
  const std::string bytes = content();
  const std::filesystem::path path = folder.write("f", bytes);
  const slab to(slab_bytes);
  for (const file_io io : {file_io::automatic, file_io::buffered, file_io::mapped}) {
    const shard_file file = opened(path, io);
    ASSERT_TRUE(file.read(4097, file_bytes, to.bytes()));
    EXPECT_EQ(text_at(to, 4097, file_bytes - 4097), bytes.substr(4097));
  }
}

TEST(shard_file, notices_that_its_file_was_replaced_between_two_opens) {
  const temp_folder folder;
  const std::filesystem::path path = folder.write("f", content());
  shard_file file(path);
  std::filesystem::rename(folder.write("new", content()), path);
  expect_refusal([&] { file.prepare(file_io::direct); }, errc::io_error, {path.string(), "replaced"});
}

}  // namespace
}  // namespace pinrail::test
