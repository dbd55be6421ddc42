#include "residency/holders.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "core/selection.hpp"
#include "pinrail/units.hpp"
#include "residency/victims.hpp"

namespace pinrail::residency {
namespace {

using reason = blocker::reason;

/// Why the runtime as a whole can't be taken from, if it can't.
std::optional<reason> whole_reason(core::runtime_bits rules, bool own) {
  if (rules.guards() != 0) return reason::kept;
  if (own) return std::nullopt;
  if (rules.primary()) return reason::primary;
  if (rules.secondary()) return reason::secondary;
  return std::nullopt;
}

std::optional<reason> block_reason(const runtime_state& r, std::uint32_t position, const selection& passes) {
  const auto word = r.blocks().at(position).word.load();
  if (word.absent()) return std::nullopt;
  if (word.loading()) return reason::loading;
  if (word.pins() != 0) return reason::pinned;
  if (word.protections() != 0) return reason::protected_blocks;
  if (word.dirty() || word.writing_back()) return reason::dirty;
  if (r.blocks().live_passes().live() != 0 && passes.time_to_use(r.blocks(), position) < 0) return reason::near_window;
  return std::nullopt;
}

void add_runtime(scheduler_state& s, const runtime_state& r, const runtime_state* requester,
                 std::vector<blocker>& out) {
  const auto whole = whole_reason(s.rules(r).load(), &r == requester);
  selection passes;
  passes.read_passes(r.blocks());
  std::array<std::uint64_t, 16> pages{};
  for (std::uint32_t p = 0; p < r.blocks().size(); ++p) {
    const auto why = block_reason(r, p, passes);
    const bool here = !r.blocks().at(p).word.load().absent();
    if (here && (whole || why))
      pages[static_cast<std::size_t>(whole.value_or(why.value_or(reason::pinned)))] += r.blocks().pages(p);
  }
  for (std::size_t i = 0; i < pages.size(); ++i)
    if (pages[i] != 0) out.push_back({r.name(), static_cast<reason>(i), s.to_bytes(pages[i])});
}

void sort_by_size(std::vector<blocker>& all) {
  std::stable_sort(all.begin(), all.end(), [](const blocker& a, const blocker& b) { return a.bytes > b.bytes; });
}

void add_byte_reservations(scheduler_state& s, std::vector<blocker>& out) {
  s.for_each_byte_entry([&](std::string_view name, std::uint64_t pages) {
    if (pages != 0) out.push_back({std::string(name), reason::bytes_reserved, s.to_bytes(pages)});
  });
}

}  // namespace

std::vector<blocker> blockers_of(scheduler_state& s, const runtime_state* requester) {
  std::vector<blocker> all;
  const scheduler_state::reading inside(s);
  s.for_each_runtime([&](const runtime_state& r) { add_runtime(s, r, requester, all); });
  add_byte_reservations(s, all);
  sort_by_size(all);
  return all;
}

std::vector<blocker> grants_of(scheduler_state& s) {
  std::vector<blocker> all;
  const scheduler_state::reading inside(s);
  s.for_each_runtime([&](const runtime_state& r) {
    const auto grant = s.read(r);
    if (grant.share_pages == 0) return;
    const reason why = grant.kind == core::holder::primary     ? reason::primary
                       : grant.kind == core::holder::secondary ? reason::secondary
                                                               : reason::guest;
    all.push_back({r.name(), why, s.to_bytes(grant.share_pages)});
  });
  add_byte_reservations(s, all);
  sort_by_size(all);
  return all;
}

std::string describe(const std::vector<blocker>& blockers) {
  if (blockers.empty()) return "nobody";
  std::string text;
  for (const blocker& b : blockers)
    text += fmt::format("{}{}: {}, {}", text.empty() ? "" : "; ", b.name, to_string(b.why), format_bytes(b.bytes));
  return text;
}

}  // namespace pinrail::residency
