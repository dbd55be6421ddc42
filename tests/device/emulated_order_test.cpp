// What the order checker finds on an emulated device, and that right code gives nothing to find.
//
// Findings come from what is enqueued, so each of these is found in every run. The wrong programs are held at
// a gate and never run, so that ThreadSanitizer has nothing to say about them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "device/emulated/backend.hpp"
#include "emulated_fixture.hpp"

namespace pinrail::devices {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class emulated_order : public emulated_fixture {
 protected:
  static constexpr std::uint64_t block = 65536;

  void note(stream_handle stream, std::uint64_t offset, std::uint64_t size_bytes, access way) {
    device.note_access(stream, arena + offset, size_bytes, way);
  }

  // Numbered 0, 1, 2 in this order.
  const stream_handle compute = make_stream();
  const stream_handle in = make_stream();
  const stream_handle out = make_stream();
  const event_handle loaded = make_event();
  const event_handle used = make_event();
  const event_handle saved = make_event();
  std::byte* const host = make_pinned(2 * block);
};

class emulated_order_held : public emulated_order {
 protected:
  emulated_order_held() {
    for (const stream_handle stream : {compute, in, out}) launch(stream, hold_.kernel());
  }
  ~emulated_order_held() override {
    // A lost device drops what is enqueued; then the gate opens.
    device.inject({emulated::call::query_event, 0, errc::device_lost});
    EXPECT_EQ(device.query_event(loaded).code(), errc::device_lost);
  }

