#include "round.hpp"

#include <memory>
#include <thread>
#include <vector>

#include "aftermath.hpp"
#include "sentry.hpp"
#include "watcher.hpp"

namespace stress {
namespace {

constexpr std::uint64_t stage_manager = 2'000'000;  // who decides, for the dice

std::unique_ptr<stage> set_up(const options& o, std::uint64_t number, violations& found) {
  auto s = std::make_unique<stage>();
  s->seed = o.seed;
  s->round = number;
  dice d(o.seed, number, stage_manager, 0);
  const std::uint64_t devices = o.devices != 0 ? o.devices : d.between(1, 2);
  for (std::uint32_t i = 0; i < devices; ++i) {
    s->worlds.push_back(std::make_unique<world>(draw_world(o, number, i), found));
    s->lobbies.push_back(std::make_unique<lobby>());
  }
  return s;
}

/// Threads that make their steps, and stop when there is a violation.
void perform(const options& o, stage& s, const violations& found, watchdog& dog, const std::atomic<bool>& stop,
             run_figures& figures) {
  std::vector<std::unique_ptr<actor>> actors;
  for (std::uint32_t t = 0; t < o.threads; ++t) actors.push_back(std::make_unique<actor>(s, t, dog.of(t)));
  std::atomic<bool> ending{false};
  std::atomic<std::uint32_t> running{o.threads};
  std::vector<std::thread> threads;
  for (auto& a : actors)
    threads.emplace_back([&a = *a, &o, &ending, &running] {
      a.run(o.steps, ending);
      running.fetch_sub(1, std::memory_order_relaxed);
    });
  const std::uint64_t steps_before = figures.steps.load(std::memory_order_relaxed);
  while (running.load(std::memory_order_relaxed) != 0) {
    if (found.any() || stop.load(std::memory_order_relaxed)) ending.store(true, std::memory_order_relaxed);
    figures.steps.store(steps_before + s.steps_done.load(std::memory_order_relaxed), std::memory_order_relaxed);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  for (std::thread& t : threads) t.join();
  figures.steps.store(steps_before + s.steps_done.load(std::memory_order_relaxed), std::memory_order_relaxed);
  for (const auto& a : actors) figures.actions.add(a->counts());
}

}  // namespace

void run_round(const options& o, std::uint64_t number, violations& found, watchdog& dog, std::atomic<bool>& stop,
               run_figures& figures) {
  found.begin_round(number);
  auto s = set_up(o, number, found);
  std::vector<std::unique_ptr<watcher>> watchers;
  std::vector<std::unique_ptr<sentry>> sentries;
  for (auto& w : s->worlds) {
    watchers.push_back(std::make_unique<watcher>(*w));
    sentries.push_back(std::make_unique<sentry>(*w, o.seed, number));
  }
  perform(o, *s, found, dog, stop, figures);
  for (auto& x : sentries) x->finish();
  for (auto& w : watchers) {
    w->finish();
    figures.readings.fetch_add(w->readings(), std::memory_order_relaxed);
  }
  if (found.any()) {
    (void)s.release();
    return;
  }
  s->lobbies.clear();
  for (std::size_t i = 0; i < s->worlds.size(); ++i) {
    world& w = *s->worlds[i];
    try {
      check_aftermath(w, *watchers[i], dog.of_main(), dice(o.seed, number, stage_manager, 1 + i));
    } catch (const pinrail::error& e) {
      w.report(check::errors, e.what());
    }
    figures.library.add(w.counts());
  }
  figures.rounds.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace stress
