#include "timeline_picture.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace examples {
namespace {

using pinrail::trace_event;
using pinrail::trace_kind;

constexpr double pixels = 1400;
constexpr double row_of_guards = 1.6;  // height, in blocks

struct colour {
  const char* name;
  unsigned rgb;
};
constexpr colour loading{"loading", 0xf2a541};
constexpr colour resident{"resident", 0xa9c6e8};
constexpr colour in_use{"in use", 0x1f5fa8};
constexpr std::array guards{colour{"keep_resident", 0x2a9d5c}, colour{"primary", 0x8e44ad}, colour{"secondary", 0xb07cc6},
                            colour{"guest", 0xd1495b}};

struct box {
  double from = 0;
  double to = 0;
  double row = 0;
  colour what = resident;
};
struct bracket {
  double from = 0;
  double to = 0;
  std::uint32_t runtime = 0;
  std::size_t kind = 0;
  std::size_t lane = 0;
};

/// Turns the trace's events into shapes. Time in seconds since the first event.
class shapes {
 public:
  explicit shapes(const pinrail::trace_recorder& trace) : runtimes_(trace.runtimes()) {
    const auto events = trace.events();
    if (events.empty()) return;
    start_ns_ = events.front().time_ns;
    end_ = seconds(events.back().time_ns);
    for (const trace_event& e : events) add(e);
    for (auto& [at, since] : open_) boxes_.push_back({since.first, end_, 0, since.second}), places_.push_back(at);
    for (auto& [id, b] : open_guards_) brackets_.push_back({b.from, end_, b.runtime, b.kind, 0});
    used_.push_back({end_, used_.empty() ? 0 : used_.back().second});
    assign_lanes();
    assign_rows();
  }

  std::vector<box> boxes_;
  std::vector<bracket> brackets_;
  std::vector<std::pair<double, double>> used_;    ///< time, GiB
  std::vector<std::pair<double, double>> budget_;
  std::vector<double> top_, lanes_;                ///< by runtime: first row, rows of brackets above
  double end_ = 0, rows_ = 0;

 private:
  using place = std::pair<std::uint32_t, pinrail::block_index>;

  [[nodiscard]] double seconds(std::uint64_t ns) const { return static_cast<double>(ns - start_ns_) * 1e-9; }

  void add(const trace_event& e) {
    const double t = seconds(e.time_ns);
    const place at{e.runtime, e.block};
    switch (e.kind) {
      case trace_kind::load_begin: change(at, t, &loading); break;
      case trace_kind::resident: change(at, t, &resident); break;
      case trace_kind::load_failed:
      case trace_kind::evicted: change(at, t, nullptr); break;
      case trace_kind::use_begin:
        if (uses_[at]++ == 0) change(at, t, &in_use);
        break;
      case trace_kind::use_end:
        if (--uses_[at] == 0) change(at, t, &resident);
        break;
      case trace_kind::guard_begin:
        for (std::size_t k = 0; k < guards.size(); ++k)
          if (std::string(guards[k].name) == e.text) open_guards_[e.id] = {t, 0, e.runtime, k, 0};
        break;
      case trace_kind::guard_end:
        if (const auto it = open_guards_.find(e.id); it != open_guards_.end()) {
          brackets_.push_back({it->second.from, t, it->second.runtime, it->second.kind, 0});
          open_guards_.erase(it);
        }
        break;
      case trace_kind::used_bytes: used_.push_back({t, static_cast<double>(e.size_bytes) / (1 << 30)}); break;
      case trace_kind::budget_bytes: budget_.push_back({t, static_cast<double>(e.size_bytes) / (1 << 30)}); break;
      default: break;
    }
  }

  /// What is shorter than a pixel is not drawn, except that a use leaves at least one.
  void change(const place& at, double t, const colour* to) {
    const double pixel = end_ / pixels;
    if (const auto it = open_.find(at); it != open_.end()) {
      const bool visible = t - it->second.first >= pixel / 2;
      const bool use = it->second.second.rgb == in_use.rgb;
      if (visible || use) {
        boxes_.push_back({it->second.first, std::max(t, it->second.first + (use ? pixel : 0)), 0, it->second.second});
        places_.push_back(at);
      }
      open_.erase(it);
    }
    if (to != nullptr) open_.insert({at, {t, *to}});
  }

  /// Overlapping guards of a runtime go above each other.
  void assign_lanes() {
    std::sort(brackets_.begin(), brackets_.end(), [](const bracket& a, const bracket& b) { return a.from < b.from; });
    lanes_.assign(runtimes_.size(), 0);
    std::vector<std::vector<double>> busy_until(runtimes_.size());
    for (bracket& b : brackets_) {
      auto& lanes = busy_until[b.runtime];
      b.lane = static_cast<std::size_t>(std::find_if(lanes.begin(), lanes.end(), [&](double t) { return t <= b.from; }) - lanes.begin());
      if (b.lane == lanes.size()) lanes.push_back(0);
      lanes[b.lane] = b.to;
      lanes_[b.runtime] = static_cast<double>(lanes.size());
    }
  }

  void assign_rows() {
    double row = 0;
    for (std::size_t r = 0; r < runtimes_.size(); ++r) {
      row += 2 + row_of_guards * lanes_[r];
      top_.push_back(row);
      row += static_cast<double>(runtimes_[r].blocks.size());
    }
    rows_ = row + 1;
    for (std::size_t i = 0; i < boxes_.size(); ++i) boxes_[i].row = top_[places_[i].first] + places_[i].second;
  }

