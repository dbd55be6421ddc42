// A model whose bytes are known, and its registration as a runtime, which comes and goes.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "block_access.hpp"
#include "pinrail/pinrail.hpp"
#include "support/test_device.hpp"

namespace stress {

struct slot_plan {
  enum class source_kind : std::uint8_t { pinned, staged, callback };

  std::uint32_t number = 0;
  std::uint64_t owner = 0;  ///< of its first block's content; the others follow
  std::vector<std::uint64_t> sizes_bytes;
  source_kind source = source_kind::pinned;
  bool writable = false;
  std::uint64_t seed = 0;  ///< of a callback source's delays and failures
};

/// Thread-safety: any thread may call anything, but `compare_source` only while nothing is written back.
class runtime_slot {
 public:
  explicit runtime_slot(slot_plan plan);

  [[nodiscard]] std::uint32_t number() const noexcept { return plan_.number; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] bool writable() const noexcept { return plan_.writable; }
  [[nodiscard]] std::uint32_t block_count() const noexcept { return static_cast<std::uint32_t>(bytes_.size()); }
  [[nodiscard]] std::uint64_t size_bytes(std::uint32_t block) const noexcept { return bytes_[block].size(); }
  [[nodiscard]] std::uint64_t footprint_bytes() const noexcept { return footprint_bytes_; }
  [[nodiscard]] std::uint64_t largest_bytes() const noexcept { return largest_bytes_; }

  // ---- content --------------------------------------------------------------------------------------------
  /// Unique among all blocks.
  [[nodiscard]] std::uint64_t owner_of(std::uint32_t block) const noexcept { return plan_.owner + block; }
  [[nodiscard]] block_record& record(std::uint32_t block) noexcept { return records_[block]; }
  /// Does the source have what was written last? Says what is wrong otherwise.
  [[nodiscard]] std::optional<std::string> compare_source() const;
  /// From now on the callbacks succeed at once.
  void stop_faults() noexcept { faults_.store(false, std::memory_order_relaxed); }

  // ---- registration -----------------------------------------------------------------------------------------
  void add_to(pinrail::scheduler& s);
  /// Empty while it is not registered.
  [[nodiscard]] pinrail::runtime handle() const;
  void forget_handle();
  /// One thread at a time registers or removes it.
  [[nodiscard]] bool begin_change() noexcept { return !changing_.exchange(true, std::memory_order_acquire); }
  void end_change() noexcept { changing_.store(false, std::memory_order_release); }
  /// Someone wants to remove it: others are to let go of it.
  [[nodiscard]] bool is_wanted_out() const noexcept { return wanted_out_.load(std::memory_order_relaxed); }
  void want_out(bool yes) noexcept { wanted_out_.store(yes, std::memory_order_relaxed); }

 private:
  [[nodiscard]] pinrail::model make_model();
  [[nodiscard]] pinrail::model make_callback_model();
  /// Delays a callback, or makes it fail.
  [[nodiscard]] bool callback_succeeds() noexcept;

  slot_plan plan_;
  std::string name_;
  std::vector<std::vector<std::byte>> bytes_;
  std::vector<pinrail::test::page_lock> locked_;
  std::unique_ptr<block_record[]> records_;
  std::uint64_t footprint_bytes_ = 0;
  std::uint64_t largest_bytes_ = 0;
  std::atomic<bool> faults_{true};
  std::atomic<std::uint64_t> callbacks_{0};
  mutable std::mutex mutex_;
  pinrail::runtime handle_;
  std::atomic<bool> changing_{false};
  std::atomic<bool> wanted_out_{false};
};

}  // namespace stress
