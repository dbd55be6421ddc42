// The blocks of one runtime as the protocol sees them: words, sizes, candidate bits, live passes.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/atomic.hpp"
#include "core/block.hpp"
#include "core/candidates.hpp"
#include "core/passes.hpp"
#include "core/reuse.hpp"
#include "core/walk.hpp"

namespace pinrail::core {

template <class A>
class runtime_blocks {
 public:
  explicit runtime_blocks(std::vector<std::uint64_t> pages)
      : pages_(std::move(pages)),
        blocks_(std::make_unique<block<A>[]>(pages_.size())),
        candidates_(pages_),
        reuse_(size()) {}

  [[nodiscard]] std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(pages_.size()); }
  [[nodiscard]] std::uint64_t pages(std::uint32_t position) const noexcept { return pages_[position]; }
  [[nodiscard]] block<A>& at(std::uint32_t position) noexcept { return blocks_[position]; }
  [[nodiscard]] const block<A>& at(std::uint32_t position) const noexcept { return blocks_[position]; }

  [[nodiscard]] candidates<A>& bits() noexcept { return candidates_; }
  [[nodiscard]] passes<A>& live_passes() noexcept { return passes_; }
  [[nodiscard]] const passes<A>& live_passes() const noexcept { return passes_; }

  /// After the block may have become a candidate: published, or no longer protected.
  void offer(std::uint32_t position) noexcept { candidates_.set(position); }

  /// After it may have stopped being one.
  void withdraw(std::uint32_t position) noexcept { candidates_.withdraw(position, blocks_[position].word); }

  // ---- for runtimes without an order --------------------------------------------------------------------------
  [[nodiscard]] reuse_estimates<A>& reuse() noexcept { return reuse_; }
  [[nodiscard]] const reuse_estimates<A>& reuse() const noexcept { return reuse_; }
  /// Where the next search among very many blocks begins.
  [[nodiscard]] std::uint32_t hand() const noexcept { return hand_.load(order::relaxed); }
  void move_hand(std::uint32_t position) noexcept { hand_.store(position, order::relaxed); }

  // ---- for idle runtimes ------------------------------------------------------------------------------------
  /// When its last pass ended, or the time that counts as that.
  [[nodiscard]] std::uint64_t idle_since_ns() const noexcept { return idle_since_ns_.load(order::relaxed); }
  [[nodiscard]] std::uint64_t pace_ns() const noexcept { return pace_ns_.load(order::relaxed); }
  void note_pass_end(std::uint64_t now_ns, std::uint64_t pace_ns) noexcept {
    const std::uint64_t before_ns = idle_since_ns();
    backdate_ns_.store(before_ns == 0 || before_ns > now_ns ? 0 : (now_ns - before_ns) / 8, order::relaxed);
    idle_since_ns_.store(now_ns, order::relaxed);
    if (pace_ns != 0) pace_ns_.store(pace_ns, order::relaxed);
  }

  /// From some passes' time after its last pass on, counts the runtime as idle for longer, by a part of the time
  /// between its uses: what was used seldom will not be used soon. Not at once: a copy in place of a block whose
  /// kernels still run would have to wait for them. Hints, like all of these: a pass that ends meanwhile may be
  /// overlooked.
  void backdate(std::uint64_t now_ns) noexcept {
    constexpr std::uint64_t passes_until_done = 5;
    const std::uint64_t by_ns = backdate_ns_.load(order::relaxed);
    std::uint64_t since_ns = idle_since_ns();
    if (by_ns == 0 || now_ns < since_ns + passes_until_done * size() * pace_ns()) return;
    backdate_ns_.store(0, order::relaxed);
    idle_since_ns_.compare_exchange_strong(since_ns, since_ns - by_ns, order::relaxed, order::relaxed);
  }

  /// Passes follow each other in patterns (forward after forward, or a reverse one in turn): what came last after
  /// a pass of this heading is expected again.
  [[nodiscard]] heading expected_after(heading h) const noexcept {
    return static_cast<heading>(follows_.load(order::relaxed) >> static_cast<unsigned>(h) & 1);
  }
  void note_pass_begin(heading h) noexcept {
    const unsigned before = static_cast<unsigned>(last_heading_.exchange(static_cast<std::uint8_t>(h), order::relaxed));
    if (before == no_heading) return;
    const auto bit = static_cast<std::uint8_t>(1u << before);
    if (h == heading::reverse) {
      follows_.fetch_or(bit, order::relaxed);
    } else {
      follows_.fetch_and(static_cast<std::uint8_t>(~bit), order::relaxed);
    }
  }
  /// Where an idle runtime is expected to begin again: a walk with nothing done.
  [[nodiscard]] walk parked() const noexcept {
    const auto last = last_heading_.load(order::relaxed);
    const heading h = last == no_heading ? heading::forward : expected_after(static_cast<heading>(last));
    return {.length = size(), .done = 0, .now = h, .next = expected_after(h)};
  }

 private:
  static constexpr std::uint8_t no_heading = 2;

  std::vector<std::uint64_t> pages_;
  std::unique_ptr<block<A>[]> blocks_;
  candidates<A> candidates_;
  passes<A> passes_;
  reuse_estimates<A> reuse_;
  typename A::template atomic<std::uint32_t> hand_{0};
  typename A::template atomic<std::uint64_t> idle_since_ns_{0};
  typename A::template atomic<std::uint64_t> backdate_ns_{0};
  typename A::template atomic<std::uint64_t> pace_ns_{0};
  typename A::template atomic<std::uint8_t> follows_{0};
  typename A::template atomic<std::uint8_t> last_heading_{no_heading};
};

}  // namespace pinrail::core