  const std::vector<pinrail::trace_runtime>& runtimes_;
  std::uint64_t start_ns_ = 0;
  std::map<place, std::pair<double, colour>> open_;
  std::map<place, int> uses_;
  std::map<std::uint64_t, bracket> open_guards_;
  std::vector<place> places_;  ///< of boxes_
};

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '_') out += "\\\\";  // gnuplot's enhanced text takes it for a subscript
    out += c == '"' ? '\'' : c;
  }
  return out;
}

class gnuplot_writer {
 public:
  explicit gnuplot_writer(std::FILE* to) : to_(to) {}

  void blocks_panel(const shapes& s, const std::vector<pinrail::trace_runtime>& runtimes) {
    print("set lmargin 22\nset rmargin 4\nset multiplot\nset origin 0,0.27\nset size 1,0.73\nset bmargin 1\nset tmargin 3\n");
    print("set xrange [0:{}]\nset yrange [{}:0]\nunset ytics\nset format x ''\nset border 1\n", s.end_, s.rows_);
    print("set key outside top center horizontal samplen 2\n");
    for (std::size_t r = 0; r < runtimes.size(); ++r) {
      const auto blocks = static_cast<double>(runtimes[r].blocks.size());
      print("set label \"{}\\n{} blocks\" at graph -0.01,first {} right\n", escaped(runtimes[r].name), blocks, s.top_[r] + blocks / 2);
    }
    print("plot '-' using 1:2:3:4:5:6:7 with boxxyerrorbars fs solid noborder fc rgb variable notitle");
    for (std::size_t k = 0; k < guards.size(); ++k) print(", '-' with lines lw 2 lc rgb {} notitle", guards[k].rgb);
    for (const colour& c : {loading, resident, in_use}) print(", keyentry with boxes fs solid fc rgb {} title \"{}\"", c.rgb, c.name);
    for (const colour& c : guards) print(", keyentry with lines lw 2 lc rgb {} title \"{}\"", c.rgb, escaped(c.name));
    print("\n");
    for (const box& b : s.boxes_)
      print("{} {} {} {} {} {} {}\n", b.from, b.row, b.from, b.to, b.row + 0.05, b.row + 0.95, b.what.rgb);
    print("e\n");
    for (std::size_t k = 0; k < guards.size(); ++k) draw_brackets(s, k);
  }

  void memory_panel(const shapes& s) {
    const double budget = s.budget_.empty() ? 0 : s.budget_.front().second;
    print("unset label\nset origin 0,0\nset size 1,0.27\nset tmargin 1\nset bmargin 3\nset format x '%g'\nset xlabel 'seconds'\n");
    print("set ytics\nset border 3\nset ylabel 'GiB in use'\nset yrange [0:{}]\nset key inside bottom right\n", budget * 1.12 + 1e-9);
    print("plot '-' with fillsteps fs solid 0.35 noborder lc rgb 0x6c8ebf title 'used', '-' with steps lw 2 dt 2 lc rgb 0xc0392b title 'budget'\n");
    double last = -1;
    for (const auto& [t, gib] : s.used_) {
      if (t - last < s.end_ / (2 * pixels) && t < s.end_) continue;
      print("{} {}\n", t, gib);
      last = t;
    }
    print("e\n");
    for (const auto& [t, gib] : s.budget_) print("{} {}\n", t, gib);
    print("{} {}\ne\nunset multiplot\n", s.end_, s.budget_.empty() ? 0 : s.budget_.back().second);
  }

  template <class... Args>
  void print(fmt::format_string<Args...> format, Args&&... args) {
    fmt::print(to_, format, std::forward<Args>(args)...);
  }

 private:
  void draw_brackets(const shapes& s, std::size_t kind) {
    for (const bracket& b : s.brackets_) {
      if (b.kind != kind) continue;
      const double y = s.top_[b.runtime] - 0.6 - row_of_guards * static_cast<double>(b.lane + 1) + row_of_guards / 2;
      print("{} {}\n{} {}\n{} {}\n{} {}\n\n", b.from, y + 0.9, b.from, y, b.to, y, b.to, y + 0.9);
    }
    print("0 -100\ne\n");  // never empty: gnuplot refuses that
  }

  std::FILE* to_;
};

}  // namespace

void draw_timeline(const pinrail::trace_recorder& trace, const std::filesystem::path& svg) {
  const shapes s(trace);
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(popen("gnuplot 2>/dev/null", "w"), &pclose);
  if (pipe == nullptr) throw std::runtime_error("the picture needs gnuplot (Debian: gnuplot-nox), which could not be started");
  gnuplot_writer out(pipe.get());
  out.print("set terminal svg size {},{} dynamic font 'sans,13' background '#ffffff'\nset output '{}'\n", pixels + 260,
            320 + 4 * s.rows_, svg.string());
  out.blocks_panel(s, trace.runtimes());
  out.memory_panel(s);
  if (std::ferror(pipe.get()) != 0 || pclose(const_cast<std::unique_ptr<std::FILE, int (*)(std::FILE*)>&>(pipe).release()) != 0)
    throw std::runtime_error("the picture needs gnuplot (Debian: gnuplot-nox), which is missing or failed");
}

}  // namespace examples
