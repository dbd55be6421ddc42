// Rule 11: dirty blocks are written back before their memory is reused; a failed write-back keeps the block and reports
// the error; a failed load leaves the block absent and retryable, and gives every byte back.
#include "support/rig.hpp"

namespace pinrail::test {
namespace {

constexpr std::uint64_t block_bytes = 256_KiB;

/// A source in memory whose reads and writes can be made to fail.
struct fickle_source {
  std::vector<std::vector<std::byte>> bytes;
  core::atomic<int> failing_reads{0};
  core::atomic<int> failing_writes{0};

  fickle_source(std::size_t blocks, std::uint64_t size_bytes) : bytes(blocks, std::vector<std::byte>(size_bytes)) {}

  [[nodiscard]] model as_model() {
    std::vector<block_info> infos;
    for (std::size_t b = 0; b < bytes.size(); ++b) infos.push_back({"block." + std::to_string(b), bytes[b].size(), {}});
    return model_from_callback(
        infos,
        [this](block_index b, std::uint64_t at, std::span<std::byte> to) {
          if (failing_reads.load(core::order::relaxed) > 0)
            return failing_reads.fetch_sub(1, core::order::relaxed) <= 0;
          std::memcpy(to.data(), bytes[b].data() + at, to.size());
          return true;
        },
        [this](block_index b, std::uint64_t at, std::span<const std::byte> from) {
          if (failing_writes.load(core::order::relaxed) > 0)
            return failing_writes.fetch_sub(1, core::order::relaxed) <= 0;
          std::memcpy(bytes[b].data() + at, from.data(), from.size());
          return true;
        });
  }
};

const pass_options one_by_one{.prefetch_blocks = 0, .wraps = false};

void write_on_device(pass_options options, const runtime& r, block_index b, stream_ref s, std::byte value) {
  auto pass = r.managed_forward(s, options);
  auto held = pass.use(b);
  held.mark_dirty();
  void* data = held.device_ptr();
  const std::uint64_t size = held.size_bytes();
  const emulated::access touched{data, size, true};
  emulated::launch(s, [=] { std::memset(data, static_cast<int>(value), size); }, {&touched, 1});
}

struct rule_11 : testing::Test {
  fickle_source source{3, block_bytes};  // outlives the scheduler, which writes back at its end
  rig r{{.vram_budget = 4 * block_bytes, .high_watermark = 1, .load_deadline = std::chrono::seconds(5)}};
  runtime mine = r.sched().add_runtime("mine", source.as_model());
  named_runtime other = r.add("other", 8, block_bytes);
  stream s = r.device().create_stream();

