// four_pass_pipeline: four models share one memory budget that holds less than half of them, many threads, every byte
// checked.
#include <fmt/color.h>
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "checkpoints.hpp"
#include "common/progress.hpp"
#include "compute.hpp"
#include "pinrail/emulated.hpp"
#include "pinrail/pinrail.hpp"
#include "pipeline.hpp"
#include "reference.hpp"
#include "report.hpp"
#include "timeline_picture.hpp"

namespace examples {
namespace {

namespace fs = std::filesystem;
using clock = std::chrono::steady_clock;
using pinrail::format_bytes;

struct options {
  std::string device = "best";
  double scale = 64;
  workload work;
  std::string budget = "24GiB";
  fs::path out = "out/four_pass_pipeline";
  fs::path json;
  bool reference_only = false;
  bool no_reference = false;
  bool no_picture = false;
  bool quiet = false;
};

void add_options(CLI::App& app, options& o) {
  app.add_option("--requests", o.work.requests, "Requests to serve")
      ->capture_default_str()
      ->check(CLI::Range(1, 100000));
  app.add_option("--workers", o.work.workers, "Threads that serve them, each on its own stream")
      ->capture_default_str()
      ->check(CLI::Range(1, 64));
  app.add_option("--steps", o.work.steps, "Denoising steps of the transformer per request")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  app.add_option("--seed", o.work.seed, "Of the requests' inputs; other than 0, it also delays workers at random")
      ->capture_default_str();
  app.add_option("--scale", o.scale, "Divide all sizes, the budget included, by about this; 1 is the real thing")
      ->capture_default_str()
      ->check(CLI::Range(1.0, 16384.0));
  app.add_option("--budget", o.budget, "Device memory for all models together, before scaling")->capture_default_str();
  app.add_option("--device", o.device, "cuda:N, emulated:..., or best: a GPU if there is one")->capture_default_str();
  app.add_option("--out", o.out, "Where checkpoints, picture and trace go")->capture_default_str();
  app.add_option("--json", o.json, "Write the figures here");
  app.add_flag("--reference", o.reference_only, "Only the plain run, in which nothing is shared or evicted");
  app.add_flag("--no-reference", o.no_reference, "Don't compare with the plain run");
  app.add_flag("--no-picture", o.no_picture, "Write no picture and no trace");
  app.add_flag("--quiet", o.quiet, "No progress bars");
}

void write_json(const fs::path& file, const nlohmann::json& content) {
  if (file.empty()) return;
  std::ofstream out(file);
  out << content.dump(2) << "\n";
  if (!out.flush()) throw std::runtime_error(fmt::format("{} can't be written", file.string()));
}

/// The checkpoints, with a bar while they are written.
std::array<checkpoint, model_count> checkpoints(const options& o) {
  shared_count written;
  std::uint64_t total = 1;
  std::unique_ptr<progress_display> bars;
  const auto progress = [&](std::uint64_t done_bytes, std::uint64_t total_bytes) {
    total = total_bytes;
    written.add(done_bytes - written.value());
    if (bars) return;
    bars = std::make_unique<progress_display>(
        std::vector<bar>{{"checkpoints",
                          [&] { return static_cast<double>(written.value()) / static_cast<double>(total); },
                          [&] { return fmt::format("{} to write, once", format_bytes(total)); }}},
        o.quiet);
  };
  return prepare_checkpoints(o.out / fmt::format("models-{:g}", o.scale), o.scale, progress);
}

std::vector<std::uint64_t> reference(const options& o, const std::array<checkpoint, model_count>& models) {
  shared_count done;
  const double all = o.work.requests;
  progress_display bars({{"reference", [&] { return static_cast<double>(done.value()) / all; },
                          [&] { return fmt::format("{} of {} requests, plainly", done.value(), all); }}},
                        o.quiet);
  return reference_run(models, o.work, [&](std::uint32_t) { done.add(); });
}

stage make_stage(pinrail::scheduler& sched, const checkpoint& c) {
  pinrail::model m = open_model(c);
  stage s;
  s.checksums = block_checksums(c, m);
  for (const auto& block : m.blocks()) {
    auto& ranges = s.tensors.emplace_back();
    for (const auto& t : block.tensors) ranges.push_back({t.offset_bytes, t.size_bytes});
  }
  s.runtime = sched.add_runtime(c.table.model_name, std::move(m));
  return s;
}

/// The largest minimum of the two guests: what the transformer's reservation must leave free.
std::uint64_t guest_minimum_bytes(const std::array<checkpoint, model_count>& models, std::uint64_t page_bytes) {
  std::uint64_t least = 0;
  for (const model_id m : {model_id::spatial_upscaler, model_id::temporal_upscaler}) {
    std::uint64_t largest = 0;
    std::uint64_t second = 0;
    const pinrail::model described = open_model(models[static_cast<std::size_t>(m)]);
    for (const auto& b : described.blocks()) {
      const std::uint64_t size = (b.size_bytes + page_bytes - 1) / page_bytes * page_bytes;
      second = std::max(second, std::min(size, largest));
      largest = std::max(largest, size);
    }
    least = std::max(least, largest + second);
  }
  return least;
}

std::vector<bar> bars_of(const pinrail::scheduler& sched, const pipeline& p,
                         const std::array<std::string, model_count>& names, std::uint32_t requests) {
  std::vector<bar> bars;
  for (std::size_t i = 0; i < model_count; ++i) {
    const auto id = static_cast<model_id>(i);
    bars.push_back({names[i],
                    [&p, id] { return static_cast<double>(p.uses_done(id)) / static_cast<double>(p.uses_total(id)); },
                    [&sched, i] {
                      const auto s = sched.statistics().runtimes[i];
                      return fmt::format("{} of {} resident, {} loads", format_bytes(s.resident_bytes),
                                         format_bytes(s.footprint_bytes), s.loads);
                    }});
  }
  bars.push_back({"requests", [&p, requests] { return static_cast<double>(p.requests_done()) / requests; },
                  [&sched, &p, requests] {
                    const auto s = sched.statistics();
                    return fmt::format("{} of {}; {} of {} in use", p.requests_done(), requests,
                                       format_bytes(s.used_bytes), format_bytes(s.budget_bytes));
                  }});
  return bars;
}

void log_to_stderr(pinrail::log_level level, std::string_view text) {
  if (level != pinrail::log_level::info) fmt::print(stderr, "{}\n", text);
}

run_report serve(const options& o, const std::array<checkpoint, model_count>& models, pinrail::trace_recorder* trace) {
  const auto budget_bytes = static_cast<std::uint64_t>(static_cast<double>(pinrail::parse_bytes(o.budget)) / o.scale);
  const auto device = pinrail::open_device(o.device);
  const auto computes = make_compute(*device);
  run_report report;
  report.device = device->name();
  report.scale = o.scale;
  report.work = o.work;
  report.device_bytes_per_second = pinrail::measure_copy_rate(*device);
  // A 4096th of the smallest block that matters is a fine enough page at any scale.
  const std::uint64_t page_bytes = o.scale >= 16 ? 4096 : 65536;
  pinrail::scheduler sched(*device, {.vram_budget = budget_bytes,
                                     .load_deadline = std::chrono::minutes(10),
                                     .page_bytes = page_bytes,
                                     .guest_minimum_bytes = guest_minimum_bytes(models, page_bytes),
                                     .log = log_to_stderr,
                                     .trace = trace});
  std::array<stage, model_count> stages;
  std::array<std::string, model_count> names;
  for (std::size_t i = 0; i < model_count; ++i) {
    stages[i] = make_stage(sched, models[i]);
    names[i] = models[i].table.model_name;
  }
  pipeline p(sched, *computes, std::move(stages), o.work);
  report.budget_bytes = sched.budget().total_bytes();
  const auto begin = clock::now();
  {
    progress_display bars(bars_of(sched, p, names, o.work.requests), o.quiet);
    report.results = p.run();
  }
  report.wall_s = std::chrono::duration<double>(clock::now() - begin).count();
  report.statistics = sched.statistics();
  for (std::size_t i = 0; i < model_count; ++i) report.share_bytes[i] = p.share_bytes(static_cast<model_id>(i));
  if (device->kind() == pinrail::device_kind::emulated)
    report.order_violations = pinrail::emulated::violations(*device);
  return report;
}

int run(const options& o) {
  fs::create_directories(o.out);
  const auto models = checkpoints(o);
  if (o.reference_only) {
    const auto states = reference(o, models);
    nlohmann::json out{{"requests", o.work.requests}, {"steps", o.work.steps}, {"scale", o.scale}};
    for (std::size_t i = 0; i < states.size(); ++i) {
      out["results"].push_back(fmt::format("{:016x}", states[i]));
      fmt::print("request {:>3}: {:016x}\n", i, states[i]);
    }
    write_json(o.json, out);
    return 0;
  }
  pinrail::trace_recorder trace;
  run_report report = serve(o, models, o.no_picture ? nullptr : &trace);
  if (!o.no_reference) report.reference = reference(o, models);
  fmt::print("\n{}", table(report));
  write_json(o.json, json(report));
  if (!o.no_picture) {
    trace.write_chrome_json(o.out / "trace.json");
    fmt::print("trace: {} (open it at https://ui.perfetto.dev)\n", (o.out / "trace.json").string());
    try {
      draw_timeline(trace, o.out / "timeline.svg");
      fmt::print("picture: {}\n", (o.out / "timeline.svg").string());
    } catch (const std::runtime_error& e) {
      fmt::print(stderr, "{}\n", e.what());
    }
  }
  return report.good() ? 0 : 1;
}

}  // namespace
}  // namespace examples

int main(int argc, char** argv) {
  CLI::App app{
      "Four models share one memory budget that holds less than half of them: a text encoder, a 22B-class video\n"
      "transformer and two upscalers, served by many threads, with every byte checked.",
      "four_pass_pipeline"};
  examples::options o;
  examples::add_options(app, o);
  CLI11_PARSE(app, argc, argv);
  try {
    return examples::run(o);
  } catch (const std::exception& e) {
    fmt::print(stderr, "four_pass_pipeline: {}\n", e.what());
    return 2;
  }
}
