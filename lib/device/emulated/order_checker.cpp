#include "device/emulated/order_checker.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <new>
#include <string_view>
#include <utility>

namespace pinrail::devices {
namespace {

shadow_map::address address_of(const void* data) noexcept { return reinterpret_cast<shadow_map::address>(data); }

bool is_copy(toucher what) noexcept {
  return what == toucher::copy_to_device || what == toucher::copy_to_host || what == toucher::copy_within;
}

/// "kernel on stream 3"
std::string name(const touch& who) {
  const std::string on = fmt::format("on stream {}", who.when.stream);
  switch (who.what) {
    case toucher::copy_to_device:
      return "host-to-device copy " + on;
    case toucher::copy_to_host:
      return "device-to-host copy " + on;
    case toucher::copy_within:
      return "device-to-device copy " + on;
    case toucher::kernel:
      return "kernel " + on;
    case toucher::noted_use:
      return "use " + on;
    case toucher::discard:
      return "discard " + on;
    case toucher::host:
      break;
  }
  return "host access";
}

std::string_view verb(access way) noexcept { return way == access::write ? "writes" : "reads"; }

/// A read or a write that is not known to be over; null if there is none that `way` conflicts with.
const touch* find_unordered(const shadow& last, access way, const vector_clock& known) noexcept {
  if (!known.covers(last.write.when)) return &last.write;
  if (way == access::read) return nullptr;
  const auto found =
      std::find_if(last.reads.begin(), last.reads.end(), [&](const touch& read) { return !known.covers(read.when); });
  return found == last.reads.end() ? nullptr : &*found;
}

}  // namespace

template <class F>
void order_checker::guarded(F&& action) noexcept {
  const std::lock_guard lock(mutex_);
  try {
    action();
  } catch (const std::bad_alloc&) {
    ran_out_of_memory_ = true;
  }
}

// ---- streams ----------------------------------------------------------------------------------------------

void order_checker::begin_stream(std::uint32_t stream) {
  const std::lock_guard lock(mutex_);
  if (stream >= streams_.size()) streams_.resize(std::size_t{stream} + 1);
  // A stream of this number may have been before; its moments are over, and this one's come after them.
  streams_[stream] = host_;
  streams_[stream].set(stream, host_.at(stream) + 1);
}

void order_checker::end_stream(std::uint32_t stream) noexcept {
  guarded([&] { host_.join(streams_[stream]); });
}

void order_checker::end_all() noexcept {
  guarded([&] {
    for (const vector_clock& clock : streams_) host_.join(clock);
  });
}

order_checker::moment order_checker::record(std::uint32_t stream) noexcept {
  moment now;
  guarded([&] {
    vector_clock& clock = inherit(stream);
    now = std::make_shared<const vector_clock>(clock);
    clock.set(stream, clock.at(stream) + 1);
  });
  return now;
}

void order_checker::wait(std::uint32_t stream, const moment& what) noexcept {
  if (what == nullptr) return;
  guarded([&] { streams_[stream].join(*what); });
}

void order_checker::learn(const moment& what) noexcept {
  if (what == nullptr) return;
  guarded([&] { host_.join(*what); });
}

vector_clock& order_checker::inherit(std::uint32_t stream) {
  streams_[stream].join(host_);
  return streams_[stream];
}

// ---- memory -----------------------------------------------------------------------------------------------

void order_checker::add_memory(memory kind, const void* start, std::uint64_t size_bytes) noexcept {
  guarded([&] {
    const std::uint64_t number = kind == memory::pinned ? pinned_blocks_++ : 0;
    regions_.insert_or_assign(address_of(start), region{kind, size_bytes, number});
  });
}

void order_checker::remove_memory(const void* start) noexcept {
  guarded([&] {
    const auto found = regions_.find(address_of(start));
    if (found == regions_.end()) return;
    const address begin = found->first;
    const address end = begin + found->second.size_bytes;
    if (found->second.kind == memory::pinned) {
      for (const auto& piece : shadows_.pieces(begin, end)) {
        const touch* const pending = find_unordered(piece.last, access::write, host_);
        if (pending == nullptr) continue;
        report(
            fmt::format("pinned block {} is freed, but {} touches its bytes [{}, {}), and the host did not "
                        "see that complete",
                        found->second.number, name(*pending), piece.begin - begin, piece.end - begin));
        break;
      }
    }
    shadows_.erase(begin, end);
    regions_.erase(found);
  });
}

void order_checker::touch_by_stream(std::uint32_t stream, toucher what, const void* data, std::uint64_t size_bytes,
                                    access way) noexcept {
  guarded([&] {
    const vector_clock& known = inherit(stream);
    const address begin = address_of(data);
    apply({{{stream, known.at(stream)}, what}, begin, begin + size_bytes, way}, known);
  });
}

void order_checker::touch_by_host(const void* data, std::uint64_t size_bytes, access way) noexcept {
  guarded([&] {
    const address begin = address_of(data);
    apply({{{}, toucher::host}, begin, begin + size_bytes, way}, host_);
  });
}

void order_checker::apply(const request& asked, const vector_clock& known) {
  if (asked.begin == asked.end) return;
  const auto* const home = region_of(asked.begin);
  if (home == nullptr || asked.end > home->first + home->second.size_bytes) {
    if (is_copy(asked.who.what) || asked.who.what == toucher::host) return;
    return report(fmt::format("{} {} {} bytes at {:#x}, which are not within the device's memory", name(asked.who),
                              verb(asked.way), asked.end - asked.begin, asked.begin));
  }
  std::vector<shadow_map::piece> pieces = shadows_.pieces(asked.begin, asked.end);
  bool reported = false;
  for (shadow_map::piece& piece : pieces) {
    if (!reported) reported = report_conflict(asked, known, piece);
    if (asked.way == access::write) {
      piece.last.note_write(asked.who);
    } else {
      piece.last.note_read(asked.who, known);
    }
  }
  // What the host did is over; whatever is enqueued from now on comes after it.
  if (asked.who.what == toucher::host) return;
  shadows_.assign(pieces);
  if (shadows_.size() > next_sweep_) bound_memory();
}

void order_checker::bound_memory() {
  shadows_.forget(host_);
  if (shadows_.size() > most_ranges_) {
    shadows_.clear();
    forgot_ranges_ = true;
  }
  next_sweep_ = std::clamp(2 * shadows_.size(), std::min(first_sweep, most_ranges_), most_ranges_);
}

// ---- findings ---------------------------------------------------------------------------------------------

bool order_checker::report_conflict(const request& asked, const vector_clock& known, const shadow_map::piece& at) {
  if (const touch* const other = find_unordered(at.last, asked.way, known)) {
    const access other_way = other == &at.last.write ? access::write : access::read;
    report(fmt::format("{}, but nothing orders it after the {} that {} them", describe(asked, at.begin, at.end),
                       name(*other), verb(other_way)));
    return true;
  }
  if (asked.way == access::read && at.last.discarded) {
    const bool recent = at.last.write.when.time != 0;
    report(fmt::format("{} after {}, and nothing wrote them since", describe(asked, at.begin, at.end),
                       recent ? "the " + name(at.last.write) : "an earlier discard"));
    return true;
  }
  return false;
}

std::string order_checker::describe(const request& asked, address begin, address end) const {
  const auto& [start, home] = *region_of(begin);
  const std::string where = home.kind == memory::device ? "device" : fmt::format("pinned block {}", home.number);
  return fmt::format("{} {} {} bytes [{}, {})", name(asked.who), verb(asked.way), where, begin - start, end - start);
}

void order_checker::report(std::string sentence) {
  if (found_.size() < kept_violations) {
    found_.push_back(std::move(sentence));
  } else {
    ++not_kept_;
  }
}

const std::pair<const order_checker::address, order_checker::region>* order_checker::region_of(
    address at) const noexcept {
  auto next = regions_.upper_bound(at);
  if (next == regions_.begin()) return nullptr;
  --next;
  return at - next->first < next->second.size_bytes ? &*next : nullptr;
}

std::size_t order_checker::ranges() const {
  const std::lock_guard lock(mutex_);
  return shadows_.size();
}

std::vector<std::string> order_checker::violations() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> all = found_;
  if (not_kept_ != 0) all.push_back(fmt::format("and {} more that were counted but not kept", not_kept_));
  if (ran_out_of_memory_) all.emplace_back("the order checker ran out of memory; its findings are incomplete");
  if (forgot_ranges_) {
    all.push_back(
        fmt::format("more than {} ranges of memory were in use at once, so the order checker forgot "
                    "earlier accesses",
                    most_ranges_));
  }
  return all;
}

}  // namespace pinrail::devices
