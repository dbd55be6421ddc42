// A run's trace as shapes: boxes for the states of blocks, brackets for guards, steps for memory in use.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "pinrail/trace.hpp"

namespace examples {

struct colour {
  const char* name;
  unsigned rgb;
};
inline constexpr colour loading{"loading", 0xf2a541};
inline constexpr colour resident{"resident", 0xa9c6e8};
inline constexpr colour in_use{"in use", 0x1f5fa8};
/// By the text of guard events.
inline constexpr std::array guards{colour{"keep_resident", 0x2a9d5c}, colour{"primary", 0x8e44ad},
                                   colour{"secondary", 0xb07cc6}, colour{"guest", 0xd1495b}};

/// A block in one state. Times in seconds since the first event.
struct box {
  double from = 0;
  double to = 0;
  std::uint32_t runtime = 0;
  pinrail::block_index block = 0;
  colour what = resident;
};

struct bracket {
  double from = 0;
  double to = 0;
  std::uint32_t runtime = 0;
  std::size_t kind = 0;  ///< in `guards`
  std::size_t lane = 0;  ///< overlapping guards of a runtime lie in different lanes
};

struct timeline_shapes {
  std::vector<box> boxes;
  std::vector<bracket> brackets;
  std::vector<std::size_t> lanes;                     ///< of brackets, by runtime
  std::vector<std::pair<double, double>> used_gib;    ///< by time
  std::vector<std::pair<double, double>> budget_gib;  ///< by time
  double end_s = 0;
};

/// For a picture so many pixels wide: states shorter than half a pixel are left out, uses are drawn at least one long.
[[nodiscard]] timeline_shapes shapes_of(const pinrail::trace_recorder& trace, double pixels);

}  // namespace examples