  [[nodiscard]] bool source_has(block_index b, std::byte value) const {
    return std::all_of(source.bytes[b].begin(), source.bytes[b].end(), [value](std::byte x) { return x == value; });
  }
};

TEST_F(rule_11, a_dirty_block_is_written_back_before_its_memory_is_used_again) {
  write_on_device(one_by_one, mine, 1, s, std::byte{7});
  EXPECT_TRUE(eventually([&] {
    r.run(other);
    return !mine.is_resident(1);
  }));
  EXPECT_TRUE(source_has(1, std::byte{7}));
  EXPECT_EQ(mine.statistics().written_back, 1u);
  write_on_device(one_by_one, mine, 1, s, std::byte{9});
  r.finish();
  EXPECT_TRUE(source_has(1, std::byte{9})) << "the end of the scheduler writes back too";
}

TEST_F(rule_11, what_comes_back_is_what_was_written) {
  write_on_device(one_by_one, mine, 0, s, std::byte{3});
  r.run(other);
  auto pass = mine.managed_forward(s, one_by_one);
  auto held = pass.use(0);
  const auto* data = static_cast<const std::byte*>(held.device_ptr());
  const emulated::access touched{data, held.size_bytes(), false};
  core::atomic<int> wrong{0};
  emulated::launch(s,
                   [&, data] {
                     wrong.store(data[0] != std::byte{3} || data[block_bytes - 1] != std::byte{3},
                                 core::order::relaxed);
                   },
                   {&touched, 1});
  s.synchronize();
  EXPECT_EQ(wrong.load(core::order::relaxed), 0);
}

TEST_F(rule_11, a_failed_write_back_keeps_the_block_and_reports) {
  write_on_device(one_by_one, mine, 1, s, std::byte{7});
  source.failing_writes.store(1, core::order::relaxed);
  EXPECT_TRUE(eventually([&] {
    r.run(other);  // the first attempt fails, a later one succeeds
    return r.logged("could not be written back");
  }));
  EXPECT_NE(r.sched().first_error().value_or("").find("mine"), std::string::npos);
  r.run(other);
  r.finish();
  EXPECT_TRUE(source_has(1, std::byte{7}));
}

TEST_F(rule_11, while_it_cant_be_written_back_it_is_no_victim) {
  write_on_device(one_by_one, mine, 1, s, std::byte{7});
  source.failing_writes.store(1000000, core::order::relaxed);
  r.run(other);
  EXPECT_TRUE(mine.is_resident(1));
  auto guard = other.handle.keep_resident();
  const error e = caught([&] {
    r.run(other, {0, 1, 2, 3}, {.prefetch_blocks = 0, .wraps = false, .load_deadline = std::chrono::milliseconds(100)});
  });
  EXPECT_EQ(e.code(), errc::no_victim);
  EXPECT_NE(std::string(e.what()).find("not written back"), std::string::npos) << e.what();
  source.failing_writes.store(0, core::order::relaxed);
}

/// A block of 7s on the device whose write-back has begun, and does not end before `go_on`.
struct write_back_held_open {
  core::atomic<bool> writing{false};
  core::atomic<bool> go_on{false};
  std::vector<std::byte> bytes = std::vector<std::byte>(block_bytes, std::byte{1});
  rig one{{.vram_budget = 4 * block_bytes}};
  runtime slow =
      one.sched().add_runtime("slow", model_from_callback(
                                          {{"only", block_bytes, {}}},
                                          [this](block_index, std::uint64_t at, std::span<std::byte> to) {
                                            std::memcpy(to.data(), bytes.data() + at, to.size());
                                            return true;
                                          },
                                          [this](block_index, std::uint64_t at, std::span<const std::byte> from) {
                                            writing.store(true, core::order::release);
                                            while (!go_on.load(core::order::acquire)) std::this_thread::yield();
                                            std::memcpy(bytes.data() + at, from.data(), from.size());
                                            return true;
                                          }));
  stream on = one.device().create_stream();

