// Everything in the core that threads share, in the way the residency layer uses it.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "core/bitset.hpp"
#include "core/budget.hpp"
#include "core/claim.hpp"
#include "core/page_map.hpp"
#include "core/reader_gate.hpp"
#include "core/reservation_table.hpp"
#include "core/runtime_blocks.hpp"
#include "core/selection.hpp"
#include "stalled/experiment.hpp"

namespace pinrail::test {

struct core_world {
  using A = hooked_atomics;
  static constexpr bool refusals_wait = false;
  static constexpr unsigned most_points_per_place = UINT32_MAX;
  static constexpr std::uint32_t runtimes = 2;
  static constexpr std::uint32_t arena_pages = 192;

  core_world();

  /// One page and two in turn; more than a word of candidate bits.
  [[nodiscard]] static std::vector<std::uint64_t> sizes() {
    std::vector<std::uint64_t> pages;
    for (std::uint64_t p = 0; p < 72; ++p) pages.push_back(1 + p % 2);
    return pages;
  }

  std::array<core::runtime_blocks<A>, runtimes> blocks{core::runtime_blocks<A>(sizes()),
                                                       core::runtime_blocks<A>(sizes())};
  core::reservation_table<A> table{2 * runtimes, 1000};  // of each runtime one entry to reserve, one to be a guest
  core::budget_word<A> budget{arena_pages, 0};
  core::page_map<A> map{arena_pages};
  core::reader_gate<A> gate;
  core::bitset<A> bits{64 * 64 + 64};      // three levels
  A::atomic<std::uint32_t> reclaiming{0};  // one grace period at a time

  /// What is wrong when every thread has finished what it began.
  [[nodiscard]] std::vector<std::string> faults();
};

/// One thread at one object: a block of one of the runtimes, and what else goes by the runtime's number.
struct core_actor {
  core_actor(unsigned thread_number, unsigned object_number, bool /*hurried*/ = false)
      : thread(thread_number), object(object_number) {}

  unsigned thread;
  unsigned object;
  std::uint32_t position = object == 0 ? 5 : 70;
  [[nodiscard]] core::block<core_world::A>& block(core_world& w) const { return w.blocks[object].at(position); }
  [[nodiscard]] const core::block<core_world::A>& block(const core_world& w) const {
    return w.blocks[object].at(position);
  }
  [[nodiscard]] core::runtime_blocks<core_world::A>& blocks(core_world& w) const { return w.blocks[object]; }
  [[nodiscard]] core::runtime_word<core_world::A>& rules(core_world& w) const { return w.table.rules(reserved()); }
  [[nodiscard]] const core::runtime_word<core_world::A>& rules(const core_world& w) const {
    return w.table.rules(reserved());
  }
  [[nodiscard]] std::uint32_t reserved() const { return 2 * object; }
  [[nodiscard]] std::uint32_t guest() const { return 2 * object + 1; }
  [[nodiscard]] std::uint32_t bit() const { return object == 0 ? 70 : 4100; }

  // What one part of an operation leaves for the next.
  bool did = false;
  bool held = false;
  core::ruling ruling{};
  core::page_run run{};
  std::uint32_t slot = 0;
  core::reader_gate<core_world::A>::token token{};
};

using core_operation = stalled_operation<core_world, core_actor>;
[[nodiscard]] const std::vector<core_operation>& core_operations();

}  // namespace pinrail::test
