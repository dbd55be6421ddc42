#include "report.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace stress {
namespace {

double percent(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

std::string codes_of(const tally::outcomes& o) {
  std::string text;
  for (std::size_t c = 0; c < error_codes; ++c)
    if (o.refused[c] != 0)
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", pinrail::to_string(static_cast<pinrail::errc>(c)),
                          o.refused[c]);
  return text;
}

std::string operations_text(const tally& t) {
  std::string text = fmt::format("  {:<18}{:>12}{:>10}\n", "operation", "done", "refused");
  for (std::size_t i = 0; i < operations; ++i) {
    const tally::outcomes& o = t.by_operation[i];
    if (o.done + o.refused_total() == 0) continue;
    text += fmt::format("  {:<18}{:>12}{:>10}  {}\n", to_string(static_cast<operation>(i)), o.done, o.refused_total(),
                        codes_of(o));
  }
  const std::uint64_t all = t.done() + t.refused();
  return text + fmt::format("  {:<18}{:>12}{:>10}  {:.2f} % refused\n", "all", t.done(), t.refused(),
                            percent(t.refused(), all));
}

std::string library_text(const library_counts& c) {
  std::string text = fmt::format("  loads {}, of them {} prefetches; {} failed; {} uses hit, {} waited\n", c.loads,
                                 c.prefetches, c.failed_loads, c.hits, c.stalls);
  text += fmt::format("  write-backs {}, moves {}\n  evictions:", c.written_back, c.moves);
  for (std::size_t i = 0; i < c.victims.size(); ++i)
    text += fmt::format(" {} {},", pinrail::to_string(static_cast<pinrail::eviction_cause>(i)), c.victims[i]);
  return text + fmt::format(" of them secondary {}\n", c.secondary_evictions);
}

}  // namespace

std::string text_of(const run_report& r) {
  std::string text = fmt::format("seed {}, {} threads, {} rounds, {} steps, {:.1f} s\n", r.asked.seed, r.asked.threads,
                                 r.figures.rounds.load(), r.figures.steps.load(), r.seconds);
  text += operations_text(r.figures.actions);
  text += library_text(r.figures.library);
  text += fmt::format("  figures read {} times; longest overrun of a deadline {:.1f} ms\n", r.figures.readings.load(),
                      1e-6 * static_cast<double>(r.figures.actions.longest_overrun_ns));
  if (!r.found.any()) return text + "violations 0\n";
  text += fmt::format("violations {}\n", r.found.count());
  for (const auto& v : r.found.findings())
    text += fmt::format("  {}, round {}, after {:.2f} s: {}\n", to_string(v.what), v.round, v.after_s, v.text);
  return text + fmt::format("repeat with: --replay {}:{} --threads {} --runtimes {} --devices {} --steps {}\n",
                            r.asked.seed, r.found.findings().front().round, r.asked.threads, r.asked.runtimes,
                            r.asked.devices, r.asked.steps);
}

nlohmann::json json_of(const run_report& r) {
  const tally& t = r.figures.actions;
  const library_counts& c = r.figures.library;
  nlohmann::json out{{"seed", r.asked.seed},
                     {"threads", r.asked.threads},
                     {"seconds", r.seconds},
                     {"rounds", r.figures.rounds.load()},
                     {"steps", r.figures.steps.load()},
                     {"done", t.done()},
                     {"refused", t.refused()},
                     {"longest_overrun_ns", t.longest_overrun_ns},
                     {"readings", r.figures.readings.load()},
                     {"loads", c.loads},
                     {"prefetches", c.prefetches},
                     {"failed_loads", c.failed_loads},
                     {"hits", c.hits},
                     {"stalls", c.stalls},
                     {"written_back", c.written_back},
                     {"moves", c.moves},
                     {"secondary_evictions", c.secondary_evictions},
                     {"violations", r.found.count()},
                     {"findings", nlohmann::json::array()}};
  for (std::size_t i = 0; i < operations; ++i) {
    auto& entry = out["operations"][to_string(static_cast<operation>(i))];
    entry["done"] = t.by_operation[i].done;
    entry["refused"] = nlohmann::json::object();
    for (std::size_t code = 0; code < error_codes; ++code)
      if (t.by_operation[i].refused[code] != 0)
        entry["refused"][pinrail::to_string(static_cast<pinrail::errc>(code))] = t.by_operation[i].refused[code];
  }
  for (std::size_t i = 0; i < c.victims.size(); ++i)
    out["evictions"][pinrail::to_string(static_cast<pinrail::eviction_cause>(i))] = c.victims[i];
  for (const auto& v : r.found.findings())
    out["findings"].push_back(
        {{"check", to_string(v.what)}, {"round", v.round}, {"after_s", v.after_s}, {"text", v.text}});
  return out;
}

}  // namespace stress
