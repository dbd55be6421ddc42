// What people choose victims with. Each holds `candidates` blocks that may be evicted and gives `select_claim_reload`:
// the best victim is taken out, as an evictor that claims it does, and comes back with a new score, as after a reload.
//
// All are favoured: scores of blocks that stay don't change, although in truth every use changes the distance of every
// block; and they have one order where there would be one for each runtime.
#pragma once

#include <tbb/concurrent_priority_queue.h>

#include <algorithm>
#include <boost/lockfree/queue.hpp>
#include <cstdint>
#include <memory>
#include <mutex>
#include <queue>
#include <random>
#include <set>
#include <vector>

#include "core/atomic.hpp"

namespace pinrail::bench {

struct scored_block {
  double score = 0;
  std::uint32_t block = 0;
  friend auto operator<=>(const scored_block&, const scored_block&) = default;
};

/// Scores as `time to next use x size` has them: spread over the whole range.
class score_source {
 public:
  explicit score_source(std::uint64_t seed) : random_(seed) {}
  [[nodiscard]] double next() noexcept { return static_cast<double>(random_() >> 11); }

 private:
  std::mt19937_64 random_;
};

/// std::mutex and std::set ordered by score.
class set_under_mutex {
 public:
  explicit set_under_mutex(std::uint32_t candidates) {
    score_source scores(1);
    for (std::uint32_t b = 0; b < candidates; ++b) blocks_.insert({scores.next(), b});
  }
  std::uint32_t select_claim_reload(score_source& scores) {
    std::uint32_t chosen = 0;
    {
      const std::lock_guard lock(mutex_);
      const auto best = std::prev(blocks_.end());
      chosen = best->block;
      blocks_.erase(best);
    }
    const std::lock_guard lock(mutex_);
    blocks_.insert({scores.next(), chosen});
    return chosen;
  }
  [[nodiscard]] std::size_t size() const { return blocks_.size(); }

 private:
  std::mutex mutex_;
  std::set<scored_block> blocks_;
};

/// A binary heap under a mutex; what is outdated stays in it and is passed over when it comes up.
class lazy_heap_under_mutex {
 public:
  explicit lazy_heap_under_mutex(std::uint32_t candidates) : current_(candidates) {
    score_source scores(1);
    std::vector<scored_block> all;
    for (std::uint32_t b = 0; b < candidates; ++b) {
      current_[b] = scores.next();
      all.push_back({current_[b], b});
    }
    heap_ = std::priority_queue<scored_block>(std::less<scored_block>(), std::move(all));
  }
  std::uint32_t select_claim_reload(score_source& scores) {
    scored_block best;
    {
      const std::lock_guard lock(mutex_);
      do {
        best = heap_.top();
        heap_.pop();
      } while (current_[best.block] != best.score);
      current_[best.block] = -1;
    }
    const std::lock_guard lock(mutex_);
    current_[best.block] = scores.next();
    heap_.push({current_[best.block], best.block});
    return best.block;
  }
  [[nodiscard]] std::size_t size() const { return heap_.size(); }

 private:
  std::mutex mutex_;
  std::vector<double> current_;
  std::priority_queue<scored_block> heap_;
};

/// tbb::concurrent_priority_queue.
class tbb_priority_queue {
 public:
  explicit tbb_priority_queue(std::uint32_t candidates) {
    score_source scores(1);
    for (std::uint32_t b = 0; b < candidates; ++b) blocks_.push({scores.next(), b});
  }
  std::uint32_t select_claim_reload(score_source& scores) {
    scored_block best;
    while (!blocks_.try_pop(best)) {
    }
    blocks_.push({scores.next(), best.block});
    return best.block;
  }
  [[nodiscard]] std::size_t size() const { return blocks_.size(); }

 private:
  tbb::concurrent_priority_queue<scored_block> blocks_;
};

/// Second chance over a boost::lockfree::queue: no order by score, what most caches do instead.
class lockfree_second_chance {
 public:
  explicit lockfree_second_chance(std::uint32_t candidates)
      : candidates_(candidates), blocks_(candidates), used_(std::make_unique<core::atomic<bool>[]>(candidates)) {
    for (std::uint32_t b = 0; b < candidates; ++b) blocks_.push(b);
  }
  std::uint32_t select_claim_reload(score_source& scores) {
    // One use for each eviction.
    used_[static_cast<std::uint64_t>(scores.next()) % candidates_].store(true, core::order::relaxed);
    std::uint32_t chosen = 0;
    while (!blocks_.pop(chosen) || used_[chosen].exchange(false, core::order::relaxed)) blocks_.push(chosen);
    blocks_.push(chosen);
    return chosen;
  }
  [[nodiscard]] std::size_t size() const { return candidates_; }

 private:
  std::uint32_t candidates_;
  boost::lockfree::queue<std::uint32_t> blocks_;
  std::unique_ptr<core::atomic<bool>[]> used_;
};

/// Looks at all blocks of which a quarter is protected, collects the candidates, scores them, sorts, takes the first.
class scan_and_sort {
 public:
  explicit scan_and_sort(std::uint32_t candidates) : blocks_(std::uint64_t{candidates} * 4 / 3) {
    score_source scores(1);
    for (std::size_t b = 0; b < blocks_.size(); ++b)
      blocks_[b] = {.next_use = scores.next(), .pages = static_cast<std::uint32_t>(1 + b % 4), .held = b % 4 == 3};
  }
  std::uint32_t select_claim_reload(score_source& scores) {
    const std::lock_guard lock(mutex_);
    candidates_.clear();
    for (std::uint32_t b = 0; b < blocks_.size(); ++b)
      if (!blocks_[b].held) candidates_.push_back({blocks_[b].next_use * blocks_[b].pages, b});
    std::sort(candidates_.begin(), candidates_.end(), std::greater<>());
    const std::uint32_t chosen = candidates_.front().block;
    blocks_[chosen].next_use = scores.next();
    return chosen;
  }
  [[nodiscard]] std::size_t size() const { return blocks_.size() * 3 / 4; }

 private:
  struct block {
    double next_use = 0;
    std::uint32_t pages = 1;
    bool held = false;
  };
  std::mutex mutex_;
  std::vector<block> blocks_;
  std::vector<scored_block> candidates_;
};

}  // namespace pinrail::bench
