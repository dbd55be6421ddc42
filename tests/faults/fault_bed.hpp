// A device of which one call fails, and what is left of it at its end.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "pinrail/device.hpp"
#include "pinrail/emulated.hpp"
#include "pinrail/error.hpp"

namespace pinrail::test {

/// Calls to a device that fail: `count` in a row, of one kind or of any. No code: none does.
struct planned_fault {
  emulated::call where = emulated::call::any;
  std::uint64_t first = 0;  ///< from the opening of the device on, from 0
  errc code = errc::none;
  std::uint64_t count = 1;
};

class fault_bed {
 public:
  explicit fault_bed(const planned_fault& plan) : plan_(plan) {}
  fault_bed(const fault_bed&) = delete;
  fault_bed& operator=(const fault_bed&) = delete;
  virtual ~fault_bed() = default;

  [[nodiscard]] virtual pinrail::device& device() = 0;
  /// Throws error(device_lost) on a lost device.
  virtual void launch(stream_ref on, std::function<void()> kernel, std::span<const emulated::access> touched) = 0;
  /// Calls so far of the kind that the plan names.
  [[nodiscard]] virtual std::uint64_t calls_made() = 0;
  /// Ends the device, which nobody else may hold any more. Returns what must not be: accesses that nothing orders,
  /// and memory, streams and events that nobody gave back.
  [[nodiscard]] virtual std::vector<std::string> close() = 0;

  [[nodiscard]] const planned_fault& plan() const { return plan_; }
  /// The first of the planned calls has been made.
  [[nodiscard]] bool reached() { return calls_made() > plan_.first; }

 private:
  const planned_fault plan_;
};

using bed_maker = std::function<std::unique_ptr<fault_bed>(const planned_fault&)>;

}  // namespace pinrail::test
