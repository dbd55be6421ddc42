// What the exploration runs: scenarios, and mutants against them. Without Relacy, whose headers define macros.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace pinrail::explore {

struct search {
  enum class how : std::uint8_t { complete, preemptions, random };
  how kind = how::complete;
  unsigned limit = 0;  ///< preemptions, or schedules
};
inline constexpr search complete{};
constexpr search preemptions(unsigned most) { return {search::how::preemptions, most}; }
constexpr search random_schedules(unsigned many) { return {search::how::random, many}; }

struct outcome {
  bool holds = false;
  std::uint64_t schedules = 0;  ///< until the first that broke it, or all
  std::string found;            ///< what broke: "data race", say
  std::string report;           ///< Relacy's
};

struct scenario {
  std::string name;
  std::string invariant;
  search how;
  std::function<outcome()> run;
};

struct mutant_run {
  std::string mutant;
  std::string scenario;
  std::function<outcome()> run;
};

inline std::vector<scenario>& scenarios() {
  static std::vector<scenario> all;
  return all;
}
inline std::vector<mutant_run>& mutant_runs() {
  static std::vector<mutant_run> all;
  return all;
}

}  // namespace pinrail::explore
