// What pinrail/emulated.hpp asks of a backend. The emulated device has it; in tests so has the CUDA backend over a
// fake runtime, so that the same tests run on both.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "device/backend.hpp"
#include "pinrail/emulated.hpp"

namespace pinrail::devices {

/// Thread-safety: any thread may call anything.
class emulation {
 public:
  virtual void launch(stream_handle stream, std::function<void()> kernel,
                      std::span<const emulated::access> accesses) = 0;
  virtual void inject(const emulated::fault& what) = 0;
  virtual void clear_faults() = 0;
  [[nodiscard]] virtual bool has_faults() const = 0;
  [[nodiscard]] virtual std::vector<std::string> violations() const = 0;
  [[nodiscard]] virtual emulated::resources live_resources() const = 0;
  [[nodiscard]] virtual std::uint64_t calls_made() const = 0;

 protected:
  ~emulation() = default;
};

}  // namespace pinrail::devices
