// What a run did and found, as text and as JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "options.hpp"
#include "round.hpp"
#include "violations.hpp"

namespace stress {

struct run_report {
  const options& asked;
  const run_figures& figures;
  const violations& found;
  double seconds = 0;
};

[[nodiscard]] std::string text_of(const run_report& r);
[[nodiscard]] nlohmann::json json_of(const run_report& r);

}  // namespace stress
