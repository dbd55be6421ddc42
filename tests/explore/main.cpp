// explore [name part]: runs the scenarios whose names contain it, and prints how many schedules each took.
#include <cstring>

#include "explore/explore.hpp"

int main(int argc, char** argv) {
  int run = 0;
  int failed = 0;
  for (const auto& s : pinrail::explore::scenarios()) {
    if (argc > 1 && std::strstr(s.name, argv[1]) == nullptr) continue;
    unsigned long schedules = 0;
    const bool holds = s.run(schedules);
    std::printf("%-6s %-40s %9lu schedules%s: %s\n", holds ? "holds" : "BROKEN", s.name, schedules,
                s.preemptions == 0 ? "" : (" (" + std::to_string(s.preemptions) + " preemptions)").c_str(), s.invariant);
    std::fflush(stdout);
    ++run;
    failed += !holds;
  }
  std::printf("%d scenarios, %d broken\n", run, failed);
  return run == 0 || failed != 0;
}
