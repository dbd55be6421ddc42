// What the handles of one workspace share.
//
// Its share in the reservation table is the larger of its standing share and what is out, and never less: an
// allocation grows the table before it counts itself in `used_`, a deallocation shrinks it after. So nobody is granted
// bytes that are out (rule 10).
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/atomic.hpp"
#include "pinrail/workspace.hpp"
#include "residency/native_streams.hpp"
#include "residency/scheduler_state.hpp"

namespace pinrail::residency {

class workspace_state {
 public:
  /// Throws if the share can't be granted.
  workspace_state(std::shared_ptr<scheduler_state> s, const workspace_options& options);
  workspace_state(const workspace_state&) = delete;
  workspace_state& operator=(const workspace_state&) = delete;
  ~workspace_state();

  [[nodiscard]] result<void*> allocate(std::uint64_t size_bytes, std::uint32_t stream) noexcept;
  [[nodiscard]] result<void> deallocate(void* memory, std::uint64_t size_bytes, std::uint32_t stream) noexcept;

  [[nodiscard]] scheduler_state& owner() const noexcept { return *scheduler_; }
  [[nodiscard]] native_streams& streams() noexcept { return streams_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] std::uint64_t used_bytes() const noexcept { return owner().to_bytes(used_.load(core::order::relaxed)); }
  [[nodiscard]] std::uint64_t peak_used_bytes() const noexcept {
    return owner().to_bytes(peak_.load(core::order::relaxed));
  }

 private:
  [[nodiscard]] std::uint64_t most_pages() const noexcept;
  /// What the table grows by from `before` pages out to `after`.
  [[nodiscard]] std::uint64_t beyond_share(std::uint64_t before, std::uint64_t after) const noexcept;
  [[nodiscard]] result<void> admit(std::uint64_t pages) noexcept;
  void dismiss(std::uint64_t pages) noexcept;
  [[nodiscard]] result<extent> take(std::uint64_t pages, std::uint32_t stream) noexcept;
  [[nodiscard]] result<page_run> find(const void* memory, std::uint64_t size_bytes) noexcept;

  std::shared_ptr<scheduler_state> scheduler_;
  std::string name_;
  std::uint64_t deadline_ns_;
  std::uint64_t limit_pages_;
  std::uint64_t share_pages_;
  std::uint32_t entry_;
  native_streams streams_;
  std::unique_ptr<core::atomic<std::uint32_t>[]> lengths_;  ///< by first page: pages of what is out there, or 0
  core::atomic<std::uint64_t> used_{0};
  core::atomic<std::uint64_t> peak_{0};
};

}  // namespace pinrail::residency
