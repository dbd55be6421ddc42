#include "options.hpp"

#include <CLI/CLI.hpp>

#include <charconv>
#include <random>

namespace stress {
namespace {

constexpr const char* about =
    "Threads do everything that Pinrail's interface offers, at once, on emulated devices, while an oracle checks what\n"
    "must hold: every block has its bytes at the beginning and the end of each use; used and reserved bytes stay "
    "within\n"
    "the budget; what is protected, pinned or reserved stays; memory is given to one holder at a time; nothing "
    "written\n"
    "is lost; nothing leaks; errors are those that are documented; nothing hangs; the device's checker finds every\n"
    "access ordered.\n"
    "\n"
    "The run goes in rounds: devices, schedulers and runtimes are made as the seed says, each thread makes --steps\n"
    "steps, everything is ended and checked.\n"
    "\n"
    "Exit status: 0 no violation, 1 violations, 2 bad arguments or no memory, 3 a hang.";

constexpr const char* replay_help =
    "Repeat a run: what each thread decides in each step of each round follows from SEED, the round and the thread\n"
    "alone, and with :ROUND that round is repeated until the time is up. Not repeated: how the threads, real ones,\n"
    "interleave, and with it what calls answer and which of the things it holds a step finds. So a violation comes\n"
    "back when its window is wide, and may need many rounds when it is narrow";

/// "SEED" or "SEED:ROUND"
bool parse_replay(const std::string& text, options& o) {
  const char* const end = text.data() + text.size();
  const auto [colon, failed] = std::from_chars(text.data(), end, o.seed);
  if (failed != std::errc{}) return false;
  if (colon == end) return true;
  std::uint64_t round = 0;
  const auto [rest, bad_round] = std::from_chars(colon + 1, end, round);
  o.only_round = round;
  return *colon == ':' && bad_round == std::errc{} && rest == end;
}

}  // namespace

std::optional<options> read_command_line(int argc, char** argv, int& exit_code) {
  options o;
  o.seed = std::random_device{}();
  std::string replay;
  CLI::App app{about, "pinrail_stress"};
  app.add_option("--seconds", o.seconds, "How long; the round in progress is cut short")
      ->capture_default_str()
      ->check(CLI::Range(0.1, 1e6));
  app.add_option("--threads", o.threads, "Threads that use the library, in every round")
      ->capture_default_str()
      ->check(CLI::Range(1, 64));
  app.add_option("--runtimes", o.runtimes, "Runtimes on each device; 0: 3 to 6")
      ->capture_default_str()
      ->check(CLI::Range(0, 64));
  app.add_option("--devices", o.devices, "Devices at once; 0: 1 or 2")->capture_default_str()->check(CLI::Range(0, 8));
  app.add_option("--steps", o.steps, "Steps of each thread in a round")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000000));
  CLI::Option* seed = app.add_option("--seed", o.seed, "Of all decisions; drawn and printed if it is not given");
  app.add_option("--replay", replay, replay_help)->type_name("SEED[:ROUND]")->excludes(seed);
  app.add_option("--hang", o.hang_seconds, "Seconds beyond its deadline after which a call counts as hung")
      ->capture_default_str()
      ->check(CLI::Range(1.0, 1e6));
  app.add_option("--json", o.json, "Write the figures here");
  app.add_flag("--quiet", o.quiet, "No progress line");
  try {
    app.parse(argc, argv);
    if (!replay.empty() && !parse_replay(replay, o)) throw CLI::ValidationError("--replay", "SEED or SEED:ROUND");
  } catch (const CLI::ParseError& e) {
    exit_code = app.exit(e) == 0 ? 0 : 2;
    return std::nullopt;
  }
  return o;
}

}  // namespace stress
