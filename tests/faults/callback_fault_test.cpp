// Callbacks that fail, throw, hang or refuse to take blocks back.
#include <condition_variable>
#include <functional>
#include <stdexcept>

#include "source_bed.hpp"

namespace pinrail::test {
namespace {

constexpr std::uint64_t block_bytes = 40'000;

/// Four blocks of one value each, behind callbacks that first do what a test says.
struct callback_faults : testing::Test {
  static constexpr block_index blocks = 4;

  std::function<bool(block_index, std::uint64_t)> before_read = [](auto, auto) { return true; };
  std::function<bool(block_index, std::uint64_t at, std::uint64_t end)> before_write = [](auto, auto, auto) {
    return true;
  };
  std::vector<std::vector<std::byte>> bytes = std::vector(blocks, std::vector<std::byte>(block_bytes, std::byte{1}));
  source_bed bed;
  runtime r = bed.add(make());

  model make() {
    std::vector<block_info> infos;
    for (block_index b = 0; b < blocks; ++b) infos.push_back({"block." + std::to_string(b), block_bytes, {}});
    return model_from_callback(
        infos,
        [this](block_index b, std::uint64_t at, std::span<std::byte> to) {
          if (!before_read(b, at)) return false;
          std::copy_n(bytes[b].begin() + static_cast<std::ptrdiff_t>(at), to.size(), to.begin());
          return true;
        },
        [this](block_index b, std::uint64_t at, std::span<const std::byte> from) {
          if (!before_write(b, at, at + from.size())) return false;
          std::copy(from.begin(), from.end(), bytes[b].begin() + static_cast<std::ptrdiff_t>(at));
          return true;
        });
  }
  void expect_failure_then_success() {
    const error e = bed.use(r, 2);
    EXPECT_EQ(e.code(), errc::io_error) << e.what();
    before_read = [](auto, auto) { return true; };
    EXPECT_EQ(bed.bytes(r, 2), bytes[2]);
  }
};

TEST_F(callback_faults, a_read_that_fails) {
  before_read = [](auto, auto) { return false; };
  expect_failure_then_success();
}

TEST_F(callback_faults, a_read_that_throws) {
  before_read = [](auto, auto) -> bool { throw std::runtime_error("the network is down"); };
  expect_failure_then_success();
}

TEST_F(callback_faults, a_read_that_throws_no_exception_class) {
  before_read = [](auto, auto) -> bool { throw 42; };
  expect_failure_then_success();
}

TEST_F(callback_faults, a_failed_read_fails_all_who_wait_for_it) {
  std::promise<void> all_there;
  before_read = [&, there = all_there.get_future().share()](auto, auto) { return there.wait(), false; };
  core::atomic<int> failed{0};
  std::thread opener([&] {
    EXPECT_TRUE(eventually([&] { return r.statistics().resident_bytes != 0; }));
    all_there.set_value();
  });
  on_threads(4, [&](int) {
    const stream s = bed.all().device().create_stream();
    auto pass = r.managed_forward(s, {.prefetch_blocks = 0});
    failed.fetch_add(pass.try_use(1).code() == errc::io_error, core::order::relaxed);
  });
  opener.join();
  EXPECT_EQ(failed.load(core::order::relaxed), 4);
  before_read = [](auto, auto) { return true; };
  EXPECT_EQ(bed.bytes(r, 1), bytes[1]);
}

TEST_F(callback_faults, a_slow_disk) {
  std::promise<void> read;
  before_read = [there = read.get_future().share()](auto, auto) { return there.wait(), true; };
  EXPECT_EQ(bed.use(r, 0, std::chrono::milliseconds(20)).code(), errc::timed_out);
  EXPECT_EQ(bed.use(r, 0, std::chrono::milliseconds(20)).code(), errc::timed_out) << "and it does not start twice";
  auto pinned = bed.all().add("pinned", 2, block_bytes);
  bed.all().run(pinned);  // who needs no reader goes on
  read.set_value();
  EXPECT_EQ(bed.bytes(r, 0), bytes[0]);
  EXPECT_EQ(r.statistics().loads, 1u);
}

TEST_F(callback_faults, a_disk_that_is_slow_and_then_fails) {
  std::promise<void> read;
  before_read = [there = read.get_future().share()](auto, auto) { return there.wait(), false; };
  EXPECT_EQ(bed.use(r, 0, std::chrono::milliseconds(20)).code(), errc::timed_out);
  read.set_value();
  EXPECT_TRUE(eventually([&] { return r.statistics().failed_loads == 1; }));
  EXPECT_EQ(bed.all().sched().budget().used_bytes(), 0u);
  before_read = [](auto, auto) { return true; };
  EXPECT_EQ(bed.bytes(r, 0), bytes[0]);
}

/// A block is dirty that is written back in two parts, and the write of the part with byte k fails once.
TEST(write_faults, at_byte_k) {
  constexpr std::uint64_t part_bytes = 16_MiB + 64_KiB;  // a slab
  constexpr std::uint64_t size_bytes = part_bytes + 100;
  for (const std::uint64_t k : {std::uint64_t{0}, part_bytes - 1, part_bytes, size_bytes - 1}) {
    std::vector<std::byte> bytes(size_bytes, std::byte{1});
    core::atomic<int> failures{1};
    source_bed bed(32_MiB, 16_MiB);
    const runtime r = bed.add(model_from_callback(
        {{"dirty", size_bytes, {}}},
        [&](block_index, std::uint64_t at, std::span<std::byte> to) {
          return std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), to.size(), to.begin()), true;
        },
        [&](block_index, std::uint64_t at, std::span<const std::byte> from) {
          if (at <= k && k < at + from.size() && failures.exchange(0, core::order::relaxed) != 0) return false;
          return std::copy(from.begin(), from.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at)), true;
        }));
    const stream s = bed.all().device().create_stream();
    {
      auto pass = r.managed_forward(s, {.prefetch_blocks = 0});
      auto held = pass.use(0);
      held.mark_dirty();
      const emulated::access touched{held.device_ptr(), size_bytes, true};
      emulated::launch(s, [to = held.device_ptr()] { std::memset(to, 2, size_bytes); }, {&touched, 1});
    }
    s.synchronize();
    EXPECT_TRUE(bed.all().sched().budget().reserve_bytes(32_MiB, "all of it").active())
        << "it was tried again; k " << k;
    EXPECT_TRUE(bed.all().logged("could not be written back")) << "k " << k;
    EXPECT_EQ(std::count(bytes.begin(), bytes.end(), std::byte{2}), size_bytes) << "k " << k;
    bed.all().finish();
  }
}

}  // namespace
}  // namespace pinrail::test
