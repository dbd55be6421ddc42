#include "timeline_picture.hpp"

#include <fmt/format.h>

#include <string>
#include <vector>

#include "common/gnuplot.hpp"
#include "timeline_shapes.hpp"

namespace examples {
namespace {

constexpr double pixels = 1400;
constexpr double row_of_guards = 1.6;  // height, in blocks

/// gnuplot's enhanced text takes an underscore for a subscript.
std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '_') out += "\\\\";
    out += c == '"' ? '\'' : c;
  }
  return out;
}

class picture {
 public:
  picture(const std::filesystem::path& svg, const timeline_shapes& shapes,
          const std::vector<pinrail::trace_runtime>& runtimes)
      : out_(svg), shapes_(shapes), runtimes_(runtimes) {
    for (std::size_t r = 0; r < runtimes.size(); ++r) {
      rows_ += 2 + row_of_guards * static_cast<double>(shapes.lanes[r]);
      top_.push_back(rows_);
      rows_ += static_cast<double>(runtimes[r].blocks.size());
    }
    rows_ += 1;
  }

  void draw(const std::filesystem::path& svg) {
    out_.print("set terminal svg size {},{} dynamic font 'sans,13' background '#ffffff'\nset output '{}'\n",
               pixels + 260, 320 + 4 * rows_, svg.string());
    write_data();
    draw_blocks();
    draw_memory();
    out_.run();
  }

 private:
  void write_data() {
    out_.print("$blocks << E\n");
    for (const box& b : shapes_.boxes) {
      const double row = top_[b.runtime] + b.block;
      out_.print("{} {} {} {} {} {} {}\n", b.from, row, b.from, b.to, row + 0.05, row + 0.95, b.what.rgb);
    }
    out_.print("E\n");
    for (std::size_t k = 0; k < guards.size(); ++k) {
      out_.print("$guards{} << E\n0 -100\n\n", k);  // never empty: gnuplot refuses that
      for (const bracket& b : shapes_.brackets)
        if (b.kind == k) write_bracket(b);
      out_.print("E\n");
    }
    out_.print("$used << E\n");
    double last = -1;
    for (const auto& [t, gib] : shapes_.used_gib) {
      if (t - last < shapes_.end_s / (2 * pixels)) continue;  // less than a pixel
      out_.print("{} {}\n", t, gib);
      last = t;
    }
    out_.print("{} {}\nE\n$budget << E\n", shapes_.end_s,
               shapes_.used_gib.empty() ? 0 : shapes_.used_gib.back().second);
    for (const auto& [t, gib] : shapes_.budget_gib) out_.print("{} {}\n", t, gib);
    out_.print("{} {}\nE\n", shapes_.end_s, budget_gib());
  }

  void write_bracket(const bracket& b) {
    const double y = top_[b.runtime] - 0.6 - row_of_guards * (static_cast<double>(b.lane) + 0.5);
    out_.print("{} {}\n{} {}\n{} {}\n{} {}\n\n", b.from, y + 0.9, b.from, y, b.to, y, b.to, y + 0.9);
  }

  void draw_blocks() {
    out_.print(
        "set lmargin 22\nset rmargin 4\nset multiplot\nset origin 0,0.27\nset size 1,0.73\nset bmargin 1\nset tmargin "
        "3\n");
    out_.print("set xrange [0:{}]\nset yrange [{}:0]\nunset ytics\nset format x ''\nset border 1\n", shapes_.end_s,
               rows_);
    out_.print("set key outside top center horizontal samplen 2\n");
    for (std::size_t r = 0; r < runtimes_.size(); ++r) {
      const auto blocks = static_cast<double>(runtimes_[r].blocks.size());
      out_.print("set label \"{}\\n{} blocks\" at graph -0.01,first {} right\n", escaped(runtimes_[r].name), blocks,
                 top_[r] + blocks / 2);
    }
    out_.print("plot $blocks using 1:2:3:4:5:6:7 with boxxyerrorbars fs solid noborder fc rgb variable notitle");
    for (std::size_t k = 0; k < guards.size(); ++k)
      out_.print(", $guards{} with lines lw 2 lc rgb {} notitle", k, guards[k].rgb);
    for (const colour& c : {loading, resident, in_use})
      out_.print(", keyentry with boxes fs solid fc rgb {} title \"{}\"", c.rgb, c.name);
    for (const colour& c : guards)
      out_.print(", keyentry with lines lw 2 lc rgb {} title \"{}\"", c.rgb, escaped(c.name));
    out_.print("\n");
  }

  void draw_memory() {
    out_.print(
        "unset label\nset origin 0,0\nset size 1,0.27\nset tmargin 1\nset bmargin 3\nset format x '%g'\nset xlabel "
        "'seconds'\n");
    out_.print("set ytics\nset border 3\nset ylabel 'GiB in use'\nset yrange [0:{}]\nset key inside bottom right\n",
               budget_gib() * 1.12 + 1e-9);
    out_.print(
        "plot $used with fillsteps fs solid 0.35 noborder lc rgb 0x6c8ebf title 'used', "
        "$budget with steps lw 2 dt 2 lc rgb 0xc0392b title 'budget'\nunset multiplot\n");
  }

  [[nodiscard]] double budget_gib() const { return shapes_.budget_gib.empty() ? 0 : shapes_.budget_gib.back().second; }

  gnuplot_script out_;
  const timeline_shapes& shapes_;
  const std::vector<pinrail::trace_runtime>& runtimes_;
  std::vector<double> top_;  ///< by runtime: its first row
  double rows_ = 0;
};

}  // namespace

void draw_timeline(const pinrail::trace_recorder& trace, const std::filesystem::path& svg) {
  picture(svg, shapes_of(trace, pixels), trace.runtimes()).draw(svg);
}

}  // namespace examples
