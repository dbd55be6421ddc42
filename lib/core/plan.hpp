// Paced plans: which blocks of a cyclic runtime stay, which stream, and through which slots.
//
// Evicting by next use moves the fewest bytes, but leaves the streamed blocks in one run: the copy engine idles while
// the others compute. A plan spreads the streamed blocks along compute time and gives each a slot, whose block before
// it in the cycle makes room for it. Copying and computing then overlap, a step takes about max(compute, streamed bytes
// / rate), and every block has one address from step to step.
//
// How it is found. Streamed blocks are picked by error diffusion: along the cycle, copy time is kept in proportion to
// compute time, with the proportion just high enough that what stays fits beside the slots. This is done for a few
// layouts (one to four slots; one ring of equal slots, or a ring for each size; all blocks, or those of one size; a
// gap where the cycle closes), and each is simulated: one copy engine, first come first served, one kernel after
// another. The shortest step wins, then the fewest bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace pinrail::core {

struct plan_input {
  std::span<const std::uint64_t> pages;  ///< by position
  std::span<const double> compute_ns;    ///< by position
  double copy_ns_per_page = 0;
  double copy_latency_ns = 0;  ///< of each copy
  std::uint64_t share_pages = 0;
};

struct plan {
  static constexpr std::uint32_t stays = UINT32_MAX;

  std::vector<std::uint32_t> slot;      ///< by position, or `stays`
  std::vector<std::uint32_t> before;    ///< by streamed position: the one that has its slot before it, cyclically
  std::vector<std::uint32_t> streamed;  ///< positions, in order
  std::vector<std::uint64_t> slot_pages;
  std::uint64_t share_pages = 0;     ///< that it was made for
  std::uint64_t streamed_pages = 0;  ///< per step
  double step_ns = 0;                ///< simulated, steady state
  double compute_ns = 0;
  double copy_ns = 0;  ///< of all streamed blocks

  [[nodiscard]] double bound_ns() const noexcept { return compute_ns > copy_ns ? compute_ns : copy_ns; }
};

/// Nothing if all blocks fit, if none would stay, or if evicting by next use takes less time. Linear in the number of
/// blocks for each of some dozens of layouts; allocates.
[[nodiscard]] std::optional<plan> make_plan(const plan_input& in);

/// The step time where blocks are evicted by next use and two are loaded ahead; by simulation. Quadratic.
[[nodiscard]] double simulated_next_use_step_ns(const plan_input& in);

/// The step time of a plan under other compute times or another copy rate than it was made for.
[[nodiscard]] double simulated_step_ns(const plan_input& in, const plan& p);

}  // namespace pinrail::core
