// What the bytes of an input mean: how the scheduler is set up, and a list of calls on two threads.
//
// Every string of bytes is a program. Four bytes of setup come first, then three bytes for each call, so that an
// inserted or removed call leaves the others what they are.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace pinrail::fuzz {

// Inputs hold these as numbers: new ones go to the end.
// clang-format off
enum class action : std::uint8_t {
  open_pass, end_pass, use, use_and_write, end_use, walk, prefetch, slow_kernel,
  keep, end_keep, protect, end_protect,
  reserve, release, release_by_runtime, enter_guest, leave_guest, reserve_bytes, return_bytes, set_budget,
  add_runtime, remove_runtime, hand_over, synchronize, look,
  inject_fault, clear_faults, break_source, end_scheduler,
};
// clang-format on
inline constexpr std::size_t actions = static_cast<std::size_t>(action::end_scheduler) + 1;

struct call {
  action what = action::look;
  bool second = false;  ///< on the second thread
  std::uint8_t a = 0;   ///< mostly: on which model or handle
  std::uint8_t b = 0;   ///< mostly: how
};

struct program {
  static constexpr std::size_t setup_bytes = 4;
  static constexpr std::size_t most_calls = 96;

  bool in_turns = false;  ///< calls one after the other in their order, else each thread on its own
  bool watermarks = false;
  bool slow_copies = false;
  bool traced = false;
  std::uint64_t page_bytes = 256;
  std::uint64_t budget_pages = 1;
  std::uint64_t arena_pages = 1;
  std::chrono::microseconds deadline{0};
  std::uint8_t registered = 0;  ///< bit per model: registered at the start
  std::vector<call> calls;

  explicit program(std::span<const std::uint8_t> bytes);
};

inline program::program(std::span<const std::uint8_t> bytes) {
  std::array<std::uint8_t, setup_bytes> setup{};
  for (std::size_t i = 0; i < std::min(setup_bytes, bytes.size()); ++i) setup[i] = bytes[i];
  bytes = bytes.subspan(std::min(setup_bytes, bytes.size()));
  in_turns = setup[0] & 1;
  watermarks = setup[0] & 2;
  slow_copies = setup[0] & 4;
  traced = setup[0] & 8;
  page_bytes = setup[0] & 16 ? 4096 : 256;
  deadline = std::chrono::microseconds(setup[0] & 32 ? 5000 : setup[0] & 64 ? 0 : 1000);
  budget_pages = 1 + setup[1] % 32;
  arena_pages = budget_pages + setup[2] % 16;
  registered = setup[3];
  for (; bytes.size() >= 3 && calls.size() < most_calls; bytes = bytes.subspan(3)) {
    const std::size_t what = bytes[0] & 31;
    calls.push_back({.what = what < actions ? static_cast<action>(what) : action::look,
                     .second = (bytes[0] & 0x80) != 0,
                     .a = bytes[1],
                     .b = bytes[2]});
  }
}

}  // namespace pinrail::fuzz
