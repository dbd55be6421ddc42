// What kernels rarely do: interrupted reads, partial reads, a file that ends, a disk that fails half way.

#include "sources/read_loop.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "reading.hpp"
#include "support/seed.hpp"

namespace pinrail::test {
namespace {

using sources::status;

/// A file in memory that answers reads as a script says.
class scripted_file {
 public:
  /// A positive answer caps the read; a negative one is an errno. After the script: uncapped.
  scripted_file(std::size_t size_bytes, std::vector<long> answers) : answers_(std::move(answers)) {
    bytes_.resize(size_bytes);
    for (std::size_t i = 0; i < size_bytes; ++i) bytes_[i] = static_cast<std::byte>(i * 31 >> 3);
  }

  ssize_t operator()(std::byte* to, std::size_t size, std::uint64_t offset) {
    offsets.push_back(offset);
    sizes.push_back(size);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(to) % alignment, 0u);
    EXPECT_EQ(size % alignment, 0u);
    EXPECT_EQ(offset % alignment, 0u);
    std::size_t cap = size;
    if (next_ < answers_.size()) {
      const long answer = answers_[next_++];
      if (answer < 0) return errno = static_cast<int>(-answer), -1;
      cap = static_cast<std::size_t>(answer);
    }
    const std::size_t there = offset < bytes_.size() ? bytes_.size() - offset : 0;
    const std::size_t got = std::min({size, cap, there});
    std::memcpy(to, bytes_.data() + offset, got);
    return static_cast<ssize_t>(got);
  }

  [[nodiscard]] bool holds(std::uint64_t offset, std::span<const std::byte> bytes) const {
    return std::equal(bytes.begin(), bytes.end(), bytes_.begin() + static_cast<std::ptrdiff_t>(offset));
  }

  std::size_t alignment = 1;
  std::vector<std::uint64_t> offsets;
  std::vector<std::size_t> sizes;

 private:
  std::vector<std::byte> bytes_;
  std::vector<long> answers_;
  std::size_t next_ = 0;
};

void expect_failure(const status& done, int native_code, std::uint64_t needed, std::uint64_t available) {
  EXPECT_EQ(done.why().code, errc::io_error);
  EXPECT_EQ(done.why().native_code, native_code);
  EXPECT_EQ(done.why().needed_bytes, needed);
  EXPECT_EQ(done.why().available_bytes, available);
}

TEST(read_buffered, goes_on_after_interruptions_and_partial_reads) {
  scripted_file file(10'000, {-EINTR, 1, 17, -EINTR, -EINTR, 4096});
  std::vector<std::byte> to(9000);
  EXPECT_TRUE(sources::read_buffered(file, 500, to));
  EXPECT_TRUE(file.holds(500, to));
  EXPECT_EQ(file.offsets, (std::vector<std::uint64_t>{500, 500, 501, 518, 518, 518, 4614}));
}

TEST(read_buffered, says_that_the_file_is_too_short) {
  scripted_file file(1000, {});
  std::vector<std::byte> to(600);
  expect_failure(sources::read_buffered(file, 500, to), ENODATA, 600, 500);
  expect_failure(sources::read_buffered(file, 5000, to), ENODATA, 600, 0);
}

TEST(read_buffered, passes_on_errors) {
  scripted_file file(1000, {10, -EIO});
  std::vector<std::byte> to(600);
  expect_failure(sources::read_buffered(file, 0, to), EIO, 600, 10);
}

TEST(read_buffered, of_nothing_reads_nothing) {
  scripted_file file(0, {});
  EXPECT_TRUE(sources::read_buffered(file, 0, {}));
  EXPECT_TRUE(file.offsets.empty());
}

TEST(read_direct, stays_aligned_after_partial_reads) {
  scripted_file file(30'000, {-EINTR, 5000, 4096, -EINTR, 9000});
  file.alignment = 4096;
  const slab to(28'672);
  EXPECT_TRUE(sources::read_direct(file, 0, 25'000, to.bytes()));
  EXPECT_TRUE(file.holds(0, to.bytes().first(25'000)));
  EXPECT_EQ(file.offsets, (std::vector<std::uint64_t>{0, 0, 4096, 8192, 8192, 16'384}));
}

TEST(read_direct, takes_the_tail_of_a_file) {
  scripted_file file(10'000, {});
  file.alignment = 4096;
  const slab to(8192);
  EXPECT_TRUE(sources::read_direct(file, 4096, 10'000 - 4096, to.bytes()));
  EXPECT_TRUE(file.holds(4096, to.bytes().first(10'000 - 4096)));
  EXPECT_EQ(file.sizes, std::vector<std::size_t>{8192});
}

TEST(read_direct, says_that_the_file_is_too_short) {
  scripted_file file(10'000, {});
  const slab to(12'288);
  expect_failure(sources::read_direct(file, 0, 10'001, to.bytes()), ENODATA, 10'001, 10'000);
  expect_failure(sources::read_direct(file, 12'288, 1, to.bytes()), ENODATA, 1, 0);
}

TEST(read_direct, ends_when_a_disk_gives_less_than_a_page) {
  scripted_file file(10'000, {512, 512, 512, 512});
  const slab to(8192);
  expect_failure(sources::read_direct(file, 0, 8000, to.bytes()), ENODATA, 8000, 512);
}

TEST(read_direct, passes_on_errors) {
  scripted_file file(10'000, {4096, -EIO});
  const slab to(8192);
  expect_failure(sources::read_direct(file, 0, 8000, to.bytes()), EIO, 8000, 4096);
}

TEST(read_loops, read_right_whatever_the_system_does) {
  const std::uint64_t seed = run_seed();
  std::mt19937_64 random(seed);
  const slab to(64 << 10);
  for (int round = 0; round < 1000; ++round) {
    std::vector<long> answers(random() % 20);
    for (long& answer : answers) answer = random() % 3 == 0 ? -EINTR : static_cast<long>(4096 + random() % 20'000);
    const std::uint64_t page = 4096 * (random() % 8);
    const std::uint64_t needed = 1 + random() % (32 << 10);
    scripted_file file(page + needed + random() % 5000, answers);
    const std::span<std::byte> part = to.bytes().first(needed);
    ASSERT_TRUE(random() % 2 ? sources::read_direct(file, page, needed, to.bytes())
                             : sources::read_buffered(file, page, part));
    ASSERT_TRUE(file.holds(page, part));
  }
}

}  // namespace
}  // namespace pinrail::test
