// A thread of the stress: in each step it does one thing, chosen by (seed, round, thread, step).
//
// The things it can do are grouped by file: actor_passes.cpp (passes, uses, writes), actor_guards.cpp (protection),
// actor_grants.cpp (reservations, guests, bytes, the budget), actor_runtimes.cpp (runtimes come and go),
// actor_scenes.cpp (exceptions, finish orders, hand-over, misuse).
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "activity.hpp"
#include "holdings.hpp"
#include "world.hpp"

namespace stress {

/// What the actors of a round share.
struct stage {
  std::uint64_t seed = 0;
  std::uint64_t round = 0;
  std::vector<std::unique_ptr<world>> worlds;
  std::vector<std::unique_ptr<lobby>> lobbies;  ///< one for each world
  std::atomic<std::uint64_t> steps_done{0};
};

class actor {
 public:
  actor(stage& s, std::uint32_t thread, activity& mine);

  /// Makes `steps` steps, or fewer once `stop` is set, and ends everything that it holds.
  void run(std::uint64_t steps, const std::atomic<bool>& stop);
  [[nodiscard]] const tally& counts() const noexcept { return tally_; }

 private:
  struct action {
    unsigned weight;
    void (actor::*act)();
  };
  struct hand {
    std::vector<holding> held;
  };
  static const action actions[];

  void step(std::uint64_t number);
  void let_go_of_wanted();
  void end_everything();

  // ---- passes
  void walk();
  void write_block();
  void start_pass();
  void end_use();
  void end_pass();
  void prefetch();
  [[nodiscard]] open_pass* a_pass();
  [[nodiscard]] std::unique_ptr<open_pass> begin_pass(runtime_slot& slot, std::uint32_t stream);
  [[nodiscard]] std::unique_ptr<held_use> begin_use(open_pass& p, pinrail::block_index block, bool write);
  void begin_write(open_pass& p, held_use& held);
  void give_way(const runtime_slot& slot);
  void keep_or_end(open_pass& p, std::unique_ptr<held_use> held);
  void await_readers(const block_access& access);

  // ---- guards
  void keep();
  void protect();
  void end_protection();
  void look();
  [[nodiscard]] std::unique_ptr<protection> begin_keep(runtime_slot& slot, bool load);

  // ---- grants
  void reserve();
  void release();
  void enter_guest();
  void leave_guest();
  void take_bytes();
  void give_bytes();
  void change_budget();
  void read_figures();

  // ---- runtimes
  void replace_runtime();
  void bring_back_runtime();
  [[nodiscard]] bool remove_runtime(runtime_slot& slot);
  void add_runtime(runtime_slot& slot);

  // ---- scenes
  void delay();
  void catch_up();
  void unwind();
  void reversed_finish();
  void brief_stream();
  void leave_something();
  void take_something();
  void misuse();

  // ---- tools
  /// A runtime that is registered, as far as is known. `preferred` is taken in most cases.
  [[nodiscard]] runtime_slot& a_slot(std::optional<std::uint32_t> preferred = std::nullopt);
  [[nodiscard]] bool greedy() { return dice_.chance(2); }
  /// One of the held things of a type; null if there is none.
  template <class T>
  [[nodiscard]] T* one_held();
  template <class T>
  [[nodiscard]] std::size_t count_held() const;
  template <class T>
  [[nodiscard]] std::unique_ptr<T> take_out();
  template <class T>
  void hold(std::unique_ptr<T> what) {
    if (what != nullptr) hand_->held.emplace_back(std::move(what));
  }
  /// Calls what may be refused: one of two forms, of which the second returns a result. Nothing if it was refused.
  template <class Throwing, class Trying>
  auto attempt(operation what, std::uint64_t deadline_ns, std::uint32_t slot, std::uint32_t block, Throwing&& throwing,
               Trying&& trying) -> std::optional<decltype(throwing())>;
  void refused(operation what, const pinrail::failure& why, const char* text);
  /// Also: no one is told that time is up before it is.
  void refused(operation what, const pinrail::failure& why, const char* text, const doing& now);
  void done(operation what) { ++tally_.of(what).done; }
  [[nodiscard]] std::string name_of_this_step() const;

  stage& stage_;
  std::uint32_t thread_;
  activity& mine_;
  tally tally_;
  std::vector<hand> hands_;  ///< one for each world
  // Of the step in progress.
  std::uint64_t step_ = 0;
  dice dice_{0, 0, 0, 0};
  world* world_ = nullptr;
  hand* hand_ = nullptr;
};

}  // namespace stress

#include "actor_tools.hpp"
