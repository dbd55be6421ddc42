// Paced plans: what they promise, by the planner's own simulation; tests/residency runs them on a simulated device.
#include "core/plan.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <random>

#include "support/seed.hpp"

namespace pinrail::core {
namespace {

struct cycle {
  std::vector<std::uint64_t> pages;
  std::vector<double> compute_ns;

  [[nodiscard]] std::uint64_t footprint() const {
    return std::accumulate(pages.begin(), pages.end(), std::uint64_t{0});
  }
  [[nodiscard]] double compute() const { return std::accumulate(compute_ns.begin(), compute_ns.end(), 0.0); }
  /// `copy_per_compute`: copy time of the whole model over its compute time.
  [[nodiscard]] plan_input input(double share, double copy_per_compute) const {
    return {.pages = pages,
            .compute_ns = compute_ns,
            .copy_ns_per_page = copy_per_compute * compute() / static_cast<double>(footprint()),
            .share_pages = static_cast<std::uint64_t>(share * static_cast<double>(footprint()))};
  }
};

cycle uniform(std::size_t blocks) {
  return {std::vector<std::uint64_t>(blocks, 100), std::vector<double>(blocks, 1000.0)};
}

/// FLUX.1-dev in MB: 19 double blocks, then 38 single ones.
cycle flux() {
  cycle c;
  c.pages.assign(19, 680);
  c.pages.insert(c.pages.end(), 38, 283);
  for (const std::uint64_t p : c.pages) c.compute_ns.push_back(static_cast<double>(p));
  return c;
}

/// What every plan must satisfy.
void expect_sound(const plan_input& in, const plan& p) {
  std::uint64_t stays = 0;
  std::uint64_t streams = 0;
  for (std::size_t i = 0; i < in.pages.size(); ++i) {
    if (p.slot[i] == plan::stays) {
      stays += in.pages[i];
      continue;
    }
    streams += in.pages[i];
    ASSERT_LT(p.slot[i], p.slot_pages.size());
    EXPECT_LE(in.pages[i], p.slot_pages[p.slot[i]]) << "a block fits its slot";
    EXPECT_EQ(p.slot[p.before[i]], p.slot[i]) << "who makes room has the same slot";
  }
  const auto slots = std::accumulate(p.slot_pages.begin(), p.slot_pages.end(), std::uint64_t{0});
  EXPECT_LE(stays + slots, in.share_pages);
  EXPECT_EQ(streams, p.streamed_pages);
  EXPECT_GE(p.step_ns, p.bound_ns() * 0.999);
}

TEST(plan, what_fits_needs_none) { EXPECT_FALSE(make_plan(uniform(10).input(1.0, 1))); }

TEST(plan, less_than_a_slot_is_no_plan) {
  EXPECT_FALSE(make_plan(uniform(10).input(0.09, 1)));
  EXPECT_TRUE(make_plan(uniform(10).input(0.1, 1)));
}

TEST(plan, one_slot_where_copies_fit_beside_what_stays) {
  const cycle c = uniform(48);
  const plan_input in = c.input(0.75, 0.5);
  const auto p = make_plan(in);
  ASSERT_TRUE(p);
  EXPECT_EQ(p->slot_pages.size(), 1u);
  EXPECT_EQ(p->streamed_pages, in.pages.size() * 100 - in.share_pages + 100);
}

TEST(plan, uniform_blocks_take_no_longer_than_computing_or_copying) {
  for (const double share : {0.25, 0.5, 0.75}) {
    for (const double ratio : {0.25, 0.5, 1.0, 1.05, 1.25, 1.45, 1.5, 1.75, 1.85, 2.0, 3.0, 4.0}) {
      const cycle c = uniform(48);
      const plan_input in = c.input(share, ratio);
      const auto p = make_plan(in);
      ASSERT_TRUE(p);
      expect_sound(in, *p);
      EXPECT_LE(p->step_ns, 1.02 * p->bound_ns()) << share << " " << ratio;
      // One or two slots do, except where residents make a streamed block late and copies take 1.1 to 1.4 times a
      // block's compute: two would cost up to 10 % of the step there, and a third costs one block more.
      const bool third = share == 0.25 && ratio > 1.06 && ratio < 1.45;
      EXPECT_LE(p->streamed_pages, in.pages.size() * 100 - in.share_pages + (third ? 300 : 200))
          << share << " " << ratio;
    }
  }
}

TEST(plan, mixed_sizes_stay_near_the_bound) {
  for (const double share : {0.25, 0.5, 0.75, 0.9}) {
    for (const double ratio : {0.25, 0.5, 1.0, 1.5, 2.0, 4.0}) {
      const cycle c = flux();
      const plan_input in = c.input(share, ratio);
      const auto p = make_plan(in);
      ASSERT_TRUE(p);
      expect_sound(in, *p);
      EXPECT_LE(p->step_ns, 1.10 * p->bound_ns()) << share << " " << ratio;
    }
  }
}

TEST(plan, random_models_get_sound_plans) {
  std::mt19937_64 random(test::run_seed());
  for (int i = 0; i < 300; ++i) {
    cycle c;
    const std::size_t blocks = 4 + random() % 60;
    const std::size_t sizes = 1 + random() % 5;
    for (std::size_t b = 0; b < blocks; ++b) {
      c.pages.push_back(10 * (1 + random() % sizes));
      c.compute_ns.push_back(static_cast<double>(1 + random() % 1000));
    }
    const plan_input in =
        c.input(0.1 + 0.01 * static_cast<double>(random() % 90), 0.1 * static_cast<double>(1 + random() % 60));
    if (const auto p = make_plan(in)) expect_sound(in, *p);
  }
}

TEST(plan, streamed_blocks_are_spread_along_compute_time) {
  const cycle c = uniform(48);
  const auto p = make_plan(c.input(0.5, 2));
  ASSERT_TRUE(p);
  for (std::size_t i = 1; i < p->streamed.size(); ++i) EXPECT_LE(p->streamed[i] - p->streamed[i - 1], 2u);
}

// Slots that do not divide the streamed blocks meet where the cycle closes; the plan leaves a gap there.
TEST(plan, no_share_of_a_uniform_model_stalls_where_copying_is_much_shorter_or_longer) {
  const cycle c = uniform(48);
  for (const double copy_per_compute : {0.25, 0.5, 1.0, 1.75, 2.0, 4.0}) {
    for (int share = 6; share < 48; ++share) {
      const plan_input in = c.input((share + 0.01) / 48, copy_per_compute);
      const auto p = make_plan(in);
      const double streamed = p ? static_cast<double>(p->streamed.size()) : 48.0 - share + 2;
      EXPECT_LE(streamed, 48 - share + 2) << share << " blocks, copy/compute " << copy_per_compute;
      const double step_ns = p ? p->step_ns : simulated_next_use_step_ns(in);
      const double bound_ns = c.compute() * std::max(1.0, streamed / 48 * copy_per_compute);
      EXPECT_LE(step_ns, 1.02 * bound_ns) << share << " blocks, copy/compute " << copy_per_compute;
    }
  }
}

}  // namespace
}  // namespace pinrail::core
