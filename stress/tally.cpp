#include "tally.hpp"

#include <initializer_list>

namespace stress {

using pinrail::errc;

namespace {

bool any_of(errc code, std::initializer_list<errc> codes) noexcept {
  return std::find(codes.begin(), codes.end(), code) != codes.end();
}

}  // namespace

const char* to_string(operation what) noexcept {
  static constexpr std::array<const char*, operations> names{
      "open pass",         "use",        "write",           "prefetch",       "keep",       "keep and load",
      "protect",           "look",       "reserve",         "release",        "guest",      "bytes",
      "bytes with memory", "set budget", "add runtime",     "remove runtime", "statistics", "blockers",
      "hand over",         "unwind",     "reversed finish", "brief stream",   "misuse"};
  return names[static_cast<std::size_t>(what)];
}

bool is_documented(operation what, errc code) noexcept {
  switch (what) {
    case operation::open_pass:
      return any_of(code, {errc::closed, errc::limit});
    // io_error: some sources fail at times.
    case operation::use:
      return any_of(code, {errc::no_victim, errc::timed_out, errc::io_error});
    case operation::write:
      return any_of(code, {errc::no_victim, errc::timed_out, errc::io_error});
    case operation::keep:
      return any_of(code, {errc::closed});
    // too_large: a runtime with a share is no smaller than its largest block, but all of it may be.
    case operation::keep_load:
      return any_of(code, {errc::closed, errc::no_victim, errc::timed_out, errc::io_error});
    case operation::protect:
      return any_of(code, {errc::closed});
    case operation::reserve:
      return any_of(
          code, {errc::closed, errc::insufficient_headroom, errc::too_large, errc::conflict, errc::invalid_argument});
    case operation::guest:
      return any_of(code, {errc::closed, errc::insufficient_headroom, errc::too_large, errc::conflict});
    case operation::bytes:
      return any_of(code, {errc::insufficient_headroom, errc::no_victim});
    case operation::bytes_memory:
      return any_of(code, {errc::insufficient_headroom, errc::no_victim, errc::timed_out, errc::too_large});
    case operation::budget:
      return any_of(code, {errc::insufficient_headroom, errc::no_victim});
    case operation::remove_runtime:
      return any_of(code, {errc::in_use, errc::closed});
    default:
      return false;
  }
}

std::uint64_t tally::done() const noexcept {
  std::uint64_t sum = 0;
  for (const outcomes& o : by_operation) sum += o.done;
  return sum;
}

std::uint64_t tally::refused() const noexcept {
  std::uint64_t sum = 0;
  for (const outcomes& o : by_operation) sum += o.refused_total();
  return sum;
}

void tally::add(const tally& other) noexcept {
  for (std::size_t i = 0; i < operations; ++i) {
    by_operation[i].done += other.by_operation[i].done;
    for (std::size_t c = 0; c < error_codes; ++c) by_operation[i].refused[c] += other.by_operation[i].refused[c];
  }
  longest_overrun_ns = std::max(longest_overrun_ns, other.longest_overrun_ns);
}

void library_counts::add(const pinrail::runtime_statistics& s) noexcept {
  loads += s.loads;
  failed_loads += s.failed_loads;
  prefetches += s.prefetches;
  hits += s.hits;
  stalls += s.stalls;
  written_back += s.written_back;
  moves += s.moves;
  secondary_evictions += s.secondary_evictions;
  for (std::size_t i = 0; i < victims.size(); ++i) victims[i] += s.victims[i];
}

void library_counts::add(const library_counts& other) noexcept {
  loads += other.loads;
  failed_loads += other.failed_loads;
  prefetches += other.prefetches;
  hits += other.hits;
  stalls += other.stalls;
  written_back += other.written_back;
  moves += other.moves;
  secondary_evictions += other.secondary_evictions;
  for (std::size_t i = 0; i < victims.size(); ++i) victims[i] += other.victims[i];
}

}  // namespace stress
