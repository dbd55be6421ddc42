#include "policies/workload.hpp"

#include <algorithm>
#include <numeric>
#include <random>

#include "policies/zipf.hpp"

namespace pinrail::bench {
namespace {

using what = step::what;

std::uint64_t compute_of(const workload& w, std::uint64_t block_bytes, double copy_per_compute) {
  return static_cast<std::uint64_t>(w.copy_ns(block_bytes) / copy_per_compute);
}

}  // namespace

void walk(workload& w, std::uint32_t model, double copy_per_compute, bool reverse) {
  const auto& sizes = w.models[model].block_bytes;
  for (std::uint32_t i = 0; i < sizes.size(); ++i) {
    const std::uint32_t b = reverse ? static_cast<std::uint32_t>(sizes.size()) - 1 - i : i;
    w.steps.push_back({.model = model, .block = b, .compute_ns = compute_of(w, sizes[b], copy_per_compute)});
  }
}

model_table uniform_model(std::string name, std::uint32_t blocks, std::uint64_t bytes) {
  return {std::move(name), std::vector<std::uint64_t>(blocks, bytes)};
}

model_table flux() {
  model_table m = uniform_model("FLUX.1-dev", 19, 679'662'592);
  m.block_bytes.insert(m.block_bytes.end(), 38, 283'183'616);
  return m;
}
model_table ltx2() { return uniform_model("LTX-2", 48, 772'149'248); }
model_table t5_xxl() { return uniform_model("T5-XXL", 24, 385'892'352); }
model_table gemma3_12b() { return uniform_model("Gemma-3-12B", 48, 448'297'984); }
model_table llama3_8b() { return uniform_model("Llama-3.1-8B", 32, 436'224'000); }
model_table mixtral() {
  model_table m{.name = "Mixtral-8x7B", .block_bytes = {}};
  for (int layer = 0; layer < 32; ++layer) {
    m.block_bytes.push_back(83'968'000);
    m.block_bytes.insert(m.block_bytes.end(), 8, 352'321'536);
  }
  return m;
}

std::uint64_t total_bytes(const model_table& m) {
  return std::accumulate(m.block_bytes.begin(), m.block_bytes.end(), std::uint64_t{0});
}

workload cyclic(const model_table& m, double share, double copy_per_compute, std::uint32_t rounds) {
  workload w{.name = m.name, .models = {m}, .steps = {}};
  w.budget_bytes = static_cast<std::uint64_t>(share * static_cast<double>(total_bytes(m)));
  w.rounds = rounds;
  w.steps.push_back({.kind = what::begin_pass});
  constexpr std::uint32_t warm_up = 6;
  for (std::uint32_t r = 0; r < warm_up + rounds; ++r) {
    if (r == warm_up) w.steps.push_back({.kind = what::mark});
    walk(w, 0, copy_per_compute);
  }
  w.steps.push_back({.kind = what::end_pass});
  return w;
}

workload forward_backward(const model_table& m, std::uint64_t budget_bytes, double copy_per_compute,
                          std::uint32_t rounds) {
  workload w{.name = m.name + " forward+backward", .models = {m}, .steps = {}};
  w.budget_bytes = budget_bytes;
  w.rounds = rounds;
  constexpr std::uint32_t warm_up = 4;
  for (std::uint32_t r = 0; r < warm_up + rounds; ++r) {
    if (r == warm_up) w.steps.push_back({.kind = what::mark});
    for (const bool reverse : {false, true}) {
      w.steps.push_back({.kind = what::begin_pass, .how = reverse ? step::order::reverse : step::order::forward});
      walk(w, 0, copy_per_compute, reverse);
      w.steps.push_back({.kind = what::end_pass});
    }
  }
  return w;
}

workload interleaved(const std::vector<model_table>& models, std::uint64_t budget_bytes, double copy_per_compute,
                     std::uint32_t rounds) {
  workload w{.name = "interleaved", .models = models, .steps = {}};
  w.budget_bytes = budget_bytes;
  w.rounds = rounds;
  std::size_t longest = 0;
  for (std::uint32_t m = 0; m < models.size(); ++m) {
    w.steps.push_back({.kind = what::begin_pass, .model = m});
    longest = std::max(longest, models[m].block_bytes.size());
  }
  constexpr std::uint32_t warm_up = 4;
  std::vector<std::uint32_t> at(models.size(), 0);  // shorter models go round more often
  for (std::uint32_t r = 0; r < warm_up + rounds; ++r) {
    if (r == warm_up) w.steps.push_back({.kind = what::mark});
    for (std::size_t i = 0; i < longest; ++i) {
      for (std::uint32_t m = 0; m < models.size(); ++m) {
        const auto& sizes = models[m].block_bytes;
        const std::uint32_t b = at[m]++ % static_cast<std::uint32_t>(sizes.size());
        w.steps.push_back({.model = m, .block = b, .compute_ns = compute_of(w, sizes[b], copy_per_compute)});
      }
    }
  }
  for (std::uint32_t m = 0; m < models.size(); ++m) w.steps.push_back({.kind = what::end_pass, .model = m});
  return w;
}

workload four_pass(double copy_per_compute, std::uint32_t requests) {
  workload w{.name = "four passes", .models = {}, .steps = {}};
  w.models = {gemma3_12b(), ltx2(), uniform_model("spatial", 8, 113'258'496), uniform_model("temporal", 8, 28'317'696)};
  w.budget_bytes = std::uint64_t{24} << 30;
  w.rounds = requests;
  constexpr std::uint32_t encoder = 0;
  constexpr std::uint32_t transformer = 1;
  for (std::uint32_t r = 0; r <= requests; ++r) {
    if (r == 1) w.steps.push_back({.kind = what::mark});
    const auto pass = [&](std::uint32_t model, std::uint32_t rounds) {
      w.steps.push_back({.kind = what::begin_pass, .model = model});
      for (std::uint32_t i = 0; i < rounds; ++i) walk(w, model, copy_per_compute);
      w.steps.push_back({.kind = what::end_pass, .model = model});
    };
    w.steps.push_back({.kind = what::keep, .model = encoder});
    pass(encoder, 1);
    w.steps.push_back({.kind = what::end_keep, .model = encoder});
    w.steps.push_back({.kind = what::reserve, .model = transformer});
    pass(transformer, 8);
    for (const std::uint32_t guest : {2u, 3u}) {
      w.steps.push_back({.kind = what::enter_guest, .model = guest});
      pass(guest, 1);
      w.steps.push_back({.kind = what::leave_guest, .model = guest});
    }
    w.steps.push_back({.kind = what::release, .model = transformer});
  }
  return w;
}

workload mixture_of_experts(double share, double skew, bool predicted, std::uint64_t seed, std::uint32_t tokens) {
  workload w{.name = "Mixtral-8x7B experts", .models = {mixtral()}, .steps = {}};
  w.budget_bytes = static_cast<std::uint64_t>(share * static_cast<double>(total_bytes(w.models[0])));
  w.rounds = tokens;
  std::mt19937_64 random(seed);
  zipf draw(8, skew);
  // Every layer has favourites of its own.
  std::vector<std::vector<std::uint32_t>> ranks(32, std::vector<std::uint32_t>(8));
  for (auto& r : ranks) {
    std::iota(r.begin(), r.end(), 0);
    std::shuffle(r.begin(), r.end(), random);
  }
  constexpr std::uint32_t layer_blocks = 9;
  constexpr std::uint32_t warm_up = 8;
  const auto& sizes = w.models[0].block_bytes;
  w.steps.push_back({.kind = what::begin_pass, .how = step::order::data_dependent});
  for (std::uint32_t t = 0; t < warm_up + tokens; ++t) {
    if (t == warm_up) w.steps.push_back({.kind = what::mark});
    std::vector<std::pair<std::uint32_t, std::uint32_t>> chosen(32);
    for (std::uint32_t layer = 0; layer < 32; ++layer) {
      const std::uint32_t first = ranks[layer][draw(random)];
      std::uint32_t second = first;
      while (second == first) second = ranks[layer][draw(random)];
      chosen[layer] = {first, second};
    }
    for (std::uint32_t layer = 0; layer < 32; ++layer) {
      const std::uint32_t base = layer * layer_blocks;
      w.steps.push_back({.block = base, .compute_ns = compute_of(w, sizes[base], 1)});
      if (predicted && layer + 1 < 32) {
        w.steps.push_back({.kind = what::hint, .block = base + layer_blocks});
        for (const std::uint32_t e : {chosen[layer + 1].first, chosen[layer + 1].second})
          w.steps.push_back(
              {.kind = what::hint,
               .block = base + layer_blocks + 1 + (random() % 10 != 0 ? e : static_cast<std::uint32_t>(random() % 8))});
      }
      for (const std::uint32_t e : {chosen[layer].first, chosen[layer].second})
        w.steps.push_back({.block = base + 1 + e, .compute_ns = compute_of(w, sizes[base + 1], 4)});
    }
  }
  w.steps.push_back({.kind = what::end_pass});
  return w;
}

}  // namespace pinrail::bench
