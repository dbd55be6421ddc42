// The command line.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace stress {

struct options {
  double seconds = 10;
  std::uint32_t threads = 8;
  std::uint32_t runtimes = 0;  ///< 0: 3 to 6, drawn for each round
  std::uint32_t devices = 0;   ///< 0: 1 or 2, drawn for each round
  std::uint32_t steps = 1500;
  std::uint64_t seed = 0;
  std::optional<std::uint64_t> only_round = std::nullopt;  ///< this round, again and again
  double hang_seconds = 60;
  std::filesystem::path json = {};
  bool quiet = false;
};

/// Nothing if the program is to end now, with `exit_code`.
[[nodiscard]] std::optional<options> read_command_line(int argc, char** argv, int& exit_code);

}  // namespace stress
