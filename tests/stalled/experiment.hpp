// One thread is suspended in the middle of an operation; others run every operation on the same objects, and must come
// to the end of all of them. Then it goes on, and everything must be as it should.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <ostream>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "support/stall.hpp"

namespace pinrail::test {

/// An operation that can't be done while a thread is suspended in another one, and why that is as it should be.
struct refusal {
  std::string_view name;
  const char* why;
  bool everywhere = false;  ///< on other objects too
  bool blocks = false;      ///< it waits without end: not tried
};

/// An operation on a world, in three parts on one thread; a thread is suspended in `act` only. `Actor` carries what one
/// part leaves for the next.
template <class World, class Actor>
struct stalled_operation {
  const char* name;
  std::function<void(World&, Actor&)> prepare;
  /// True if it did what it is for; false if it was refused.
  std::function<bool(World&, Actor&)> act;
  std::function<void(World&, Actor&)> finish;
  /// What is refused on the same object while a thread is suspended in this operation. All else must succeed.
  std::vector<refusal> refuses = {};
  /// Is there what it did? Asked when the suspended thread has gone on, and nobody else does anything.
  std::function<bool(const World&, const Actor&)> is_done = {};
  /// What others did meanwhile may be a reason to refuse it.
  bool may_be_refused = false;
  /// It is the library's own thread that is suspended, while `act` waits for it.
  bool on_copy_thread = false;

  friend void PrintTo(const stalled_operation& o, std::ostream* out) { *out << o.name; }
};

struct experiment_report {
  unsigned points = 0;
  std::uint64_t fewest_operations = UINT64_MAX;  ///< that others did while a thread was suspended at one point
  std::set<std::string_view> refused;            ///< on the suspended thread's object, at some point
  std::set<std::string> places;                  ///< where it was suspended
};

/// `World` is made anew for each point, and says by `faults()` what is wrong with it when all is over. Where
/// `World::refusals_wait` is true, who is refused has waited: then others try once only what can't be done.
/// `Actor` is made of a thread's number, an object's (0 the one that the suspended thread is at, 1 another one), and
/// whether it is not to wait for long.
template <class World, class Actor>
class stalled_experiment {
 public:
  using operation = stalled_operation<World, Actor>;
  static constexpr unsigned crowd = 3;
  static constexpr unsigned rounds = 2;
  static constexpr std::chrono::seconds deadline{20};

  explicit stalled_experiment(const std::vector<operation>& all) : all_(all) {}

  /// Suspends a thread at every point of the operation.
  experiment_report run(const operation& what) {
    experiment_report report;
    for (std::uint64_t point = 1; !testing::Test::HasFailure(); ++point) {
      World world;
      suspended_thread stopped(world, what, 0, point);
      const bool reached = stopped.await();
      if (reached) {
        const std::uint64_t done =
            everything_goes_on(world, stopped.text(), {&stopped}) + one_by_one(world, stopped, report.refused);
        ++report.points;
        report.fewest_operations = std::min(report.fewest_operations, done);
        report.places.insert(stopped.place());
      }
      stopped.go_on();
      if (reached) stopped.expect_done();
      expect_no_faults(world, stopped.text());
      if (!reached) break;
    }
    return report;
  }

  /// Suspends several threads at once, each at some point of some operation, and lets them go on in some order.
  void run_several(unsigned threads, std::mt19937_64& random, std::uint64_t most_points) {
    World world;
    std::vector<std::unique_ptr<suspended_thread>> stopped;
    std::string text;
    for (unsigned t = 0; t < threads; ++t) {
      const operation& what = all_[random() % all_.size()];
      stopped.push_back(std::make_unique<suspended_thread>(world, what, crowd + 1 + t, 1 + random() % most_points));
      if (stopped.back()->await()) text += (text.empty() ? "" : "; ") + stopped.back()->text();
    }
    std::vector<suspended_thread*> pointers;
    for (const auto& s : stopped) pointers.push_back(s.get());
    everything_goes_on(world, text, pointers);
    std::shuffle(pointers.begin(), pointers.end(), random);
    for (suspended_thread* s : pointers) s->go_on();
    expect_no_faults(world, text);
  }

 private:
  class suspended_thread {
   public:
    suspended_thread(World& world, const operation& what, unsigned number, std::uint64_t point)
        : world_(world),
          what_(what),
          point_(point),
          here_(point, World::most_points_per_place),
          self_(number, 0, false),
          thread_([this] { work(); }) {}
    ~suspended_thread() { go_on(); }
    suspended_thread(const suspended_thread&) = delete;
    suspended_thread& operator=(const suspended_thread&) = delete;

    /// False if the operation was over before the point.
    [[nodiscard]] bool await() { return here_.await(); }
    void resume() { here_.resume(); }
    void go_on() {
      resume();
      if (thread_.joinable()) thread_.join();
    }
    void expect_done() {
      EXPECT_TRUE(did_ || what_.may_be_refused) << text() << ": it was refused when it went on";
      EXPECT_TRUE(is_there_) << text() << ": what it did is lost";
    }

