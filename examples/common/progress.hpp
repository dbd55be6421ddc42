// Progress on the terminal: one bar per line, redrawn in place; on anything but a terminal, a line now and then.
//
// Debian has no C++ library for progress bars (docs/design.md lists what was looked at), so this is our own, on fmt.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace examples {

struct bar {
  std::string name;
  std::function<double()> fraction;   ///< 0 to 1
  std::function<std::string()> note;  ///< behind the bar
};

/// Draws from its construction to `finish`, on stderr, from a thread of its own.
class progress_display {
 public:
  progress_display(std::vector<bar> bars, bool quiet);
  ~progress_display() { finish(); }
  void finish();

 private:
  void run();
  void draw_bars();
  void print_line();

  std::vector<bar> bars_;
  bool terminal_;
  bool drawn_ = false;
  std::atomic<bool> ending_{false};
  std::thread thread_;
};

}  // namespace examples
