#include "plan_command.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "common/gnuplot.hpp"
#include "common/text_table.hpp"
#include "pinrail/model.hpp"
#include "pinrail/units.hpp"
#include "step_forecast.hpp"

namespace pinrail::tools {
namespace {

constexpr int curve_points = 24;

struct curve {
  std::string name;
  std::vector<forecast> points;
};

/// "48x772149248": so many blocks of that many bytes.
std::optional<named_model> parse_block_list(const std::string& text) {
  const auto x = text.find('x');
  if (x == std::string::npos || x == 0 || text.find_first_not_of("0123456789") != x) return std::nullopt;
  const unsigned long count = std::stoul(text.substr(0, x));
  if (count == 0 || count > 1'000'000)
    throw error(errc::invalid_argument, fmt::format("'{}': 1 to 1,000,000 blocks are possible", text));
  const std::uint64_t bytes = parse_bytes(text.substr(x + 1));
  if (bytes == 0) throw error(errc::invalid_argument, fmt::format("'{}': blocks of 0 bytes", text));
  return named_model{text, std::vector<std::uint64_t>(count, bytes)};
}

named_model open_named(const std::string& text, const plan_options& o) {
  if (auto listed = parse_block_list(text)) return std::move(*listed);
  const model described = model_from_safetensors(text, {.block_patterns = o.block_patterns});
  named_model m{std::filesystem::path(text).stem().string(), {}};
  for (const block_info& b : described.blocks()) m.block_bytes.push_back(b.size_bytes);
  if (m.block_bytes.empty()) throw error(errc::invalid_argument, fmt::format("'{}' has no tensors", text));
  return m;
}

/// Shares as given, or memory split by the models' sizes: a model that needs less leaves the rest to the others.
std::vector<std::uint64_t> shares_of(const plan_options& o, const std::vector<named_model>& models) {
  std::vector<std::uint64_t> shares;
  const std::uint64_t vram = parse_bytes(o.vram);
  if (!o.shares.empty()) {
    if (o.shares.size() != models.size())
      throw error(errc::invalid_argument,
                  fmt::format("--shares names {} shares for {} model(s)", o.shares.size(), models.size()));
    std::uint64_t sum = 0;
    for (const std::string& s : o.shares) sum += shares.emplace_back(parse_bytes(s));
    if (sum > vram)
      throw error(errc::invalid_argument,
                  fmt::format("--shares add up to {}, and --vram is {}", format_bytes(sum), format_bytes(vram)));
    return shares;
  }
  std::uint64_t all = 0;
  for (const named_model& m : models) all += m.footprint_bytes();
  for (const named_model& m : models)
    shares.push_back(
        all <= vram ? m.footprint_bytes()
                    : static_cast<std::uint64_t>(static_cast<double>(vram) * static_cast<double>(m.footprint_bytes()) /
                                                 static_cast<double>(all)));
  return shares;
}

std::string milliseconds(double ns) { return fmt::format("{:.1f} ms", ns * 1e-6); }

std::vector<std::string> row_of(const named_model& m, const forecast& f) {
  return {m.name,
          std::to_string(m.block_bytes.size()),
          format_bytes(m.footprint_bytes()),
          format_bytes(f.share_bytes),
          to_string(f.how),
          std::to_string(f.staying_blocks),
          std::to_string(f.streamed_blocks),
          f.slots != 0 ? fmt::format("{} of {}", f.slots, format_bytes(f.slot_bytes / f.slots)) : "-",
          format_bytes(f.streamed_bytes),
          milliseconds(f.step_ns),
          milliseconds(f.bound_ns),
          f.bound_ns > 0 ? fmt::format("{:.3f}", f.step_ns / f.bound_ns) : "-"};
}

curve curve_of(const named_model& m, const machine& on) {
  curve c{m.name, {}};
  const std::uint64_t least = std::min(2 * m.largest_bytes(), m.footprint_bytes());
  for (int i = 0; i <= curve_points; ++i) {
    const double part = static_cast<double>(i) / curve_points;
    c.points.push_back(forecast_step(
        m, on, least + static_cast<std::uint64_t>(part * static_cast<double>(m.footprint_bytes() - least))));
  }
  return c;
}

nlohmann::json json_of(const forecast& f) {
  return {{"share_bytes", f.share_bytes},       {"how", to_string(f.how)},
          {"staying_blocks", f.staying_blocks}, {"streamed_blocks", f.streamed_blocks},
          {"streamed_bytes", f.streamed_bytes}, {"slots", f.slots},
          {"slot_bytes", f.slot_bytes},         {"step_ms", f.step_ns * 1e-6},
          {"bound_ms", f.bound_ns * 1e-6}};
}

void draw(const std::filesystem::path& svg, const std::vector<curve>& curves) {
  examples::gnuplot_script script(svg);
  script.print("set terminal svg size 900,560 dynamic font 'sans,13' background '#ffffff'\nset output '{}'\n",
               svg.string());
  script.print(
      "set xlabel 'memory for the model, GiB'\nset ylabel 'time of a step, ms'\nset grid\nset key top right\nset "
      "yrange [0:*]\n");
  for (std::size_t i = 0; i < curves.size(); ++i) {
    script.print("$model{} << E\n", i);
    for (const forecast& f : curves[i].points)
      script.print("{} {} {}\n", static_cast<double>(f.share_bytes) / (1 << 30), f.step_ns * 1e-6, f.bound_ns * 1e-6);
    script.print("E\n");
  }
  script.print("plot ");
  for (std::size_t i = 0; i < curves.size(); ++i)
    script.print(
        "{}$model{} using 1:2 with linespoints lw 2 pt 7 ps 0.5 title '{}', $model{} using 1:3 with lines dt 2 lc "
        "'gray' title '{}'",
        i == 0 ? "" : ", ", i, curves[i].name, i, i == 0 ? "max(compute, copying)" : "");
  script.print("\n");
  script.run();
}

}  // namespace

CLI::App* add_plan_command(CLI::App& app, plan_options& o) {
  CLI::App* plan =
      app.add_subcommand("plan", "Does a model fit, what stays, what streams, and how long does a step take?");
  plan->add_option("models", o.models, "Safetensors files or indexes; or so many blocks of a size: 48x772149248")
      ->required();
  plan->add_option("--pattern", o.block_patterns, "Tensor name prefixes of blocks: transformer_blocks.{}.");
  plan->add_option("--vram", o.vram, "Memory for all models")->capture_default_str();
  plan->add_option("--h2d", o.host_to_device, "Copy rate to the device")->capture_default_str();
  plan->add_option("--compute-ms", o.compute_ms, "Compute time of a step, by model; not given: copying only")
      ->delimiter(',')
      ->check(CLI::NonNegativeNumber);
  plan->add_option("--shares", o.shares, "Bytes of each model; not given: by size")->delimiter(',');
  plan->add_option("--json", o.json, "Write the figures here");
  plan->add_option("--svg", o.svg, "Draw step time over memory here");
  return plan;
}

int run_plan(const plan_options& o) {
  const auto rate = static_cast<double>(parse_bytes_per_second(o.host_to_device));
  if (rate <= 0) throw error(errc::invalid_argument, "--h2d is 0: nothing could be streamed");
  std::vector<named_model> models;
  for (const std::string& text : o.models) models.push_back(open_named(text, o));
  if (!o.compute_ms.empty() && o.compute_ms.size() != models.size())
    throw error(errc::invalid_argument,
                fmt::format("--compute-ms names {} time(s) for {} model(s)", o.compute_ms.size(), models.size()));
  const auto shares = shares_of(o, models);
  std::vector<std::vector<std::string>> rows{{"model", "blocks", "footprint", "share", "how", "stay", "stream", "slots",
                                              "copied per step", "step", "bound", "ratio"}};
  std::vector<curve> curves;
  nlohmann::json out{{"vram_bytes", parse_bytes(o.vram)}, {"h2d_bytes_per_second", rate}};
  bool all_run = true;
  for (std::size_t i = 0; i < models.size(); ++i) {
    const machine on{rate, o.compute_ms.empty() ? 0 : o.compute_ms[i] * 1e6};
    const forecast f = forecast_step(models[i], on, shares[i]);
    all_run = all_run && f.how != forecast::kind::too_small;
    rows.push_back(row_of(models[i], f));
    curves.push_back(curve_of(models[i], on));
    nlohmann::json entry = json_of(f);
    entry["name"] = models[i].name;
    entry["blocks"] = models[i].block_bytes.size();
    entry["footprint_bytes"] = models[i].footprint_bytes();
    for (const forecast& point : curves.back().points) entry["curve"].push_back(json_of(point));
    out["models"].push_back(entry);
  }
  fmt::print("{}\n", examples::text_table(rows));
  if (o.compute_ms.empty()) fmt::print("No --compute-ms: step times are copying only.\n\n");
  for (const curve& c : curves) {
    std::vector<std::vector<std::string>> points{
        {"memory", "how", "stay", "stream", "copied per step", "step", "bound"}};
    for (std::size_t i = 0; i < c.points.size(); i += 3) {
      const forecast& f = c.points[i];
      points.push_back({format_bytes(f.share_bytes), to_string(f.how), std::to_string(f.staying_blocks),
                        std::to_string(f.streamed_blocks), format_bytes(f.streamed_bytes), milliseconds(f.step_ns),
                        milliseconds(f.bound_ns)});
    }
    fmt::print("{} as its memory grows:\n{}\n", c.name, examples::text_table(points));
  }
  if (!o.json.empty()) {
    std::ofstream file(o.json);
    file << out.dump(2) << "\n";
    if (!file.flush()) throw error(errc::io_error, fmt::format("{} can't be written", o.json.string()));
  }
  if (!o.svg.empty()) {
    draw(o.svg, curves);
    fmt::print("picture: {}\n", o.svg.string());
  }
  return all_run ? 0 : 1;
}

}  // namespace pinrail::tools
