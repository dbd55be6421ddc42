// What CUDA sets traps with, met by the whole of Pinrail. What the backend alone meets is in tests/device_cuda.
#include <algorithm>
#include <array>
#include <numeric>

#include "user_streams.hpp"

namespace pinrail::test {
namespace {

using testing::fake_cuda;

constexpr std::uint64_t block_bytes = 256_KiB;

struct cuda_traps : ::testing::Test {
  rig r{{.vram_budget = 4 * block_bytes, .high_watermark = 1}};
  named_runtime a = r.add("a", 6, block_bytes);
  named_runtime staged = r.add("staged", 6, block_bytes, {.pinned = false});
};

// ---- the calling thread ------------------------------------------------------------------------------------------

TEST_F(cuda_traps, a_thread_keeps_its_device_and_its_last_error) {
  ASSERT_EQ(testing::fake_machine()->set_device(3), cudaSuccess);
  fake_cuda::leave_error(cudaErrorInvalidConfiguration);
  r.run(a);
  r.run(staged);
  { auto guest = a.handle.as_guest(); }
  r.sched().synchronize();
  EXPECT_EQ(fake_cuda::current_device(), 3);
  EXPECT_EQ(fake_cuda::last_error(), cudaErrorInvalidConfiguration);
  fake_cuda::leave_error(cudaSuccess);
}

TEST_F(cuda_traps, a_thread_sees_no_error_of_a_load_that_failed) {
  for (const auto where :
       {emulated::call::copy_host_to_device, emulated::call::record_event, emulated::call::create_stream}) {
    const std::uint64_t before = gpu_of(r).machine().failures(testing::cuda_name(where));
    emulated::inject(r.device(), {.where = where});
    (void)caught([&] { r.run(a, {0, 1, 2, 3, 4, 5}, {.prefetch_blocks = 0}); });
    EXPECT_EQ(gpu_of(r).machine().failures(testing::cuda_name(where)), before + 1);
    EXPECT_EQ(fake_cuda::last_error(), cudaSuccess);
    emulated::clear_faults(r.device());
  }
}

TEST_F(cuda_traps, a_thread_without_a_device_stays_without_one) {
  std::thread([&] {
    r.run(a);
    r.run(staged);
    EXPECT_FALSE(fake_cuda::has_context());
  }).join();
}

// ---- streams of others -------------------------------------------------------------------------------------------

TEST_F(cuda_traps, passes_run_on_the_default_stream) {
  ASSERT_EQ(testing::fake_machine()->set_device(gpu_of(r).ordinal()), cudaSuccess);
  const stream legacy = r.device().wrap_stream(nullptr);
  user_stream blocking{r, cudaStreamDefault};
  for (int i = 0; i < 3; ++i) {
    auto first = a.handle.managed_forward(legacy);
    auto second = staged.handle.managed_forward(blocking);
    for (const block_index b : a.handle.blocks()) {
      r.check(first.use(b), a, legacy);
      r.check(second.use(b), staged, blocking);
    }
  }
  legacy.synchronize();
  stream_ref(blocking).synchronize();
}

TEST_F(cuda_traps, the_per_thread_default_stream_is_refused) {
  EXPECT_EQ(caught([&] { (void)r.device().wrap_stream(cudaStreamPerThread); }).code(), errc::not_supported);
}

TEST_F(cuda_traps, a_stream_s_handle_comes_again_for_another_stream) {
  cudaStream_t before = nullptr;
  {
    user_stream s{r};
    before = s.native();
    auto pass = a.handle.managed_forward(s);
    for (const block_index b : {0u, 1u, 2u, 3u}) r.check(pass.use(b), a, s);
  }  // its work is done, its last uses are complete
  user_stream s{r};
  EXPECT_EQ(s.native(), before);
  gate held;
  held.hold(s);
  {
    auto pass = a.handle.managed_forward(s, {.prefetch_blocks = 0});
    r.check(pass.use(0), a, s);
  }
  // Who needs block 0's memory waits for the new stream's kernel, not for that of the old one.
  const stream t = r.device().create_stream();
  auto pass = staged.handle.managed_forward(t, {.prefetch_blocks = 0});
  for (const block_index b : {0u, 1u, 2u, 3u}) r.check(pass.use(b), staged, t);
  held.open();
  t.synchronize();
  stream_ref(s).synchronize();
}

TEST_F(cuda_traps, a_stream_that_its_owner_destroyed_too_early_loses_no_order) {
  ASSERT_EQ(testing::fake_machine()->set_device(gpu_of(r).ordinal()), cudaSuccess);
  cudaStream_t native = nullptr;
  ASSERT_EQ(fake_cuda::api().stream_create(&native, cudaStreamNonBlocking), cudaSuccess);
  stream wrapped = r.device().wrap_stream(native);
  gate held;
  held.hold(wrapped);
  {
    auto pass = a.handle.managed_forward(wrapped, {.prefetch_blocks = 0});
    for (const block_index b : {0u, 1u, 2u, 3u}) r.check(pass.use(b), a, wrapped);
  }
  ASSERT_EQ(fake_cuda::api().stream_destroy(native), cudaSuccess);  // its work goes on
  wrapped = {};                                                     // can't wait for it any more
  const auto misuses = gpu_of(r).machine().misuses(gpu_of(r).ordinal());
  EXPECT_EQ(misuses.size(), 1u) << "the registration's end finds no stream";
  const stream t = r.device().create_stream();
  {
    auto pass = staged.handle.managed_forward(t, {.prefetch_blocks = 0});
    for (const block_index b : {0u, 1u, 2u, 3u}) r.check(pass.use(b), staged, t);
  }
  held.open();
  t.synchronize();
  gpu_of(r).machine().forget_misuses(gpu_of(r).ordinal());
}

TEST_F(cuda_traps, an_event_is_recorded_again_only_when_its_last_record_is_complete) {
  const stream s = r.device().create_stream();
  gate held;
  held.hold(s);
  core::atomic<int> done{0};
  std::thread ahead([&] {  // of its device, by more uses than there are events
    auto pass = a.handle.managed_forward(s, {.prefetch_blocks = 0});
    for (int i = 0; i < 600; ++i) {
      r.check(pass.use(0), a, s);
      done.fetch_add(1, core::order::relaxed);
    }
  });
  // Who records too early goes on; the right one can't be seen to wait.
  EXPECT_TRUE(eventually([&] { return done.load(core::order::relaxed) >= 255; }));
  for (int i = 0; i < 100 && done.load(core::order::relaxed) < 600; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  held.open();
  ahead.join();
  s.synchronize();  // the rig asks the fake for misuses
}

// ---- memory ------------------------------------------------------------------------------------------------------

TEST_F(cuda_traps, two_models_lie_in_the_same_page_locked_memory) {
  std::vector<std::byte> bytes(3 * block_bytes);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i / 4096);
  const page_lock locked(bytes);  // by the program, once; Pinrail registers nothing
  const std::span<std::byte> all(bytes);
  const std::array<memory_block, 2> first{{{"0", all.first(2 * block_bytes)}, {"1", all.subspan(2 * block_bytes)}}};
  const std::array<memory_block, 1> second{{{"0", all.subspan(block_bytes, block_bytes)}}};
  const runtime one = r.sched().add_runtime("one", model_from_memory(first, {.pinned = true}));
  const runtime two = r.sched().add_runtime("two", model_from_memory(second, {.pinned = true}));
  const stream s = r.device().create_stream();
  core::atomic<int> wrong{0};
  for (const runtime* m : {&one, &two}) {
    auto pass = m->managed_forward(s, {.prefetch_blocks = 0});
    auto held = pass.use(0);
    const std::byte* const expected = bytes.data() + (m == &two ? block_bytes : 0);
    const emulated::access touched{held.device_ptr(), held.size_bytes(), false};
    emulated::launch(s,
                     [&wrong, expected, data = held.device_ptr(), size = held.size_bytes()] {
                       if (std::memcmp(data, expected, size) != 0) wrong.fetch_add(1, core::order::relaxed);
                     },
                     {&touched, 1});
  }
  s.synchronize();
  EXPECT_EQ(wrong.load(core::order::relaxed), 0);
  r.sched().remove_runtime(one);
  r.sched().remove_runtime(two);
}

// ---- ends --------------------------------------------------------------------------------------------------------

/// Everything a program may hold, with work under way, and each of it can be dropped at any time.
struct holdings {
  std::shared_ptr<device> on = open_test_device("emulated:vram=64MiB,h2d=500MB/s");
  host_model bytes{4, block_bytes, 1};
  std::vector<page_lock> locked;
  std::optional<scheduler> sched;
  std::optional<runtime> model;
  std::optional<residency_guard> guard;
  std::optional<reservation> reserved;
  std::optional<stream> own;

