// The checker by itself, with made-up addresses. What it finds on a device is in emulated_order_test.cpp.
#include "device/emulated/order_checker.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pinrail::devices {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class emulated_order_checker : public ::testing::Test {
 protected:
  static constexpr std::uintptr_t arena = 0x10000;
  static constexpr std::uintptr_t pinned = 0x90000;

  emulated_order_checker() {
    checker.add_memory(order_checker::memory::device, at(arena), 0x10000);
    checker.add_memory(order_checker::memory::pinned, at(pinned), 0x1000);
    for (std::uint32_t s = 0; s < 3; ++s) checker.begin_stream(s);
  }

  static const void* at(std::uintptr_t address) { return reinterpret_cast<const void*>(address); }
  void write(std::uint32_t s, std::uintptr_t offset, std::uint64_t size, toucher what = toucher::kernel) {
    checker.touch_by_stream(s, what, at(arena + offset), size, access::write);
  }
  void read(std::uint32_t s, std::uintptr_t offset, std::uint64_t size, toucher what = toucher::kernel) {
    checker.touch_by_stream(s, what, at(arena + offset), size, access::read);
  }

  order_checker checker;
};

TEST_F(emulated_order_checker, one_sentence_names_both_accesses_the_streams_and_the_bytes) {
  read(1, 0, 8192);
  write(2, 4096, 8192, toucher::copy_to_device);
  EXPECT_THAT(checker.violations(),
              ElementsAre("host-to-device copy on stream 2 writes device bytes [4096, 8192), but nothing orders "
                          "it after the kernel on stream 1 that reads them"));
}

TEST_F(emulated_order_checker, a_wait_orders_what_was_recorded_and_nothing_later) {
  write(0, 0, 16);
  const auto covers = checker.record(0);
  write(0, 16, 16);
  checker.wait(1, covers);
  read(1, 0, 16);
  EXPECT_THAT(checker.violations(), IsEmpty());
  read(1, 16, 1);
  EXPECT_THAT(checker.violations(), ElementsAre(HasSubstr("bytes [16, 17)")));
}

TEST_F(emulated_order_checker, order_is_transitive) {
  write(0, 0, 16);
  checker.wait(1, checker.record(0));
  checker.wait(2, checker.record(1));
  write(2, 0, 16);
  EXPECT_THAT(checker.violations(), IsEmpty());
}

TEST_F(emulated_order_checker, a_wait_does_not_order_the_other_way) {
  checker.wait(1, checker.record(0));
  read(1, 0, 16);
  write(0, 0, 16);
  EXPECT_EQ(checker.violations().size(), 1u);
}

TEST_F(emulated_order_checker, reads_do_not_conflict_but_each_holds_off_a_write) {
  read(0, 0, 16);
  read(1, 0, 16);
  EXPECT_THAT(checker.violations(), IsEmpty());
  checker.wait(2, checker.record(0));
  write(2, 0, 16);
  EXPECT_THAT(checker.violations(), ElementsAre(HasSubstr("kernel on stream 1 that reads")));
}

TEST_F(emulated_order_checker, neighbours_do_not_conflict) {
  write(0, 0, 4096);
  write(1, 4096, 4096);
  EXPECT_THAT(checker.violations(), IsEmpty());
}

TEST_F(emulated_order_checker, what_the_host_saw_orders_every_later_work) {
  write(0, 0, 16);
  checker.learn(checker.record(0));
  write(1, 0, 16);
  EXPECT_THAT(checker.violations(), IsEmpty());
  // But not work of which the host saw nothing.
  write(0, 0, 16);
  EXPECT_EQ(checker.violations().size(), 1u);
}

TEST_F(emulated_order_checker, a_number_used_again_starts_after_the_stream_that_had_it) {
  write(0, 0, 16);
  const auto old = checker.record(0);
  write(0, 16, 16);
  checker.end_stream(0);
  checker.begin_stream(0);
  write(1, 0, 32);
  EXPECT_THAT(checker.violations(), IsEmpty());

  // The old stream's record covers nothing of the new one's work.
  write(0, 64, 16);
  checker.wait(1, old);
  write(1, 64, 16);
  EXPECT_THAT(checker.violations(), ElementsAre(HasSubstr("[64, 80)")));
}

TEST_F(emulated_order_checker, reading_discarded_bytes_is_wrong_although_ordered) {
  write(0, 0, 256);
  write(0, 0, 256, toucher::discard);
  write(0, 0, 64);
  read(0, 0, 64);
  EXPECT_THAT(checker.violations(), IsEmpty());
  read(0, 0, 256);
  EXPECT_THAT(checker.violations(),
              ElementsAre("kernel on stream 0 reads device bytes [64, 256) after the discard on stream 0, and "
                          "nothing wrote them since"));
}

TEST_F(emulated_order_checker, a_discard_is_a_write) {
  read(0, 0, 16);
  write(1, 0, 16, toucher::discard);
  EXPECT_THAT(checker.violations(), ElementsAre(HasSubstr("discard on stream 1 writes")));
}

TEST_F(emulated_order_checker, a_read_that_nothing_orders_after_a_discard_is_reported_once) {
  write(0, 0, 16, toucher::discard);
  read(1, 0, 16);
  EXPECT_THAT(checker.violations(), ElementsAre(HasSubstr("but nothing orders it after the discard")));
}