 private:
  gate hold_;
};

TEST_F(emulated_order, right_code_is_silent) {
  const event_handle freed = make_event();
  for (int step = 0; step < 20; ++step) {
    copy_in(in, 0, host, block);
    record(loaded, in);
    wait(compute, loaded);
    writes(compute, 0, block);
    record(used, compute);
    wait(out, used);
    copy_out(out, host + block, 0, block);
    record(saved, out);
    device.note_discard(out, arena, block);
    record(freed, out);
    wait(in, freed);
    if (step % 4 == 0) synchronize(compute);
    if (step % 7 == 0) query(saved);
  }
  EXPECT_THAT(device.violations(), IsEmpty());
}

TEST_F(emulated_order_held, copy_before_last_use) {
  reads(compute, 0, block);
  copy_in(in, 0, host, block);
  EXPECT_THAT(device.violations(),
              ElementsAre("host-to-device copy on stream 1 writes device bytes [0, 65536), but nothing orders it "
                          "after the kernel on stream 0 that reads them"));
}

TEST_F(emulated_order_held, copy_before_a_noted_last_use) {
  launch(compute, [] {});
  note(compute, 100, 50, access::read);
  copy_in(in, 0, host, block);
  EXPECT_THAT(device.violations(), ElementsAre(AllOf(HasSubstr("bytes [100, 150)"), HasSubstr("the use on stream 0"))));
}

TEST_F(emulated_order_held, copy_waits_for_one_of_two_users_only) {
  const stream_handle second = make_stream();
  reads(compute, 0, block);
  reads(second, 0, block);
  record(used, compute);
  wait(in, used);
  copy_in(in, 0, host, block);
  EXPECT_THAT(device.violations(), ElementsAre(HasSubstr("the kernel on stream 3 that reads")));
}

TEST_F(emulated_order_held, use_before_the_copy_is_done) {
  copy_in(in, 0, host, block);
  reads(compute, 0, block);
  EXPECT_THAT(device.violations(), ElementsAre(AllOf(HasSubstr("kernel on stream 0 reads"),
                                                     HasSubstr("host-to-device copy on stream 1 that writes"))));
}

TEST_F(emulated_order_held, missing_wait_after_write_back) {
  writes(compute, 0, block);
  record(used, compute);
  wait(out, used);
  copy_out(out, host, 0, block);
  wait(in, used);  // for the use, not for the write-back
  copy_in(in, 0, host + block, block);
  EXPECT_THAT(device.violations(), ElementsAre(AllOf(HasSubstr("host-to-device copy on stream 1 writes device"),
                                                     HasSubstr("device-to-host copy on stream 2 that reads"))));
}

TEST_F(emulated_order_held, reload_from_host_memory_that_is_still_written_back) {
  copy_out(out, host, 0, block);
  copy_in(in, block, host, block);
  EXPECT_THAT(device.violations(), ElementsAre(HasSubstr("reads pinned block 0 bytes [0, 65536)")));
}

TEST_F(emulated_order_held, event_recorded_before_the_last_use) {
  reads(compute, 0, block);
  record(used, compute);
  reads(compute, 0, block);
  wait(in, used);
  copy_in(in, 0, host, block);
  EXPECT_EQ(device.violations().size(), 1u);
}

TEST_F(emulated_order_held, event_recorded_after_the_wait) {
  reads(compute, 0, block);
  wait(in, used);
  record(used, compute);
  copy_in(in, 0, host, block);
  EXPECT_EQ(device.violations().size(), 1u);
}

TEST_F(emulated_order_held, event_recorded_again_elsewhere_before_the_wait) {
  copy_in(in, 0, host, block);
  record(loaded, in);
  record(loaded, out);
  wait(compute, loaded);
  reads(compute, 0, block);
  EXPECT_EQ(device.violations().size(), 1u);
}

TEST_F(emulated_order_held, event_recorded_again_elsewhere_after_the_wait_is_right) {
  copy_in(in, 0, host, block);
  record(loaded, in);
  wait(compute, loaded);
  record(loaded, out);
  reads(compute, 0, block);
  EXPECT_THAT(device.violations(), IsEmpty());
}

TEST_F(emulated_order_held, event_never_recorded) {
  copy_in(in, 0, host, block);
  wait(compute, loaded);
  reads(compute, 0, block);
  EXPECT_EQ(device.violations().size(), 1u);
}

TEST_F(emulated_order, an_event_that_the_host_saw_complete_is_as_good_as_a_wait) {
  gate hold;
  launch(in, hold.kernel());
  copy_in(in, 0, host, block);
  record(loaded, in);
  EXPECT_FALSE(query(loaded));
  reads(compute, 0, 16);
  EXPECT_EQ(device.violations().size(), 1u);  // seen, but not complete
  hold.open();
  await(loaded);
  reads(compute, 16, block - 16);
  EXPECT_EQ(device.violations().size(), 1u);
}

TEST_F(emulated_order, a_synchronized_stream_is_ordered_before_everything_later) {
  copy_in(in, 0, host, block);
  synchronize(in);
  reads(compute, 0, block);
  EXPECT_THAT(device.violations(), IsEmpty());
  copy_in(in, 0, host, block);  // and nothing is ordered by it the other way
  EXPECT_EQ(device.violations().size(), 1u);
}

TEST_F(emulated_order, synchronizing_one_stream_says_nothing_of_another) {
  copy_in(in, 0, host, block);
  synchronize(out);
  reads(compute, 0, block);
  EXPECT_EQ(device.violations().size(), 1u);
}

TEST_F(emulated_order, a_destroyed_stream_is_ordered_before_everything_later) {
  copy_in(in, 0, host, block);
  device.destroy_stream(in);
  const stream_handle again = make_stream();  // has the number of the old one
  copy_in(again, 0, host, block);
  record(loaded, again);
  wait(compute, loaded);
  reads(compute, 0, block);
  EXPECT_THAT(device.violations(), IsEmpty());
  copy_in(again, 0, host, block);
  EXPECT_THAT(device.violations(), ElementsAre(HasSubstr("copy on stream 1 writes")));
}

TEST_F(emulated_order_held, a_new_stream_does_not_know_what_others_do) {
  copy_in(in, 0, host, block);
  const stream_handle fresh = make_stream();
  reads(fresh, 0, block);
  EXPECT_EQ(device.violations().size(), 1u);
}

TEST_F(emulated_order_held, reuse_of_memory_before_its_last_use_is_over) {
  reads(compute, 0, block);
  device.note_discard(out, arena, block);
  EXPECT_THAT(device.violations(), ElementsAre(HasSubstr("discard on stream 2 writes")));
}

TEST_F(emulated_order_held, use_after_discard) {
  writes(compute, 0, block);
  device.note_discard(compute, arena, block);
  reads(compute, 0, block);
  EXPECT_THAT(device.violations(), ElementsAre(HasSubstr("after the discard on stream 0, and nothing wrote them")));
}

TEST_F(emulated_order, use_after_discard_long_ago) {
  device.note_discard(compute, arena, block);
  synchronize(compute);
  copy_out(out, host, 0, block);
  EXPECT_EQ(device.violations().size(), 1u);
}

TEST_F(emulated_order_held, write_back_after_discard) {
  device.note_discard(out, arena, block);
  copy_out(out, host, 0, block);
  EXPECT_THAT(device.violations(), ElementsAre(HasSubstr("device-to-host copy on stream 2 reads device")));
}

TEST_F(emulated_order_held, moves_within_the_device_are_checked_on_both_sides) {
  writes(compute, 0, block);
  reads(compute, block, block);
  copy_within(out, block, 0, block);
  EXPECT_THAT(device.violations(),
              ElementsAre(HasSubstr("device-to-device copy on stream 2 reads device bytes [0, 65536)"),
                          HasSubstr("device-to-device copy on stream 2 writes device bytes [65536, 131072)")));
}

TEST_F(emulated_order_held, pinned_memory_freed_while_a_copy_may_read_it) {
  copy_in(in, 0, host, block);
  record(loaded, in);
  device.free_pinned(host);
  EXPECT_THAT(device.violations(), ElementsAre(HasSubstr("pinned block 0 is freed")));
}

TEST_F(emulated_order, pinned_memory_freed_after_the_copy_was_seen_complete) {
  copy_in(in, 0, host, block);
  record(loaded, in);
  await(loaded);
  device.free_pinned(host);
  EXPECT_THAT(device.violations(), IsEmpty());
}

TEST_F(emulated_order_held, slab_refilled_before_its_copy_was_seen_complete) {
  copy_in(in, 0, host, block);
  device.note_access({}, host, block, access::write);
  EXPECT_THAT(device.violations(), ElementsAre(HasSubstr("host access writes pinned block 0")));
}

TEST_F(emulated_order, slab_refilled_after_its_copy_was_seen_complete) {
  for (int i = 0; i < 3; ++i) {
    device.note_access({}, host, block, access::write);
    copy_in(in, 0, host, block);
    synchronize(in);
  }
  EXPECT_THAT(device.violations(), IsEmpty());
}

TEST_F(emulated_order_held, a_failed_call_leaves_no_trace) {
  reads(compute, 0, block);
  device.inject({emulated::call::copy_host_to_device, 0, errc::device_error});
  EXPECT_EQ(device.copy(in, direction::host_to_device, arena, host, block).code(), errc::device_error);
  EXPECT_THAT(device.violations(), IsEmpty());
  record(used, compute);
  device.inject({emulated::call::wait_event, 0, errc::device_error});
  EXPECT_EQ(device.wait_event(in, used).code(), errc::device_error);
  copy_in(in, 0, host, block);
  EXPECT_EQ(device.violations().size(), 1u);
}

TEST_F(emulated_order_held, kernel_accesses_outside_device_memory_are_refused) {
  std::byte elsewhere{};
  EXPECT_THROW(touch(compute, &elsewhere, 1, false), error);
  EXPECT_THROW(touch(compute, arena + arena_bytes - 1, 2, false), error);
}

}  // namespace
}  // namespace pinrail::devices
