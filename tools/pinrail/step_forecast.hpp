// What a step of a model comes to in a share of memory.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace pinrail::tools {

struct named_model {
  std::string name;
  std::vector<std::uint64_t> block_bytes;

  [[nodiscard]] std::uint64_t footprint_bytes() const;
  [[nodiscard]] std::uint64_t largest_bytes() const;
};

struct machine {
  double bytes_per_second = 0;
  double compute_ns = 0;  ///< of a step; spread over the blocks by their bytes
};

struct forecast {
  enum class kind : std::uint8_t {
    fits,       ///< everything stays
    planned,    ///< a paced plan
    next_use,   ///< no plan is better than evicting by next use
    too_small,  ///< the share holds less than the largest block and one to load into
  };
  kind how = kind::too_small;
  std::uint64_t share_bytes = 0;
  std::uint64_t staying_blocks = 0;
  std::uint64_t streamed_blocks = 0;
  std::uint64_t streamed_bytes = 0;  ///< per step
  std::uint32_t slots = 0;
  std::uint64_t slot_bytes = 0;  ///< all slots
  double step_ns = 0;
  double bound_ns = 0;  ///< max(compute, copying the streamed bytes)
};

[[nodiscard]] const char* to_string(forecast::kind how);

[[nodiscard]] forecast forecast_step(const named_model& model, const machine& on, std::uint64_t share_bytes);

}  // namespace pinrail::tools