    [[nodiscard]] const operation& what() const { return what_; }
    [[nodiscard]] std::string place() {
      const std::source_location at = here_.where();
      const std::string_view file = at.file_name();
      return fmt::format("{}:{}", file.substr(file.rfind('/') + 1), at.line());
    }
    [[nodiscard]] std::string text() { return fmt::format("{} at its access {}, {}", what_.name, point_, place()); }

   private:
    void work() {
      what_.prepare(world_, self_);
      if (what_.on_copy_thread) {
        const hooked_copies armed(here_);
        did_ = what_.act(world_, self_);
      } else {
        const hooked armed(here_);
        did_ = what_.act(world_, self_);
      }
      here_.end();
      is_there_ = !what_.is_done || what_.is_done(world_, self_);
      what_.finish(world_, self_);
    }

    World& world_;
    const operation& what_;
    std::uint64_t point_;
    stall here_;
    Actor self_;
    bool did_ = false;
    bool is_there_ = false;
    std::thread thread_;
  };

  static bool perform(World& world, const operation& what, unsigned thread, unsigned object, bool hurried) {
    Actor self(thread, object, hurried);
    what.prepare(world, self);
    const bool did = what.act(world, self);
    what.finish(world, self);
    return did;
  }

  /// Several threads at once. If they don't come to an end the suspended ones are resumed, so that they do.
  std::uint64_t everything_goes_on(World& world, const std::string& place,
                                   const std::vector<suspended_thread*>& stopped) {
    std::mutex mutex;
    std::condition_variable changed;
    unsigned left = crowd;
    std::uint64_t done = 0;
    std::vector<const char*> doing(crowd, "");
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < crowd; ++t)
      threads.emplace_back([&, t] {
        std::uint64_t mine = 0;
        for (unsigned i = 0; i < 2 * rounds * all_.size(); ++i) {
          const operation& what = all_[(i / 2 + t * all_.size() / crowd) % all_.size()];
          if (World::refusals_wait && is_refused(stopped, what, i % 2) != nullptr) continue;
          {
            const std::lock_guard lock(mutex);
            doing[t] = what.name;
          }
          perform(world, what, t + 1, i % 2, false);
          ++mine;
        }
        const std::lock_guard lock(mutex);
        done += mine;
        --left;
        changed.notify_all();
      });
    {
      std::unique_lock lock(mutex);
      if (!changed.wait_for(lock, deadline, [&] { return left == 0; })) {
        ADD_FAILURE() << place << ": others can't go on: " << fmt::format("{}", fmt::join(doing, ", "));
        for (suspended_thread* s : stopped) s->resume();
      }
    }
    for (std::thread& t : threads) t.join();
    return done;
  }

  /// One thread, each operation once: there is no other thread that could be the reason for a refusal.
  std::uint64_t one_by_one(World& world, suspended_thread& stopped, std::set<std::string_view>& refused) {
    for (const operation& what : all_) {
      for (const unsigned object : {1u, 0u}) {
        const refusal* expected = is_refused({&stopped}, what, object);
        if (expected != nullptr && expected->blocks) {
          refused.insert(what.name);
          continue;
        }
        if (perform(world, what, 1, object, expected != nullptr)) continue;
        EXPECT_TRUE(expected) << stopped.text() << ": " << what.name << " is refused on "
                              << (object == 0 ? "the same object" : "another object");
        refused.insert(what.name);
      }
    }
    return 2 * all_.size();
  }

  /// Is this what can't be done while these are suspended?
  static const refusal* is_refused(const std::vector<suspended_thread*>& stopped, const operation& what,
                                   unsigned object) {
    for (const suspended_thread* s : stopped)
      for (const refusal& r : s->what().refuses)
        if (r.name == what.name && (r.everywhere || object == 0)) return &r;
    return nullptr;
  }

  static void expect_no_faults(World& world, const std::string& place) {
    for (const std::string& fault : world.faults()) ADD_FAILURE() << place << ": " << fault;
  }

  const std::vector<operation>& all_;
};

/// One line of the table, and the same as properties of the test.
template <class Operation>
void report(const Operation& what, const experiment_report& r) {
  std::string refused;
  for (const refusal& each : what.refuses) {
    EXPECT_TRUE(r.refused.contains(each.name)) << what.name << " was said to refuse " << each.name << ", and never did";
    refused += fmt::format("{}{} ({})", refused.empty() ? "" : ", ", each.name, each.why);
  }
  fmt::print("{:<20} {:>4} points at {:>3} places, at each others did {} operations{}{}\n", what.name, r.points,
             r.places.size(), r.fewest_operations, refused.empty() ? "" : "; refused meanwhile: ", refused);
  testing::Test::RecordProperty("points", std::to_string(r.points));
  testing::Test::RecordProperty("places", std::to_string(r.places.size()));
  testing::Test::RecordProperty("fewest_operations_of_others", std::to_string(r.fewest_operations));
  testing::Test::RecordProperty("refused_meanwhile", refused);
  EXPECT_GT(r.points, 0u);
}

/// The operation's name as GoogleTest wants it.
template <class Operation>
std::string name_of(const testing::TestParamInfo<Operation>& info) {
  std::string name = info.param.name;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}

}  // namespace pinrail::test
