// A workload: models, a budget, and what is done in which order. Policies are compared on the same one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace pinrail::bench {

struct model_table {
  std::string name;
  std::vector<std::uint64_t> block_bytes;
};

/// One kernel on one block, or a bracket around kernels. Everything runs on one stream, in this order.
struct step {
  enum class what : std::uint8_t {
    use,         ///< model, block, compute_ns
    begin_pass,  ///< model, order
    end_pass,    ///< model
    keep,        ///< model: keep_resident begins
    end_keep,
    reserve,  ///< model: primary
    release,
    enter_guest,  ///< model
    leave_guest,
    idle,  ///< compute_ns: the device has nothing to do
    mark,  ///< statistics are counted from the last one on
    hint,  ///< model, block: a predictor says that it will be needed soon
  };
  enum class order : std::uint8_t { forward, reverse, data_dependent };

  what kind = what::use;
  std::uint32_t model = 0;
  std::uint32_t block = 0;
  std::uint64_t compute_ns = 0;
  order how = order::forward;
};

struct workload {
  std::string name;
  std::vector<model_table> models;
  std::vector<step> steps;
  std::uint64_t budget_bytes = 0;
  double bytes_per_second = 25e9;
  double high_watermark = .95;  ///< Pinrail's; the baselines know none, and fill memory to the brim
  std::uint32_t rounds = 1;     ///< that the steps after the mark consist of, to report per round

  [[nodiscard]] double copy_ns(std::uint64_t bytes) const {
    return static_cast<double>(bytes) * 1e9 / bytes_per_second;
  }
};

/// Block tables in bf16, as in shared/traces/README.md.
[[nodiscard]] model_table uniform_model(std::string name, std::uint32_t blocks, std::uint64_t bytes);
[[nodiscard]] model_table flux();
[[nodiscard]] model_table ltx2();
[[nodiscard]] model_table t5_xxl();
[[nodiscard]] model_table gemma3_12b();
[[nodiscard]] model_table llama3_8b();
[[nodiscard]] model_table mixtral();

[[nodiscard]] std::uint64_t total_bytes(const model_table& m);

/// Appends one walk over a model, each block computed for its copy time / `copy_per_compute`.
void walk(workload& w, std::uint32_t model, double copy_per_compute, bool reverse = false);

/// One model, walked forward again and again. `copy_per_compute`: copy time of a block over its compute time. So many
/// rounds because MIN's loads differ from round to round, and average out over about as many as there are blocks.
[[nodiscard]] workload cyclic(const model_table& m, double share, double copy_per_compute, std::uint32_t rounds = 48);
/// Forward and backward in turn.
[[nodiscard]] workload forward_backward(const model_table& m, std::uint64_t budget_bytes, double copy_per_compute,
                                        std::uint32_t rounds = 8);
/// Several models, block by block in turn.
[[nodiscard]] workload interleaved(const std::vector<model_table>& models, std::uint64_t budget_bytes,
                                   double copy_per_compute, std::uint32_t rounds = 8);
/// The four-pass pipeline at full size on 24 GiB.
[[nodiscard]] workload four_pass(double copy_per_compute, std::uint32_t requests = 4);
/// Attention blocks in order, each followed by two of eight experts; `skew` 0 is uniform, else Zipf's exponent. With
/// `predicted`, a hint names the experts one layer ahead (right nine times in ten).
[[nodiscard]] workload mixture_of_experts(double share, double skew, bool predicted, std::uint64_t seed,
                                          std::uint32_t tokens = 24);

}  // namespace pinrail::bench
