// Nothing on the hot paths of the core allocates.
#include "support/allocation_counter.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <vector>

#include "core/budget.hpp"
#include "core/claim.hpp"
#include "core/page_map.hpp"
#include "core/reader_gate.hpp"
#include "core/reservation_table.hpp"
#include "core/selection.hpp"

namespace pinrail::test {
namespace {

using A = core::native_atomics;

/// Allocations of many calls.
std::size_t allocations_of(const std::function<void()>& call) {
  const std::size_t before = allocations_so_far();
  for (int i = 0; i < 100; ++i) call();
  return allocations_so_far() - before;
}

/// A runtime with all blocks resident, in three sizes.
std::unique_ptr<core::runtime_blocks<A>> resident_blocks(std::uint32_t size) {
  std::vector<std::uint64_t> pages(size);
  for (std::uint32_t p = 0; p < size; ++p) pages[p] = 1 + p % 3;
  auto blocks = std::make_unique<core::runtime_blocks<A>>(pages);
  for (std::uint32_t p = 0; p < size; ++p) {
    (void)blocks->at(p).word.begin_load();
    blocks->at(p).word.publish();
    blocks->offer(p);
  }
  return blocks;
}

TEST(allocation, is_counted) {
  std::unique_ptr<int> number;
  std::unique_ptr<core::block<A>> aligned;
  EXPECT_EQ(allocations_of([&] { number = std::make_unique<int>(1); }), 100u);
  EXPECT_EQ(allocations_of([&] { aligned = std::make_unique<core::block<A>>(); }), 100u);
}

TEST(allocation, none_to_pin_protect_guard_and_note_a_use) {
  const auto blocks = resident_blocks(1);
  auto& block = blocks->at(0);
  core::runtime_word<A> rules;
  std::uint64_t sequence = 0;
  const auto call = [&] {
    core::block_bits seen;
    (void)block.word.pin();
    (void)block.uses.note({1, ++sequence}, [](core::ticket) { return false; });
    block.word.unpin();
    (void)block.word.protect(seen);
    blocks->withdraw(0);
    block.word.unprotect();
    blocks->offer(0);
    (void)rules.guard();
    (void)block.word.seen_resident();
    rules.unguard();
  };
  EXPECT_EQ(allocations_of(call), 0u);
}

TEST(allocation, none_to_choose_and_evict_a_victim_and_to_load_it_again) {
  const auto blocks = resident_blocks(5000);
  const core::runtime_word<A> rules;
  core::reader_gate<A> gate;
  core::page_map<A> pages(1000);
  core::budget_word<A> budget(1000, 0);
  const auto call = [&] {
    const auto inside = gate.enter(1);
    core::selection<A> chosen;
    chosen.consider(0, *blocks);
    gate.leave(inside);
    auto& block = blocks->at(chosen.best()->position);
    core::page_run freed;
    (void)core::evict(block.word, rules, core::requester::other, [&] { freed = block.run(); });
    blocks->withdraw(chosen.best()->position);
    (void)block.word.begin_load();
    (void)budget.take(4);
    const core::page_run run = pages.take_best(4);
    block.set_run(run);
    block.word.publish();
    blocks->offer(chosen.best()->position);
    pages.give(run);
    (void)budget.exchange({.used = -4, .set_aside = 4});
    (void)budget.exchange({.set_aside = -4});
  };
  EXPECT_EQ(allocations_of(call), 0u);
}

TEST(allocation, none_to_choose_for_any_kind_of_pass) {
  using enum core::heading;
  const auto blocks = resident_blocks(1000);
  const core::list_order list({1, 2, 3, 2, 1}, 1000);
  for (const auto kind : {core::pass_kind::ordered, core::pass_kind::listed, core::pass_kind::data_dependent}) {
    const auto call = [&] {
      auto& passes = blocks->live_passes();
      core::pass_cursor cursor{
          .done = 2, .now = forward, .next = reverse, .kind = kind, .live = true, .waiting = false, .window = 2};
      const auto slot = passes.open(cursor, &list, 100);
      ++cursor.done;
      passes.advance(slot, cursor);
      core::selection<A> best, every;
      best.consider(0, *blocks);
      every.consider_all(0, *blocks);
      passes.close(slot);
    };
    EXPECT_EQ(allocations_of(call), 0u);
  }
}

TEST(allocation, none_to_reserve_release_and_admit) {
  core::reservation_table<A> table(2, 100);
  const auto call = [&] {
    const auto r = table.reserve(0, core::holder::primary, 10, 50);
    (void)table.enter_guest(1, 10, 60);
    (void)table.enter_guest(1, 10, 60);
    (void)table.reserve(0, core::holder::secondary, 90, 90);
    (void)table.release(0, r.now.epoch);
    (void)table.release(0);
    (void)table.leave_guest(1);
    (void)table.leave_guest(1);
  };
  EXPECT_EQ(allocations_of(call), 0u);
}

}  // namespace
}  // namespace pinrail::test
