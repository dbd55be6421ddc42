// Records histories in rounds and checks each.
//
// In a round some threads call the same object at once, a few times each; then all meet, the object is looked at, and
// the history is checked from the state in which the round before ended. Every eighth round is as long as the checker
// takes, like several rounds without the meetings. Between calls a thread now and then yields or spins, and so it does
// inside of them where the object is made of hooked atomics.
//
// A seed gives the calls again, and the noise; not the processors' interleaving.
//
// A subject is an object with what is needed to call it:
//   struct subject {
//     using spec = ...;                                            see support/linearizability.hpp
//     explicit subject(std::uint64_t seed);                        a new object
//     spec::state initial() const;
//     spec::operation pick(unsigned thread, std::mt19937_64&);     what the thread does next
//     void perform(unsigned thread, spec::operation&);             does it, and notes how it ended
//     std::vector<spec::operation> looks() const;                  calls that together read the whole state
//   };
#pragma once

#include <gtest/gtest.h>

#include <barrier>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "support/linearizability.hpp"
#include "support/perturbation.hpp"
#include "support/seed.hpp"

namespace pinrail::test {

struct round_plan {
  unsigned threads = 3;
  unsigned rounds = 6000;
  unsigned rounds_per_object = 16;
  unsigned fewest_calls = 3;  ///< of one thread in a round
  unsigned most_calls = 6;
};

struct round_report {
  unsigned rounds = 0;
  std::uint64_t calls = 0;
  std::uint64_t overlapping = 0;     ///< of these, beside a call of another thread
  std::uint64_t configurations = 0;  ///< that the checker came by
  std::optional<std::string> rejected;
};

template <class Subject>
class round_runner {
 public:
  using operation = typename Subject::spec::operation;
  using state = typename Subject::spec::state;

  round_runner(const round_plan& plan, std::uint64_t seed) : plan_(plan), seed_(seed), meeting_(plan.threads + 1) {}

  /// Stops at the first history that nothing explains.
  round_report run() {
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < plan_.threads; ++t) threads.emplace_back([this, t] { work(t); });
    round_report report;
    std::vector<state> now;  // what the object's state may be
    while (report.rounds < plan_.rounds && !report.rejected) {
      if (report.rounds % plan_.rounds_per_object == 0) {
        subject_ = std::make_unique<Subject>(seed_ + report.rounds);
        now = {subject_->initial()};
      }
      const auto calls = record(report.rounds++);
      now = checker_.explain(now, calls);
      report.configurations += checker_.configurations();
      count(calls, report);
      if (now.empty()) report.rejected = fmt::format("round {}, seed {}:\n{}", report.rounds, seed_, checker_.text());
    }
    over_ = true;
    meeting_.arrive_and_wait();
    for (std::thread& t : threads) t.join();
    return report;
  }

 private:
  history<operation> record(unsigned round) {
    const auto looks = subject_->looks();
    round_ = round;
    calls_ = round % 8 == 7 ? static_cast<unsigned>(
                                  (linearizability<typename Subject::spec>::most_calls - looks.size()) / plan_.threads)
                            : plan_.fewest_calls + round % (plan_.most_calls - plan_.fewest_calls + 1);
    recorded_.assign(plan_.threads + 1, {});
    meeting_.arrive_and_wait();
    meeting_.arrive_and_wait();
    for (const operation& look : looks) call(plan_.threads, look);
    history<operation> all;
    for (const auto& part : recorded_) all.insert(all.end(), part.begin(), part.end());
    return all;
  }

  void work(unsigned thread) {
    for (;;) {
      meeting_.arrive_and_wait();
      if (over_) return;
      std::mt19937_64 random((seed_ + round_) * 1000003 + thread);
      perturbation noise(random());
      const hooked inside(noise);
      for (unsigned i = 0; i < calls_; ++i) {
        noise.pause();
        call(thread, subject_->pick(thread, random));
      }
      meeting_.arrive_and_wait();
    }
  }

  void call(unsigned thread, operation what) {
    recorded_call<operation> made{thread, clock_.next(), 0, what};
    subject_->perform(thread, made.operation);
    made.end = clock_.next();
    recorded_[thread].push_back(made);
  }

  static void count(const history<operation>& calls, round_report& report) {
    report.calls += calls.size();
    for (const auto& a : calls)
      report.overlapping += std::any_of(calls.begin(), calls.end(), [&](const auto& b) {
        return a.thread != b.thread && a.begin < b.end && b.begin < a.end;
      });
  }

  round_plan plan_;
  std::uint64_t seed_;
  std::barrier<> meeting_;
  linearizability<typename Subject::spec> checker_{typename Subject::spec{}};
  stamps clock_;
  // Changed by the main thread between meetings.
  std::unique_ptr<Subject> subject_;
  unsigned round_ = 0;
  unsigned calls_ = 0;
  bool over_ = false;
  std::vector<history<operation>> recorded_;  // by thread
};

/// The object is linearizable, as far as the rounds show.
template <class Subject>
void expect_linearizable(const round_plan& plan = {}) {
  const round_report r = round_runner<Subject>(plan, run_seed()).run();
  fmt::print("{} threads, {} rounds, {} calls, {} % beside another, {} configurations: {}\n", plan.threads, r.rounds,
             r.calls, 100 * r.overlapping / r.calls, r.configurations, r.rejected ? "REJECTED" : "linearizable");
  testing::Test::RecordProperty("threads", std::to_string(plan.threads));
  testing::Test::RecordProperty("rounds", std::to_string(r.rounds));
  testing::Test::RecordProperty("calls", std::to_string(r.calls));
  testing::Test::RecordProperty("overlapping_calls", std::to_string(r.overlapping));
  testing::Test::RecordProperty("configurations", std::to_string(r.configurations));
  EXPECT_FALSE(r.rejected) << *r.rejected;
  EXPECT_TRUE(r.overlapping > 0 || plan.threads == 1) << "the calls did not overlap";
}

/// A flaw in the object, or around it, is found within so many rounds.
template <class Subject>
void expect_rejected(const round_plan& plan = {}) {
  const round_report r = round_runner<Subject>(plan, run_seed()).run();
  fmt::print("{} threads: {}\n", plan.threads,
             r.rejected ? fmt::format("rejected after {} rounds, {} calls", r.rounds, r.calls) : "NOT FOUND");
  testing::Test::RecordProperty("rejected_after_rounds", r.rejected ? std::to_string(r.rounds) : "never");
  EXPECT_TRUE(r.rejected) << "the flaw was not found in " << r.rounds << " rounds";
}

}  // namespace pinrail::test
