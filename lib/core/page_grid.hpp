// How an arena is cut into pages.
//
// Pages need not be whole multiples of what addresses are aligned to: page p begins at the last aligned address at or
// below p/pages of the arena. So an arena that was measured out for so many equal blocks can be cut such that each has
// a whole number of pages, whatever their size, and so many fit.
#pragma once

#include <cstdint>
#include <optional>

namespace pinrail::core {

class page_grid {
 public:
  static constexpr std::uint64_t unit_bytes = 256;  ///< what addresses are aligned to, as CUDA's are

  page_grid(std::uint64_t units, std::uint32_t pages) noexcept : units_(units), pages_(pages) {}

  [[nodiscard]] std::uint32_t pages() const noexcept { return pages_; }
  [[nodiscard]] std::uint64_t total_bytes() const noexcept { return units_ * unit_bytes; }
  /// Of one page, rounded down where they differ.
  [[nodiscard]] std::uint64_t page_bytes() const noexcept { return units_ / pages_ * unit_bytes; }

  [[nodiscard]] double mean_page_bytes() const noexcept {
    return static_cast<double>(total_bytes()) / static_cast<double>(pages_);
  }

  /// Where a page begins; for `pages()`, the end of the arena.
  [[nodiscard]] std::uint64_t offset_bytes(std::uint32_t page) const noexcept {
    return page * units_ / pages_ * unit_bytes;
  }
  /// The page that begins there, if one does.
  [[nodiscard]] std::optional<std::uint32_t> page_at(std::uint64_t offset) const noexcept {
    if (offset >= total_bytes()) return std::nullopt;
    const auto page = static_cast<std::uint32_t>((offset / unit_bytes * pages_ + units_ - 1) / units_);
    return offset_bytes(page) == offset ? std::optional(page) : std::nullopt;
  }

  /// What so many pages hold, wherever they begin. 2^64 - 1 where it would be more: what was asked for may be anything.
  [[nodiscard]] std::uint64_t size_bytes(std::uint64_t pages) const noexcept {
    const std::uint64_t arenas = pages / pages_;
    if (arenas >= UINT64_MAX / total_bytes()) return UINT64_MAX;
    return arenas * total_bytes() + offset_bytes(static_cast<std::uint32_t>(pages % pages_));
  }
  /// The fewest pages that hold so many bytes, wherever they begin.
  [[nodiscard]] std::uint64_t pages_for(std::uint64_t size_bytes) const noexcept {
    const std::uint64_t units = size_bytes / unit_bytes + (size_bytes % unit_bytes != 0);
    return units / units_ * pages_ + (units % units_ * pages_ + units_ - 1) / units_;
  }
  /// The most pages that hold no more (`size_bytes`).
  [[nodiscard]] std::uint64_t whole_pages(std::uint64_t size_bytes) const noexcept {
    const std::uint64_t units = size_bytes / unit_bytes;
    return units / units_ * pages_ + ((units % units_ + 1) * pages_ + units_ - 1) / units_ - 1;
  }

 private:
  std::uint64_t units_;  ///< at least `pages_`, below 2^42
  std::uint32_t pages_;  ///< below 2^21
};

}  // namespace pinrail::core
