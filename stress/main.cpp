// pinrail_stress: threads do everything at once, and an oracle checks what must hold.
#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "activity.hpp"
#include "common/progress.hpp"
#include "options.hpp"
#include "report.hpp"
#include "round.hpp"
#include "violations.hpp"

namespace stress {
namespace {

/// Nothing is destroyed: after a violation or a hang, threads may be anywhere.
[[noreturn]] void leave_at_once(int exit_code) {
  std::fflush(nullptr);
  std::_Exit(exit_code);
}

/// Sets `stop` when the time is up.
class timer {
 public:
  timer(double seconds, std::atomic<bool>& stop) : thread_([this, seconds, &stop] { run(seconds, stop); }) {}
  ~timer() {
    ending_.store(true, std::memory_order_relaxed);
    thread_.join();
  }

 private:
  void run(double seconds, std::atomic<bool>& stop) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    while (!ending_.load(std::memory_order_relaxed) && std::chrono::steady_clock::now() < end)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    stop.store(true, std::memory_order_relaxed);
  }

  std::atomic<bool> ending_{false};
  std::thread thread_;
};

void write_json(const std::filesystem::path& file, const nlohmann::json& content) {
  if (file.empty()) return;
  std::ofstream out(file);
  out << content.dump(2) << "\n";
  if (!out.flush()) throw std::runtime_error(fmt::format("{} can't be written", file.string()));
}

int run(const options& o) {
  fmt::print("seed {}\n", o.seed);
  std::fflush(stdout);
  violations found;
  run_figures figures;
  watchdog dog(o.threads, static_cast<std::uint64_t>(1e9 * o.hang_seconds), [&](const std::string& text) {
    fmt::print(stderr, "\nhang: {}seed {}\n", text, o.seed);
    leave_at_once(found.any() ? 1 : 3);
  });
  std::atomic<bool> stop{false};
  const timer until(o.seconds, stop);
  {
    examples::progress_display bar({{"stress", [&] { return found.elapsed_s() / o.seconds; },
                                     [&] {
                                       return fmt::format("{:.0f} s, round {}, {} steps, violations {}",
                                                          found.elapsed_s(), figures.rounds.load(),
                                                          figures.steps.load(), found.count());
                                     }}},
                                   o.quiet);
    for (std::uint64_t i = 0; !stop.load(std::memory_order_relaxed) && !found.any(); ++i)
      run_round(o, o.only_round.value_or(i), found, dog, stop, figures);
  }
  const run_report report{o, figures, found, found.elapsed_s()};
  fmt::print("{}", text_of(report));
  write_json(o.json, json_of(report));
  if (found.any()) leave_at_once(1);
  return 0;
}

}  // namespace
}  // namespace stress

int main(int argc, char** argv) {
  int exit_code = 0;
  const auto asked = stress::read_command_line(argc, argv, exit_code);
  if (!asked) return exit_code;
  try {
    return stress::run(*asked);
  } catch (const std::exception& e) {
    fmt::print(stderr, "pinrail_stress: {}\n", e.what());
    stress::leave_at_once(2);
  }
}
