// A picture of a run: every block of every runtime over time, guards as brackets, and memory in use below.
#pragma once

#include <filesystem>

#include "pinrail/trace.hpp"

namespace examples {

/// Draws `trace` to an SVG file with gnuplot, from a script that stays beside it (`svg` with the ending .gp). Throws
/// std::runtime_error, saying what to install, if gnuplot is not there or fails.
void draw_timeline(const pinrail::trace_recorder& trace, const std::filesystem::path& svg);

}  // namespace examples
