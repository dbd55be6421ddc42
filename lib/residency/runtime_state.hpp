// A registered runtime: blocks, source, counters.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/runtime_blocks.hpp"
#include "pinrail/model.hpp"
#include "residency/counters.hpp"
#include "residency/pacing.hpp"
#include "residency/pass_state.hpp"

namespace pinrail::residency {

class scheduler_state;
struct load_job;

/// What a block needs only when it is loaded.
struct block_extra {
  /// The load under way, or null. A hint for who waits: jobs are used again.
  core::atomic<load_job*> job{nullptr};
  /// Why the last load failed: errc in bits 32-39, native code below; 0 if it did not.
  core::atomic<std::uint64_t> failure{0};
  /// When the last write-back failed, to not try again at once.
  core::atomic<std::uint64_t> write_back_failed_ns{0};
};

class runtime_state {
 public:
  using native = core::native_atomics;

  /// What happens to the runtime as a whole.
  enum class phase : std::uint32_t { live, removing, removed };

  /// After a guest's exit.
  enum class departure : std::uint32_t {
    none,
    begun,      ///< the exit evicts; what is published from now on is evicted at once
    straggling  ///< something could not leave yet: the transfer thread goes on
  };

  runtime_state(std::shared_ptr<scheduler_state> owner, std::uint32_t index, std::string name, model blocks,
                std::vector<std::uint64_t> pages);

  [[nodiscard]] scheduler_state& owner() const noexcept { return *owner_; }
  [[nodiscard]] const std::shared_ptr<scheduler_state>& shared_owner() const noexcept { return owner_; }
  [[nodiscard]] std::uint32_t index() const noexcept { return index_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] const model& source_model() const noexcept { return model_; }
  [[nodiscard]] sources::source& source() const noexcept { return *model_.source(); }

  [[nodiscard]] core::runtime_blocks<native>& blocks() noexcept { return blocks_; }
  [[nodiscard]] const core::runtime_blocks<native>& blocks() const noexcept { return blocks_; }
  [[nodiscard]] core::block<native>& at(std::uint32_t position) noexcept { return blocks_.at(position); }
  [[nodiscard]] block_extra& extra(std::uint32_t position) noexcept { return extra_[position]; }
  [[nodiscard]] std::uint64_t size_bytes(std::uint32_t position) const noexcept {
    return model_.blocks()[position].size_bytes;
  }

  [[nodiscard]] std::uint64_t footprint_pages() const noexcept { return footprint_pages_; }
  [[nodiscard]] std::uint64_t largest_pages() const noexcept { return largest_pages_; }
  /// The least a guest needs: its largest block, and the largest other one to prefetch into.
  [[nodiscard]] std::uint64_t minimum_pages() const noexcept { return minimum_pages_; }

  // ---- pages charged to this runtime: resident, loading, or being obtained for a load ---------------------
  [[nodiscard]] std::uint64_t charged_pages() const noexcept { return charged_.load(core::order::acquire); }
  [[nodiscard]] bool try_charge(std::uint64_t pages, std::uint64_t limit) noexcept;
  void discharge(std::uint64_t pages) noexcept { charged_.fetch_sub(pages, core::order::release); }

  // ---- passes -----------------------------------------------------------------------------------------------
  [[nodiscard]] pass_state& pass(std::uint32_t slot) noexcept { return passes_[slot]; }
  [[nodiscard]] residency::pacing& pacing() noexcept { return pacing_; }
  [[nodiscard]] const residency::pacing& pacing() const noexcept { return pacing_; }
  [[nodiscard]] std::uint64_t uses() const noexcept;
  [[nodiscard]] std::uint64_t open_uses() const noexcept;
  /// Does anyone hold a block? Looks at all of them; pins that are stuck for good don't count.
  [[nodiscard]] bool has_pins() const noexcept;
  /// The end of a use that could not be recorded leaves its pin: the block stays where it is.
  void leave_pin() noexcept { stuck_pins_.fetch_add(1, core::order::seq_cst); }

  // ---- states -----------------------------------------------------------------------------------------------
  core::atomic<phase> state{phase::live};
  /// Its last guest scope has ended: blocks leave as soon as they can.
  core::atomic<departure> leaving{departure::none};
  counters stats;

 private:
  std::shared_ptr<scheduler_state> owner_;
  std::uint32_t index_;
  std::string name_;
  model model_;
  core::runtime_blocks<native> blocks_;
  std::unique_ptr<block_extra[]> extra_;
  std::array<pass_state, core::passes<native>::capacity> passes_;
  residency::pacing pacing_;
  std::uint64_t footprint_pages_ = 0;
  std::uint64_t largest_pages_ = 0;
  std::uint64_t minimum_pages_ = 0;
  core::atomic<std::uint64_t> charged_{0};
  core::atomic<std::uint64_t> stuck_pins_{0};
};

}  // namespace pinrail::residency