TEST_F(emulated_order_checker, each_access_is_reported_once_however_many_ranges_it_meets) {
  for (std::uintptr_t offset = 0; offset < 4096; offset += 128) write(0, offset, 64);
  write(1, 0, 4096);
  EXPECT_EQ(checker.violations().size(), 1u);
}

TEST_F(emulated_order_checker, accesses_outside_the_memory_are_reported) {
  read(0, 0xffff, 2);
  EXPECT_THAT(checker.violations(), ElementsAre(AllOf(HasSubstr("kernel on stream 0 reads 2 bytes at 0x1ffff"),
                                                      HasSubstr("not within the device's memory"))));
}

TEST_F(emulated_order_checker, a_copys_host_side_may_be_anywhere) {
  checker.touch_by_stream(0, toucher::copy_to_device, at(0x500), 16, access::read);
  checker.touch_by_stream(1, toucher::copy_to_host, at(0x500), 16, access::write);
  EXPECT_THAT(checker.violations(), IsEmpty());
}

TEST_F(emulated_order_checker, pinned_memory_is_tracked_too) {
  checker.touch_by_stream(0, toucher::copy_to_host, at(pinned), 64, access::write);
  checker.touch_by_stream(1, toucher::copy_to_device, at(pinned + 32), 64, access::read);
  EXPECT_THAT(checker.violations(),
              ElementsAre(AllOf(HasSubstr("host-to-device copy on stream 1 reads pinned block 0 bytes [32, 64)"),
                                HasSubstr("device-to-host copy on stream 0 that writes"))));
}

TEST_F(emulated_order_checker, the_host_must_have_seen_a_copy_before_it_refills_its_source) {
  checker.touch_by_stream(0, toucher::copy_to_device, at(pinned), 64, access::read);
  const auto done = checker.record(0);
  checker.touch_by_host(at(pinned + 64), 64, access::write);
  checker.touch_by_host(at(pinned), 64, access::read);
  EXPECT_THAT(checker.violations(), IsEmpty());
  checker.touch_by_host(at(pinned), 64, access::write);
  EXPECT_THAT(checker.violations(), ElementsAre(HasSubstr("host access writes pinned block 0 bytes [0, 64)")));
  checker.learn(done);
  checker.touch_by_host(at(pinned), 64, access::write);
  EXPECT_EQ(checker.violations().size(), 1u);
}

TEST_F(emulated_order_checker, a_host_access_does_not_hide_what_is_pending) {
  checker.touch_by_stream(0, toucher::copy_to_device, at(pinned), 64, access::read);
  checker.touch_by_host(at(pinned), 64, access::write);
  checker.remove_memory(at(pinned));
  EXPECT_EQ(checker.violations().size(), 2u);
}

TEST_F(emulated_order_checker, pinned_memory_is_not_freed_under_a_copy) {
  checker.touch_by_stream(0, toucher::copy_to_device, at(pinned + 128), 64, access::read);
  checker.remove_memory(at(pinned));
  EXPECT_THAT(checker.violations(), ElementsAre(AllOf(HasSubstr("pinned block 0 is freed"),
                                                      HasSubstr("copy on stream 0"), HasSubstr("bytes [128, 192)"))));
  // A new block at the same address knows nothing of the old one's copies.
  checker.add_memory(order_checker::memory::pinned, at(pinned), 0x1000);
  checker.touch_by_stream(1, toucher::copy_to_host, at(pinned), 0x1000, access::write);
  EXPECT_EQ(checker.violations().size(), 1u);
}

TEST_F(emulated_order_checker, findings_are_bounded_and_the_rest_counted) {
  for (std::uint64_t i = 0; i < order_checker::kept_violations + 5; ++i) write(i % 2, 0, 16);
  const auto found = checker.violations();
  ASSERT_EQ(found.size(), order_checker::kept_violations + 1);
  EXPECT_EQ(found.back(), "and 4 more that were counted but not kept");
}

TEST_F(emulated_order_checker, forgets_what_the_host_saw_to_be_over) {
  for (int round = 0; round < 100; ++round) {
    for (std::uintptr_t offset = 0; offset < 0x10000; offset += 128) write(0, offset, 64);
    checker.learn(checker.record(0));
  }
  for (std::uintptr_t offset = 64; offset < 0x10000; offset += 128) write(1, offset, 64);
  EXPECT_LE(checker.ranges(), 1025u);
  EXPECT_THAT(checker.violations(), IsEmpty());
}

TEST(emulated_order_checker_limits, says_so_when_there_were_too_many_ranges) {
  constexpr std::size_t most = 3000;
  order_checker checker(most);
  const auto at = [](std::uintptr_t offset) { return reinterpret_cast<const void*>(0x10000 + offset); };
  checker.add_memory(order_checker::memory::device, at(0), 0x10000);
  checker.begin_stream(0);
  for (std::uintptr_t i = 0; i < most; ++i) {
    checker.touch_by_stream(0, toucher::kernel, at(2 * i), 1, access::write);
  }
  EXPECT_THAT(checker.violations(), IsEmpty());
  EXPECT_EQ(checker.ranges(), most);
  checker.touch_by_stream(0, toucher::kernel, at(2 * most), 1, access::write);
  EXPECT_THAT(checker.violations(),
              ElementsAre("more than 3000 ranges of memory were in use at once, so the order checker forgot "
                          "earlier accesses"));
  EXPECT_EQ(checker.ranges(), 0u);
}

}  // namespace
}  // namespace pinrail::devices