  holdings() {
    for (std::size_t b = 0; b < bytes.size(); ++b) locked.emplace_back(bytes.block(b));
    sched.emplace(*on, scheduler_options{.vram_budget = 3 * block_bytes, .page_bytes = 4096});
    model = sched->add_runtime("a", bytes.model());
    own = on->create_stream();
    reserved = model->reserve_for_resident({.allow_partial = true});
    guard = model->keep_resident();
    auto pass = model->managed_forward(*own, {.prefetch_blocks = 2});
    (void)pass.use(0);
    (void)pass.use(1);
  }
  void drop(int what) {
    switch (what) {
      case 0:
        return on.reset();
      case 1:
        return sched.reset();
      case 2:
        return model.reset();
      case 3:
        return guard.reset();
      case 4:
        return reserved.reset();
      case 5:
        return own.reset();
    }
  }
};

TEST(cuda_ends, come_in_any_order) {  // the fake's device looks for leaks and misuses at its very end
  std::array<int, 6> order{};
  std::iota(order.begin(), order.end(), 0);
  do {
    SCOPED_TRACE(::testing::PrintToString(order));
    holdings all;
    for (const int what : order) all.drop(what);
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST(cuda_ends, are_silent_when_the_runtime_has_gone_before) {
  for (const int first : {0, 1, 5}) {
    holdings all;
    testing::fake_machine()->unload();  // as at the end of the process, while these live in statics
    all.drop(first);
    for (const int what : {3, 4, 2, 1, 5, 0}) all.drop(what);
    EXPECT_EQ(fake_cuda::last_error(), cudaSuccess);
    testing::fake_machine()->unload(false);
  }
}

}  // namespace
}  // namespace pinrail::test
