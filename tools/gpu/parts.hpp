// The parts of `./dev gpu` that are measured in this program. Each returns rows: objects of plain figures, units last
// in their names. What goes wrong is thrown; wrong bytes are a failure, too.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <memory>

#include "pinrail/pinrail.hpp"

namespace gpu {

struct settings {
  std::shared_ptr<pinrail::device> device;
  int ordinal = 0;
  bool brief = false;  ///< a little of everything, for memcheck and for tests
};

/// (a) Blocks under pressure from many threads; every use fingerprints its block on the device.
nlohmann::json content(const settings& s);
/// (c) Pinrail's copies against bare cudaMemcpyAsync, by size and direction.
nlohmann::json bandwidth(const settings& s);
/// (d) Step time against the larger of computing and copying.
nlohmann::json overlap(const settings& s);
/// (f) Pins, guards and uses of resident blocks, each thread its own block, on one to all cores.
nlohmann::json hot_paths(const settings& s);
/// (g) What the calls cost that Pinrail makes, or may make one day.
nlohmann::json costs(const settings& s);
/// (h) Two models that share a budget, against plain ways to do it.
nlohmann::json plain(const settings& s);

}  // namespace gpu
