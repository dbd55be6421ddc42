#include "residency/snapshot.hpp"

#include <algorithm>

namespace pinrail::residency {
namespace {

using kind = span_of_pages::kind;

/// What it costs to evict a block: pages to load again, per nanosecond until they are needed. Idle runtimes cost
/// next to nothing, the longest idle least.
double eviction_cost(const core::score& worth, std::uint64_t pages, std::uint64_t now_ns) noexcept {
  const auto size = static_cast<double>(pages);
  if (!worth.idle) return size * size / worth.value;
  const double idle_s = 1e-9 * static_cast<double>(now_ns - std::min(now_ns, worth.idle_since_ns));
  return 1e-15 * size / (1 + idle_s);
}

class snapshot_taker {
 public:
  snapshot_taker(scheduler_state& s, const room_request& request, std::vector<span_of_pages>& out) noexcept
      : state_(s),
        request_(request),
        passes_({.later_than_ns = request.later_than_ns, .waiting_windows = request.waiting_windows}),
        now_ns_(s.now_ns()),
        out_(out) {}

  void run(page_run pages) {
    const auto& map = state_.arena().map();
    for (std::uint32_t page = pages.first; page < pages.end();) {
      const span_of_pages span = map.taken(page) ? held_at(page) : free_at(page);
      const bool merge = span.what == kind::fixed && !out_.empty() && out_.back().what == kind::fixed;
      if (merge) {
        out_.back().run.count += span.run.count;
      } else {
        out_.push_back(span);
      }
      page = span.run.end();
    }
  }

 private:
  span_of_pages free_at(std::uint32_t page) const noexcept {
    const page_run run = state_.arena().map().free_run(page);
    if (run.first != page || run.count == 0) return {.run = {page, 1}};  // just taken
    const bool drains = request_.quiet && state_.arena().uncharged_pages(run) != run.count;
    return {.run = run, .what = drains ? kind::fixed : kind::free};
  }

  span_of_pages held_at(std::uint32_t page) noexcept {
    const span_of_pages unknown{.run = {page, 1}};
    const auto owner = state_.arena().owner(page);
    runtime_state* r = owner ? state_.runtime_at(owner->runtime, owner->position) : nullptr;
    if (r == nullptr) return unknown;
    const auto& block = r->at(owner->position);
    const core::block_bits word = block.word.load();
    const page_run run = block.run();
    if (!word.resident() || run.first != page || run.count == 0 || run.end() > state_.arena().pages()) return unknown;
    span_of_pages span{.run = run, .runtime = owner->runtime, .position = owner->position};
    if (word.pins() != 0 || word.writing_back() || word.dirty() || word.claimed()) return span;
    if (request_.from != room_request::victims::anyone &&
        (word.protections() != 0 || state_.rules(*r).load().guards() != 0))
      return span;  // nobody waits for it: what is protected stays where it is
    if (request_.quiet && !is_quiet(block)) return span;
    span.what = kind::movable;
    if (word.protections() == 0) judge(*r, span);
    return span;
  }

  [[nodiscard]] bool is_quiet(const core::block<native_atomics>& block) const noexcept {
    fence_set uses;
    read_fences(block, uses);
    uses.prune([this](ticket t) { return state_.timeline().is_complete(t); });
    return uses.empty();
  }

  void judge(runtime_state& r, span_of_pages& span) noexcept {
    if (request_.from == room_request::victims::nobody) return;
    if (request_.own_only && &r != request_.runtime) return;
    if (state_.rules(r).load().forbids(request_.relation_to(r))) return;
    if (passes_of_ != &r) {
      passes_.read_passes(r.blocks());
      passes_of_ = &r;
    }
    const auto worth = passes_.worth_of(r.blocks(), span.position);
    if (!worth || (request_.from == room_request::victims::idle_runtimes && !worth->idle)) return;
    span.what = kind::evictable;
    span.idle = worth->idle;
    span.cost = eviction_cost(*worth, span.run.count, now_ns_);
  }

  scheduler_state& state_;
  const room_request& request_;
  selection passes_;
  const runtime_state* passes_of_ = nullptr;
  std::uint64_t now_ns_;
  std::vector<span_of_pages>& out_;
};

}  // namespace

const std::vector<span_of_pages>& snapshot(scheduler_state& s, const room_request& request, page_run pages) noexcept {
  thread_local std::vector<span_of_pages> spans;  // kept, so that a steady state allocates nothing
  spans.clear();
  try {
    snapshot_taker(s, request, spans).run(pages);
  } catch (const std::bad_alloc&) {
    spans.clear();
  }
  return spans;
}

const std::vector<span_of_pages>& snapshot(scheduler_state& s, const room_request& request) noexcept {
  return snapshot(s, request, {0, s.arena().pages()});
}

}  // namespace pinrail::residency
