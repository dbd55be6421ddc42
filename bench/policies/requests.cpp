#include "policies/requests.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <fstream>
#include <map>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string_view>

#include "policies/zipf.hpp"

namespace pinrail::bench {
namespace {

using what = step::what;

std::vector<std::string_view> split(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  std::vector<std::string_view> fields;
  for (;;) {
    const std::size_t comma = line.find(',');
    fields.push_back(line.substr(0, comma));
    if (comma == std::string_view::npos) return fields;
    line.remove_prefix(comma + 1);
  }
}

double number(std::string_view text, const std::filesystem::path& csv, std::size_t line) {
  double value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc{} || end != text.data() + text.size())
    throw std::runtime_error(fmt::format("{}:{}: '{}' is not a number", csv.string(), line, text));
  return value;
}

/// The place of a named column.
std::size_t column(const std::vector<std::string_view>& names, std::string_view name,
                   const std::filesystem::path& csv) {
  const auto it = std::find(names.begin(), names.end(), name);
  if (it == names.end()) throw std::runtime_error(fmt::format("{}: there is no column '{}'", csv.string(), name));
  return static_cast<std::size_t>(it - names.begin());
}

std::uint64_t hash(std::uint64_t x) {  // splitmix64
  x += 0x9e3779b97f4a7c15;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
  x = (x ^ x >> 27) * 0x94d049bb133111eb;
  return x ^ x >> 31;
}

constexpr std::uint32_t synthetic_passes = 10;

}  // namespace

std::vector<request> read_trace(const std::filesystem::path& csv, std::size_t first, std::size_t count, double speed) {
  std::ifstream file(csv);
  std::string line;
  if (!std::getline(file, line)) throw std::runtime_error(fmt::format("{}: can't be read", csv.string()));
  const std::string header = line;
  const auto names = split(header);
  const std::size_t arrival = column(names, "arrival_s", csv);
  const std::size_t model = column(names, "model", csv);
  const std::size_t steps = column(names, "steps", csv);
  std::map<std::string, std::uint32_t, std::less<>> numbers;
  std::vector<request> all;
  for (std::size_t i = 0; i < first + count && std::getline(file, line); ++i) {
    if (i < first) continue;
    const auto fields = split(line);
    if (fields.size() != names.size())
      throw std::runtime_error(fmt::format("{}:{}: {} fields", csv.string(), i + 2, fields.size()));
    const auto id = numbers.emplace(fields[model], static_cast<std::uint32_t>(numbers.size())).first->second;
    all.push_back({.arrival_s = number(fields[arrival], csv, i + 2) / speed,
                   .model = id,
                   .passes = std::max(1u, static_cast<std::uint32_t>(number(fields[steps], csv, i + 2)))});
  }
  if (all.empty()) throw std::runtime_error(fmt::format("{}: fewer than {} requests", csv.string(), first));
  const double begin_s = all.front().arrival_s;
  for (request& r : all) r.arrival_s -= begin_s;
  return all;
}

std::vector<request> poisson_requests(std::size_t count, std::uint32_t models, double per_s, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  zipf draw(models, 1);
  std::exponential_distribution<double> gap_s(per_s);
  std::vector<request> all;
  double now_s = 0;
  for (std::size_t i = 0; i < count; ++i) {
    now_s += gap_s(random);
    all.push_back({now_s, draw(random), synthetic_passes});
  }
  return all;
}

std::vector<request> bursty_requests(std::size_t count, std::uint32_t models, double per_s, std::uint64_t seed) {
  constexpr double mean_burst = 8;
  std::mt19937_64 random(seed);
  zipf draw(models, 1);
  std::exponential_distribution<double> quiet_s(per_s / mean_burst);
  std::geometric_distribution<std::size_t> more(1 / mean_burst);
  std::vector<request> all;
  double now_s = 0;
  while (all.size() < count) {
    now_s += quiet_s(random);
    const std::array<std::uint32_t, 3> wanted{draw(random), draw(random), draw(random)};
    const std::size_t size = 1 + more(random);
    for (std::size_t i = 0; i < size && all.size() < count; ++i)
      all.push_back({now_s, wanted[random() % wanted.size()], synthetic_passes});
  }
  return all;
}

model_table table_of_model(std::uint32_t number, std::uint64_t seed) {
  switch (hash(hash(seed) + number) % 5) {
    case 0:
      return flux();
    case 1:
      return ltx2();
    case 2:
      return t5_xxl();
    case 3:
      return gemma3_12b();
    default:
      return llama3_8b();
  }
}

workload serve(std::string name, const std::vector<request>& requests, std::uint64_t budget_bytes,
               double copy_per_compute, std::uint64_t seed) {
  workload w{.name = std::move(name), .models = {}, .steps = {}};
  w.budget_bytes = budget_bytes;
  w.high_watermark = 1;  // what is idle may be asked for again
  std::uint32_t models = 0;
  for (const request& r : requests) models = std::max(models, r.model + 1);
  for (std::uint32_t m = 0; m < models; ++m) {
    w.models.push_back(table_of_model(m, seed));
    w.models.back().name += fmt::format(" ({})", m);
  }
  const std::size_t warm_up = requests.size() / 4;
  w.rounds = static_cast<std::uint32_t>(requests.size() - warm_up);
  double busy_until_s = 0;  // as if nothing had to be loaded
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const request& r = requests[i];
    if (i == warm_up) w.steps.push_back({.kind = what::mark});
    if (r.arrival_s > busy_until_s) {
      w.steps.push_back(
          {.kind = what::idle, .compute_ns = static_cast<std::uint64_t>((r.arrival_s - busy_until_s) * 1e9)});
      busy_until_s = r.arrival_s;
    }
    w.steps.push_back({.kind = what::begin_pass, .model = r.model});
    for (std::uint32_t p = 0; p < r.passes; ++p) walk(w, r.model, copy_per_compute);
    w.steps.push_back({.kind = what::end_pass, .model = r.model});
    const double bytes = static_cast<double>(total_bytes(w.models[r.model]));
    busy_until_s += r.passes * bytes / w.bytes_per_second / copy_per_compute;
  }
  return w;
}

}  // namespace pinrail::bench
