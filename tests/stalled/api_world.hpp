// A scheduler on an emulated device with full memory, and everything that its users do.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "stalled/experiment.hpp"
#include "support/rig.hpp"

namespace pinrail::test {

class api_world {
 public:
  static constexpr bool refusals_wait = true;
  static constexpr unsigned most_points_per_place = 2;
  static constexpr std::uint64_t pages = 56;
  static constexpr std::uint64_t cycle_share = 4;
  static constexpr unsigned threads = 5;

  /// One of each for two objects.
  struct object {
    named_runtime kept;     ///< its blocks are resident, and stay so
    named_runtime changed;  ///< the same; each thread changes one
    named_runtime cycle;    ///< reserved, and larger than its share: some block is always absent
    named_runtime trimmed;  ///< holds more than what it is going to reserve
    named_runtime visitor;  ///< a guest now and then
    named_runtime staged;   ///< not pinned: its bytes go through slabs
    named_runtime written;  ///< dirty, and the first victim there is
    std::array<residency_guard, 2> guards;
  };

  api_world();

  [[nodiscard]] object& at(unsigned index) { return objects_[index]; }
  [[nodiscard]] stream_ref stream_of(unsigned thread) { return streams_[thread]; }
  [[nodiscard]] scheduler& sched() { return rig_.sched(); }
  [[nodiscard]] rig& all() { return rig_; }
  [[nodiscard]] model added() { return added_.model(); }

  /// What is wrong when every thread has finished what it began.
  [[nodiscard]] std::vector<std::string> faults();

 private:
  rig rig_{{.vram_budget = pages * rig::page_bytes,
            .high_watermark = 1,
            .chunk_bytes = 64 << 10,
            .staging_slabs = 2,
            .max_runtimes = 32}};
  std::vector<stream> streams_;
  std::array<object, 2> objects_;
  named_runtime filler_;  ///< its blocks are the victims
  host_model added_{1, rig::page_bytes, 1};
};

struct api_actor {
  api_actor(unsigned thread_number, unsigned object_number, bool is_hurried)
      : thread(thread_number), object(object_number), hurried(is_hurried) {}

  unsigned thread;
  unsigned object;
  bool hurried;
  [[nodiscard]] api_world::object& mine(api_world& w) const { return w.at(object); }
  [[nodiscard]] std::chrono::nanoseconds deadline() const {
    return hurried ? std::chrono::milliseconds(2) : std::chrono::seconds(20);
  }

  // What one part of an operation leaves for the next.
  block_index block = 0;
  std::optional<forward_pass> pass;
  std::optional<use> held;
  residency_guard kept;
  block_guard protection;
  reservation handle;
  guest_guard guest;
  byte_reservation bytes;
  runtime added;
};

using api_operation = stalled_operation<api_world, api_actor>;
[[nodiscard]] const std::vector<api_operation>& api_operations();
/// What the thread does on which the library enqueues copies, one for each kind of work.
[[nodiscard]] const std::vector<api_operation>& copy_operations();

}  // namespace pinrail::test
