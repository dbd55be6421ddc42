// Tables for terminals.
#pragma once

#include <string>
#include <vector>

namespace examples {

/// Rows of cells, the first row a heading; the first column to the left, the others to the right. Rows are as long as
/// the first.
[[nodiscard]] std::string text_table(const std::vector<std::vector<std::string>>& rows);

}  // namespace examples