  write_back_held_open() {
    write_on_device(one_by_one, slow, 0, on, std::byte{7});
    { auto scope = slow.as_guest(); }  // its end asks for the write-back
    EXPECT_TRUE(eventually([&] { return writing.load(core::order::acquire); }));
  }
};

TEST_F(rule_11, a_block_dirtied_again_during_its_write_back_is_written_again) {
  write_back_held_open w;
  core::atomic<bool> marked{false};
  std::thread again([&] {
    auto pass = w.slow.managed_forward(w.on, one_by_one);
    auto held = pass.use(0);
    held.mark_dirty();
    marked.store(true, core::order::release);
    const emulated::access touched{held.device_ptr(), block_bytes, true};
    emulated::launch(w.on, [to = held.device_ptr()] { std::memset(to, 8, block_bytes); }, {&touched, 1});
  });
  // Who does not wait goes on; the right one can't be seen to wait.
  for (int i = 0; i < 100 && !marked.load(core::order::acquire); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_FALSE(marked.load(core::order::acquire)) << "the block changes while it is being written back";
  w.go_on.store(true, core::order::release);
  again.join();
  w.one.finish();
  EXPECT_TRUE(std::all_of(w.bytes.begin(), w.bytes.end(), [](std::byte x) { return x == std::byte{8}; }));
}

TEST_F(rule_11, a_block_is_used_while_it_is_written_back) {
  write_back_held_open w;
  std::byte seen{0};
  {
    auto pass = w.slow.managed_forward(w.on, one_by_one);
    auto held = pass.use(0);
    const emulated::access touched{held.device_ptr(), block_bytes, false};
    emulated::launch(w.on, [&seen, from = held.device_ptr()] { std::memcpy(&seen, from, 1); }, {&touched, 1});
  }
  w.on.synchronize();
  EXPECT_EQ(seen, std::byte{7});
  EXPECT_EQ(w.slow.statistics().loads, 1u);
  w.go_on.store(true, core::order::release);
  w.one.finish();
  EXPECT_EQ(w.bytes[block_bytes - 1], std::byte{7});
}

TEST_F(rule_11, a_read_only_source_refuses_dirty_blocks) {
  auto pass = other.handle.managed_forward(s, one_by_one);
  auto held = pass.use(0);
  EXPECT_EQ(caught([&] { held.mark_dirty(); }).code(), errc::read_only);
}

TEST_F(rule_11, what_kernels_may_be_changing_is_not_written_back) {
  write_on_device(one_by_one, mine, 1, s, std::byte{7});
  auto scope = mine.as_guest();
  auto pass = mine.managed_forward(s, one_by_one);
  auto held = pass.use(1);
  held.mark_dirty();
  scope.end();  // asks for the write-back of what is dirty
  r.sched().synchronize();
  EXPECT_EQ(mine.statistics().written_back, 0u) << "kernels may be changing it from mark_dirty to the end of the use";
  auto* data = static_cast<std::byte*>(held.device_ptr());
  const emulated::access touched{data, block_bytes, true};
  emulated::launch(s, [=] { std::memset(data, 9, block_bytes); }, {&touched, 1});
  held.end();
  pass.end();
  r.finish();
  EXPECT_TRUE(source_has(1, std::byte{9}));
}

TEST_F(rule_11, what_two_streams_changed_is_written_back_when_both_are_done) {
  fickle_source shared(1, block_bytes);
  gate held;
  // Without the checker: it takes a use to change the whole block, and here each stream changes half of it.
  rig two{{.vram_budget = 4 * block_bytes}, "emulated:vram=64MiB,check=off"};
  const runtime both = two.sched().add_runtime("both", shared.as_model());
  const stream slow = two.device().create_stream();
  const stream quick = two.device().create_stream();
  {
    auto one = both.managed_forward(slow, one_by_one);
    auto other_one = both.managed_forward(quick, one_by_one);
    auto first = one.use(0);
    auto second = other_one.use(0);
    first.mark_dirty();
    second.mark_dirty();
    auto* data = static_cast<std::byte*>(first.device_ptr());
    held.hold(slow);
    emulated::launch(slow, [=] { std::memset(data, 1, block_bytes / 2); });
    emulated::launch(quick, [=] { std::memset(data + block_bytes / 2, 2, block_bytes / 2); });
    first.end();
    second.end();
  }
  { auto scope = both.as_guest(); }  // its end asks for the write-back
  // A write-back that waits for `quick` alone is done at once; the right one can't be seen to wait.
  for (int i = 0; i < 200 && both.statistics().written_back == 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  held.open();
  two.finish();
  EXPECT_EQ(shared.bytes[0][0], std::byte{1});
  EXPECT_EQ(shared.bytes[0][block_bytes - 1], std::byte{2});
}

TEST_F(rule_11, a_failed_load_leaves_the_block_absent_retryable_and_gives_every_byte_back) {
  source.failing_reads.store(1, core::order::relaxed);
  auto pass = mine.managed_forward(s, one_by_one);
  const error e = caught([&] { (void)pass.use(2); });
  EXPECT_EQ(e.code(), errc::io_error);
  EXPECT_FALSE(mine.is_resident(2));
  EXPECT_EQ(r.sched().statistics().used_bytes, 0u);
  EXPECT_EQ(mine.statistics().failed_loads, 1u);
  EXPECT_EQ(mine.statistics().resident_bytes, 0u);
  EXPECT_EQ(pass.use(2).block(), 2u) << "the retry works";
}

TEST_F(rule_11, a_block_of_which_one_chunk_fails_is_never_published) {
  for (const std::uint64_t chunk : {0u, 1u, 3u}) {
    rig small{{.vram_budget = 4 * block_bytes, .chunk_bytes = block_bytes / 4}};
    const named_runtime chunked = small.add("chunked", 1, block_bytes);
    emulated::inject(small.device(), {.where = emulated::call::copy_host_to_device, .after = chunk});
    EXPECT_EQ(caught([&] { small.run(chunked, {0}, {.prefetch_blocks = 0}); }).code(), errc::device_error);
    EXPECT_FALSE(chunked.handle.is_resident(0));
    EXPECT_EQ(chunked.handle.statistics().failed_loads, 1u);
    EXPECT_TRUE(eventually([&] { return small.sched().statistics().used_bytes == 0; }));
    small.run(chunked);  // all of its bytes are compared
    EXPECT_TRUE(chunked.handle.is_resident(0));
  }
}

TEST_F(rule_11, a_device_call_that_fails_fails_the_load_and_no_more) {
  for (const auto where :
       {emulated::call::copy_host_to_device, emulated::call::record_event, emulated::call::wait_event}) {
    for (const errc code : {errc::device_error, errc::out_of_memory}) {
      emulated::inject(r.device(), {.where = where, .after = 0, .code = code});
      for (int attempt = 0; attempt < 3; ++attempt) {
        try {
          r.run(other);
          break;
        } catch (const error& e) {
          EXPECT_EQ(e.code(), code);
        }
      }
      emulated::clear_faults(r.device());
      r.run(other);
    }
  }
  auto guard = other.handle.protect_blocks({});
  EXPECT_EQ(r.wrong_blocks(), 0u);
}

TEST_F(rule_11, a_device_call_that_fails_while_memory_is_freed_loses_none_of_it) {
  const stream t = r.device().create_stream();
  gate first;
  gate second;
  auto scope = other.handle.as_guest();
  {
    auto one = other.handle.managed_forward(s, one_by_one);
    auto two = other.handle.managed_forward(t, one_by_one);
    first.hold(s);
    second.hold(t);
    r.check(one.use(0), other, s);
    r.check(two.use(0), other, t);
  }
  // Freed memory waits for both streams, which takes an event that covers both.
  emulated::inject(r.device(), {.where = emulated::call::record_event, .after = 0, .code = errc::device_error});
  std::thread opener([&] {
    EXPECT_TRUE(eventually([&] { return other.handle.statistics().resident_bytes == 0; }));
    first.open();
    second.open();
  });
  scope.end();
  opener.join();
  s.synchronize();
  t.synchronize();
  EXPECT_TRUE(eventually([&] { return r.sched().statistics().used_bytes == 0; }))
      << r.sched().first_error().value_or("no error");
}

TEST_F(rule_11, a_lost_device_poisons_the_scheduler_with_a_clear_message) {
  emulated::inject(r.device(), {.where = emulated::call::copy_host_to_device, .after = 0, .code = errc::device_lost});
  const error e = caught([&] { r.run(other); });
  EXPECT_EQ(e.code(), errc::device_lost);
  EXPECT_NE(std::string(e.what()).find("device was lost"), std::string::npos) << e.what();
  EXPECT_EQ(caught([&] { (void)other.handle.managed_forward(s); }).code(), errc::device_lost);
  EXPECT_EQ(caught([&] { (void)other.handle.keep_resident(); }).code(), errc::device_lost);
  EXPECT_EQ(other.handle.try_reserve_for_resident().code(), errc::device_lost);
}

TEST_F(rule_11, eight_threads_count_up_in_blocks_that_come_and_go) {
  fickle_source counts(16, block_bytes);
  {
    rig small{{.vram_budget = 8 * block_bytes, .load_deadline = std::chrono::seconds(60)}};
    const runtime counted = small.sched().add_runtime("counted", counts.as_model());
    on_threads(8, [&](int t) {  // two blocks each: kernels of different streams don't write to the same one
      const stream on = small.device().create_stream();
      auto pass = counted.managed_forward(on, {.prefetch_blocks = 0});
      for (int i = 0; i < 20; ++i) {
        auto held = pass.use(static_cast<block_index>(t + 8 * (i % 2)));
        held.mark_dirty();
        auto* bytes = static_cast<std::byte*>(held.device_ptr());
        const emulated::access touched{bytes, block_bytes, true};
        emulated::launch(on,
                         [=] {
                           for (std::uint64_t k = 0; k < block_bytes; k += 1000)
                             bytes[k] = std::byte(static_cast<int>(bytes[k]) + 1);
                         },
                         {&touched, 1});
      }
      pass.end();
      on.synchronize();
    });
    EXPECT_GT(counted.statistics().victims_total(), 0u);
  }
  for (const auto& block : counts.bytes)
    for (std::uint64_t k = 0; k < block_bytes; k += 1000) ASSERT_EQ(static_cast<int>(block[k]), 10);
}

}  // namespace
}  // namespace pinrail::test
