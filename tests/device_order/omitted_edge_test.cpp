// Leaves out one GPU edge at a time: the order checker reports each in every run, whatever finishes first. The same
// programs with nothing left out are silent.
#include <gmock/gmock.h>

#include <tuple>

#include "device/timeline.hpp"
#include "scene.hpp"

namespace pinrail::test {
namespace {

using kernel = scene::kernel;
using role = misordered_backend::role;

constexpr int runs = 50;

// ---- programs -----------------------------------------------------------------------------------------------
// Each leaves kernels or copies at gates, makes Pinrail use memory that these still use, and lets go of nothing.

/// A block that kernels of two streams still read makes room for another.
void evict_in_use(scene& s) {
  const auto r = s.add("r", 2);
  s.use(r, 0, s.a);
  s.a.synchronize();
  s.hold_users();
  s.use(r, 0, s.a);
  s.use(r, 0, s.b);
  s.use(r, 1, s.b);
}

/// A block is used while it is still being copied.
void use_loading(scene& s) {
  const auto r = s.add("r", 1);
  s.hold(role::copies);
  s.use(r, 0, s.a);
}

/// Tries to use block 1, for which dirty block 0 must leave; does not wait for that.
void ask_for_write_back(scene& s, const named_runtime& r) {
  auto pass = r.handle.managed_forward(s.b, {.prefetch_blocks = 0, .load_deadline = std::chrono::nanoseconds(0)});
  (void)pass.try_use(1);
  EXPECT_TRUE(eventually([&] { return s.backend->copies_enqueued(devices::direction::device_to_host) == 1; }));
}

/// A block is written back while the kernel that changes it still runs.
void write_back_in_use(scene& s) {
  const auto r = s.add("r", 2);
  s.use(r, 0, s.a);
  s.a.synchronize();
  s.hold_users();
  s.use(r, 0, s.a, kernel::writes);
  ask_for_write_back(s, r);
}

/// The memory of a block is used again while it is still being written back.
void evict_written_back(scene& s) {
  const auto r = s.add("r", 2);
  s.use(r, 0, s.a, kernel::writes);
  s.a.synchronize();
  s.hold(role::write_backs);
  ask_for_write_back(s, r);
  if (s.right()) s.let_go_of_copies();
  EXPECT_TRUE(eventually([&] { return r.handle.statistics().written_back == 1; }));
  s.use(r, 1, s.a);
}

/// Blocks are moved together, into memory whose last kernel still runs, and a large one is loaded behind them.
struct moved {
  named_runtime small, large;
  block_guard guard;
};
moved move_blocks(scene& s) {
  moved m{s.add("small", 4), s.add("large", 1, 2), {}};
  for (block_index b = 0; b < 4; ++b) s.use(m.small, b, s.a);
  s.a.synchronize();
  m.guard = m.small.handle.protect_blocks({0, 2});
  return m;
}
void move_into_used(scene& s) {
  const moved m = move_blocks(s);
  s.hold_users();
  for (block_index b = 0; b < 4; ++b) s.use(m.small, b, s.a);
  s.use(m.large, 0, s.b);
  EXPECT_EQ(m.small.handle.statistics().moves, 1u);
}
void load_behind_moved(scene& s) {
  const moved m = move_blocks(s);
  s.hold(role::moves);
  s.use(m.large, 0, s.b);
  EXPECT_EQ(m.small.handle.statistics().moves, 1u);
}
void use_moving(scene& s) {
  const moved m = move_blocks(s);
  s.hold(role::moves);
  s.use(m.large, 0, s.b);
  s.use(m.small, 2, s.a);
  EXPECT_EQ(m.small.handle.statistics().moves, 1u);
}

/// A guest's block leaves while kernels of two streams still read it: their events become one.
void guest_leaves(scene& s) {
  const auto guest = s.add("guest", 1);
  const auto r = s.add("r", 1);
  {
    const auto scope = guest.handle.as_guest();
    s.use(guest, 0, s.a);
    s.a.synchronize();
    s.hold_users();
    s.use(guest, 0, s.a);
    s.use(guest, 0, s.b);
  }
  s.use(r, 0, s.b);
}

/// A stream is a whole ring of events ahead of the device, and an event that is still pending would be recorded again.
void ring_wraps(scene& s) {
  const auto r = s.add("r", 3);
  s.use(r, 0, s.a);
  s.use(r, 1, s.a);
  s.a.synchronize();
  const auto guard = r.handle.protect_blocks({1});
  s.hold_users();
  s.use(r, 0, s.a);  // the third record of the stream
  for (std::uint32_t i = 3; i < devices::timeline::ring_size + 2; ++i) s.use(r, 1, s.a);
  // The next records over that event. Right code waits for it until someone lets go of the kernels.
  const std::uint64_t asked = s.backend->calls_made(emulated::call::query_event);
  std::thread opener([&] {
    if (!s.right()) return;
    EXPECT_TRUE(eventually([&] { return s.backend->calls_made(emulated::call::query_event) > asked + 10; }));
    s.let_go_of_users();
  });
  s.backend->lie(true);
  s.use(r, 1, s.a);
  s.backend->lie(false);
  opener.join();
  s.use(r, 2, s.b);
}

/// Memory of a block is given to the caller while a kernel still reads it. That edge ends on the CPU.
void bytes_of_used(scene& s) {
  const auto r = s.add("r", 1);
  s.use(r, 0, s.a);
  s.a.synchronize();
  s.hold_users();
  s.use(r, 0, s.a);
  if (s.right()) s.let_go_of_users();
  const auto bytes = s.sched->budget().reserve_bytes(scene::block_bytes, "workspace", {.with_memory = true});
  s.launch(s.b, static_cast<std::byte*>(bytes.device_ptr()), r.bytes->block(0), kernel::writes);
  s.let_go_of_users();
  s.b.synchronize();
}

// ---- the edges ----------------------------------------------------------------------------------------------

struct program {
  const char* name;
  void (*run)(scene&);
  edge left_out;
  std::uint64_t budget_blocks;
  const char* second;  ///< what the checker says about the access that comes too early ...
  const char* first;   ///< ... and about the one that it must come after
};

// Stream 0 joins, 1 copies to the device, 2 to the host, 3 within it; 4 and 5 are the users'.
const program programs[] = {
    {"copy_before_last_use", evict_in_use, edge::wait_of_copies, 1, "discard on stream 1 writes",
     "use on stream 4 that reads"},
    {"copy_before_one_of_two_last_uses", evict_in_use, edge::wait_of_copies_for_b, 1, "discard on stream 1 writes",
     "use on stream 5 that reads"},
    {"use_before_copy_is_done", use_loading, edge::wait_of_users, 1, "kernel on stream 4 reads",
     "host-to-device copy on stream 1 that writes"},
    {"write_back_before_kernel", write_back_in_use, edge::wait_of_write_backs, 1,
     "device-to-host copy on stream 2 reads", "use on stream 4 that writes"},
    {"reuse_before_write_back_is_done", evict_written_back, edge::end_of_write_backs, 1, "discard on stream 1 writes",
     "device-to-host copy on stream 2 that reads"},
    {"move_before_last_use", move_into_used, edge::wait_of_moves, 4, "device-to-device copy on stream 3 writes",
     "use on stream 4 that reads"},
    {"copy_before_move_is_done", load_behind_moved, edge::wait_of_copies, 4, "discard on stream 1 writes",
     "device-to-device copy on stream 3 that reads"},
    {"use_before_move_is_done", use_moving, edge::wait_of_users, 4, "kernel on stream 4 reads",
     "device-to-device copy on stream 3 that writes"},
    {"join_before_last_uses", guest_leaves, edge::wait_of_joins, 1, "discard on stream 1 writes",
     "use on stream 4 that reads"},
    {"event_recorded_again_early", ring_wraps, edge::end_of_a_ring, 2, "discard on stream 1 writes",
     "use on stream 4 that reads"},
    {"last_use_not_recorded", evict_in_use, edge::record_of_uses, 1, "discard on stream 1 writes",
     "use on stream 4 that reads"},
    {"last_use_recorded_before_kernel", evict_in_use, edge::record_of_uses_early, 1, "discard on stream 1 writes",
     "use on stream 4 that reads"},
    {"bytes_before_last_use", bytes_of_used, edge::end_of_uses, 1, "kernel on stream 5 writes",
     "use on stream 4 that reads"},
};

class omitted_edge : public testing::TestWithParam<std::tuple<program, schedule>> {
 protected:
  std::vector<std::string> run(edge left_out) {
    const auto& [what, how] = GetParam();
    scene s(left_out, how, what.budget_blocks);
    what.run(s);
    return s.finish();
  }
};

TEST_P(omitted_edge, is_reported_in_every_run) {
  using testing::AllOf, testing::Contains, testing::HasSubstr;
  const program& what = std::get<program>(GetParam());
  int reported = 0;
  for (int i = 0; i < runs && reported == i; ++i) {
    const auto found = run(what.left_out);
    EXPECT_THAT(found, Contains(AllOf(HasSubstr(what.second), HasSubstr(what.first)))) << "run " << i;
    reported += !HasFailure();
  }
  RecordProperty("runs", runs);
  RecordProperty("reported", reported);
}

TEST_P(omitted_edge, left_in_gives_nothing_to_report) {
  for (int i = 0; i < runs; ++i) ASSERT_EQ(run(edge::none), std::vector<std::string>{}) << "run " << i;
}

std::string name_of(const testing::TestParamInfo<std::tuple<program, schedule>>& each) {
  static constexpr const char* schedules[] = {"slow_copies", "slow_kernels", "reversed"};
  const auto& [what, how] = each.param;
  return std::string(what.name) + "_" + schedules[static_cast<std::size_t>(how)];
}

INSTANTIATE_TEST_SUITE_P(each, omitted_edge,
                         testing::Combine(testing::ValuesIn(programs),
                                          testing::Values(schedule::slow_copies, schedule::slow_kernels,
                                                          schedule::reversed)),
                         name_of);

}  // namespace
}  // namespace pinrail::test
