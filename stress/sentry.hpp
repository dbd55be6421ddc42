// A thread that guards one runtime after another, and does nothing but look at its blocks: what an eviction or a move
// hides for an instant shows only to who looks all the time.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

#include "world.hpp"

namespace stress {

class sentry {
 public:
  sentry(world& w, std::uint64_t seed, std::uint64_t round);
  sentry(const sentry&) = delete;
  sentry& operator=(const sentry&) = delete;
  ~sentry() { finish(); }

  /// Ends the guard, too.
  void finish();

 private:
  void run();
  void guard_one(dice d);

  world& world_;
  std::uint64_t seed_;
  std::uint64_t round_;
  std::atomic<bool> ending_{false};
  std::thread thread_;
};

}  // namespace stress
