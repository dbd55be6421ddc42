#include "report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/text_table.hpp"
#include "pinrail/units.hpp"

namespace examples {

using pinrail::format_bytes;

std::uint64_t run_report::checksum_errors() const {
  std::uint64_t errors = 0;
  for (const request_result& r : results) errors += r.wrong_checksums;
  return errors;
}

bool run_report::matches_reference() const {
  return results.size() == reference.size() &&
         std::equal(results.begin(), results.end(), reference.begin(),
                    [](const request_result& r, std::uint64_t state) { return r.state == state; });
}

bool run_report::good() const {
  return checksum_errors() == 0 && (reference.empty() || matches_reference()) && order_violations.empty() &&
         statistics.peak_used_bytes <= budget_bytes;
}

namespace {

std::string rate(double bytes_per_second) { return fmt::format("{:.2f} GB/s", bytes_per_second / 1e9); }

double loaded_per_second(const run_report& r) {
  return r.wall_s > 0 ? static_cast<double>(r.statistics.loaded_bytes) / r.wall_s : 0;
}

}  // namespace

std::string table(const run_report& r) {
  std::vector<std::vector<std::string>> rows{
      {"runtime", "footprint", "share", "peak resident", "hits", "loads", "in", "out", "stalls", "stalled", "victims"}};
  std::uint64_t footprint = 0;
  for (std::size_t i = 0; i < model_count; ++i) {
    const auto& m = r.statistics.runtimes[i];
    footprint += m.footprint_bytes;
    rows.push_back(
        {m.name, format_bytes(m.footprint_bytes), r.share_bytes[i] != 0 ? format_bytes(r.share_bytes[i]) : "kept",
         format_bytes(m.peak_resident_bytes), std::to_string(m.hits), std::to_string(m.loads),
         format_bytes(m.loaded_bytes), format_bytes(m.written_back_bytes), std::to_string(m.stalls),
         fmt::format("{:.2f} s", static_cast<double>(m.stall_ns) * 1e-9), std::to_string(m.victims_total())});
  }
  const auto& s = r.statistics;
  std::string text = text_table(rows);
  text +=
      fmt::format("\n{} requests by {} workers on {}, scale {}\n", r.results.size(), r.work.workers, r.device, r.scale);
  text += fmt::format("budget {}, {:.0f} % of the models' {}; peak used {} ({:.1f} %)\n", format_bytes(r.budget_bytes),
                      100.0 * static_cast<double>(r.budget_bytes) / static_cast<double>(footprint),
                      format_bytes(footprint), format_bytes(s.peak_used_bytes),
                      100.0 * static_cast<double>(s.peak_used_bytes) / static_cast<double>(r.budget_bytes));
  text += fmt::format("{:.2f} s; {} loaded at {}; bare copies to this device: {}\n", r.wall_s,
                      format_bytes(s.loaded_bytes), rate(loaded_per_second(r)), rate(r.device_bytes_per_second));
  text += fmt::format("wrong checksums: {}; order violations: {}; results {}\n", r.checksum_errors(),
                      r.order_violations.size(),
                      r.reference.empty()     ? "not compared"
                      : r.matches_reference() ? "equal the reference"
                                              : "DIFFER from the reference");
  for (const std::string& v : r.order_violations) text += fmt::format("order violation: {}\n", v);
  return text;
}

nlohmann::json json(const run_report& r) {
  nlohmann::json out{
      {"device", r.device},
      {"scale", r.scale},
      {"requests", r.work.requests},
      {"workers", r.work.workers},
      {"steps", r.work.steps},
      {"seed", r.work.seed},
      {"budget_bytes", r.budget_bytes},
      {"peak_used_bytes", r.statistics.peak_used_bytes},
      {"loaded_bytes", r.statistics.loaded_bytes},
      {"written_back_bytes", r.statistics.written_back_bytes},
      {"wall_s", r.wall_s},
      {"loaded_bytes_per_second", loaded_per_second(r)},
      {"device_bytes_per_second", r.device_bytes_per_second},
      {"checksum_errors", r.checksum_errors()},
      {"order_violations", r.order_violations},
      {"results_match_reference", r.reference.empty() ? nlohmann::json() : nlohmann::json(r.matches_reference())}};
  for (const request_result& result : r.results) out["results"].push_back(fmt::format("{:016x}", result.state));
  for (std::size_t i = 0; i < model_count; ++i) {
    const auto& m = r.statistics.runtimes[i];
    nlohmann::json victims;
    for (std::size_t c = 0; c < pinrail::eviction_causes; ++c)
      victims[to_string(static_cast<pinrail::eviction_cause>(c))] = m.victims[c];
    out["runtimes"].push_back({{"name", m.name},
                               {"blocks", m.blocks},
                               {"footprint_bytes", m.footprint_bytes},
                               {"share_bytes", r.share_bytes[i]},
                               {"peak_resident_bytes", m.peak_resident_bytes},
                               {"hits", m.hits},
                               {"loads", m.loads},
                               {"prefetches", m.prefetches},
                               {"failed_loads", m.failed_loads},
                               {"loaded_bytes", m.loaded_bytes},
                               {"written_back_bytes", m.written_back_bytes},
                               {"stalls", m.stalls},
                               {"stall_ns", m.stall_ns},
                               {"moves", m.moves},
                               {"victims", victims},
                               {"secondary_evictions", m.secondary_evictions}});
  }
  return out;
}

}  // namespace examples
