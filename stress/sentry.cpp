#include "sentry.hpp"

#include <chrono>
#include <numeric>
#include <vector>

#include "sightings.hpp"

namespace stress {
namespace {

constexpr std::uint64_t who = 3'000'000;  // for the dice
constexpr int looks = 1500;
constexpr auto between_guards = std::chrono::milliseconds(1);

}  // namespace

sentry::sentry(world& w, std::uint64_t seed, std::uint64_t round)
    : world_(w), seed_(seed), round_(round), thread_([this] { run(); }) {}

void sentry::finish() {
  ending_.store(true, std::memory_order_relaxed);
  if (thread_.joinable()) thread_.join();
}

void sentry::run() {
  for (std::uint64_t i = 0; !ending_.load(std::memory_order_relaxed); ++i) {
    guard_one(dice(seed_, round_, who + world_.plan().device, i));
    std::this_thread::sleep_for(between_guards);
  }
}

void sentry::guard_one(dice d) {
  runtime_slot& slot = world_.slot(static_cast<std::uint32_t>(d.below(world_.slot_count())));
  const pinrail::runtime r = slot.handle();
  if (r.state() == nullptr || slot.is_wanted_out()) return;
  std::vector<pinrail::block_index> blocks(slot.block_count());
  std::iota(blocks.begin(), blocks.end(), 0u);
  const auto guard = r.try_keep_resident();
  if (!guard) return;  // it is being removed
  guarded_sightings seen;
  for (int i = 0; i < looks; ++i) seen.look(world_, r, blocks, "keep_resident by the sentry");
}

}  // namespace stress
