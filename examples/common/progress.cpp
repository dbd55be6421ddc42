#include "common/progress.hpp"

#include <fmt/color.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>

namespace examples {
namespace {

constexpr int width = 32;
constexpr auto redraw_period = std::chrono::milliseconds(100);
constexpr int periods_per_line = 30;

std::string filled(double fraction) {
  const int full = static_cast<int>(std::lround(std::clamp(fraction, 0.0, 1.0) * width));
  std::string text;
  for (int i = 0; i < width; ++i) text += i < full ? "█" : "░";
  return text;
}

}  // namespace

progress_display::progress_display(std::vector<bar> bars, bool quiet)
    : bars_(std::move(bars)), terminal_(isatty(STDERR_FILENO) != 0) {
  if (!quiet) thread_ = std::thread([this] { run(); });
}

void progress_display::finish() {
  if (!thread_.joinable()) return;
  ending_.store(true, std::memory_order_relaxed);
  thread_.join();
  if (terminal_) draw_bars();
}

void progress_display::run() {
  for (int period = 0; !ending_.load(std::memory_order_relaxed); ++period) {
    if (terminal_) draw_bars();
    if (!terminal_ && period % periods_per_line == periods_per_line - 1) print_line();
    std::this_thread::sleep_for(redraw_period);
  }
}

void progress_display::draw_bars() {
  std::string text;
  if (drawn_) text += fmt::format("\x1b[{}A", bars_.size());  // back up to the first bar
  for (const bar& b : bars_)
    text += fmt::format("\r\x1b[K{:<18} {} {:>4.0f} %  {}\n", b.name,
                        fmt::format(fmt::fg(fmt::terminal_color::cyan), "{}", filled(b.fraction())),
                        std::floor(100 * b.fraction()), b.note());
  fmt::print(stderr, "{}", text);
  std::fflush(stderr);
  drawn_ = true;
}

void progress_display::print_line() {
  std::string text;
  for (const bar& b : bars_)
    text += fmt::format("{}{} {:.0f} %", text.empty() ? "" : ", ", b.name, std::floor(100 * b.fraction()));
  fmt::print(stderr, "{}\n", text);
}

}  // namespace examples
