// What happened when: a recorder to hand to `scheduler_options::trace`.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "pinrail/model.hpp"

namespace pinrail {

enum class trace_kind : std::uint8_t {
  load_begin,        ///< block
  resident,          ///< block; bytes
  load_failed,       ///< block
  evicted,           ///< block; bytes
  moved,             ///< block; bytes
  use_begin,         ///< block; id: which use
  use_end,           ///< block; id
  stall_begin,       ///< block; id
  stall_end,         ///< block; id
  write_back_begin,  ///< block
  write_back_end,    ///< block; bytes
  guard_begin,       ///< id; text: "keep_resident", "primary", "secondary", "guest"
  guard_end,         ///< id
  used_bytes,        ///< bytes; no runtime
  budget_bytes,      ///< bytes; no runtime
};

struct trace_event {
  static constexpr std::uint32_t no_runtime = UINT32_MAX;

  std::uint64_t time_ns = 0;  ///< on the device's clock
  trace_kind kind = trace_kind::used_bytes;
  std::uint32_t runtime = no_runtime;
  block_index block = 0;
  std::uint64_t id = 0;
  std::uint64_t size_bytes = 0;
  const char* text = "";  ///< a literal
};

struct trace_runtime {
  std::string name;
  std::vector<block_info> blocks;
};

/// Thread-safety: `add` from any thread, lock-free after a thread's first event; the rest when the scheduler has
/// ended or is idle.
class trace_recorder {
 public:
  trace_recorder();
  trace_recorder(const trace_recorder&) = delete;
  trace_recorder& operator=(const trace_recorder&) = delete;
  ~trace_recorder();

  void add(const trace_event& event);
  void add_runtime(std::uint32_t index, trace_runtime runtime);

  /// All events, by time.
  [[nodiscard]] std::vector<trace_event> events() const;
  /// By runtime index.
  [[nodiscard]] const std::vector<trace_runtime>& runtimes() const noexcept;

  /// Trace Event Format (Google, "Trace Event Format"), which Perfetto and chrome://tracing open: a process per
  /// runtime, a thread per block, counters for used bytes and budget. Throws `errc::io_error`.
  void write_chrome_json(const std::filesystem::path& file) const;

 private:
  struct buffers;
  std::unique_ptr<buffers> buffers_;
};

}  // namespace pinrail
