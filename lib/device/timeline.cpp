#include "device/timeline.hpp"

#include <memory>
#include <new>
#include <thread>

namespace pinrail::devices {
namespace order = core::order;

namespace {
constexpr std::size_t words_in_all = std::size_t{timeline::max_streams} * timeline::lanes_per_stream;
constexpr std::uint32_t looks_per_query = 64;
}  // namespace

timeline::timeline(backend& device) : device_(device), streams_(std::make_unique<stream_slot[]>(max_streams)) {}

timeline::~timeline() {
  for (std::uint32_t s = 0; s < max_streams; ++s) {
    lane* lanes = streams_[s].lanes.load(order::acquire);
    if (lanes == nullptr) continue;
    for (std::uint32_t l = 0; l < lanes_per_stream; ++l)
      for (auto& event : lanes[l].ring)
        if (void* native = event.load(order::relaxed)) device_.destroy_event({native});
    delete[] lanes;
  }
  if (completion_word* words = words_.load(order::acquire)) device_.free_pinned(reinterpret_cast<std::byte*>(words));
}

result<std::uint32_t> timeline::take_slot(stream_handle handle, bool owned) noexcept {
  for (std::uint32_t i = 0; i < max_streams; ++i) {
    stream_slot& s = streams_[i];
    if (s.taken.load(order::relaxed) != 0 || s.taken.exchange(1, order::acquire) != 0) continue;
    if (s.lanes.load(order::relaxed) == nullptr) {
      lane* lanes = new (std::nothrow) lane[lanes_per_stream];
      if (lanes == nullptr) {
        s.taken.store(0, order::release);
        return failure{.code = errc::out_of_memory, .needed_bytes = sizeof(lane) * lanes_per_stream};
      }
      s.lanes.store(lanes, order::release);
    }
    s.handle = handle;
    s.owned = owned;
    s.by_word = false;
    return i;
  }
  return failure{.code = errc::limit, .needed_bytes = max_streams + 1, .available_bytes = max_streams};
}

result<std::uint32_t> timeline::create_stream(completion how) noexcept {
  auto handle = device_.create_stream();
  if (!handle) return handle.why();
  auto index = take_slot(*handle, true);
  if (!index) device_.destroy_stream(*handle);
  if (index && how == completion::by_word) give_words(*index);
  return index;
}

completion_word* timeline::words() noexcept {
  if (!device_.writes_words()) return nullptr;
  completion_word* there = words_.load(order::acquire);
  if (there != nullptr) return there;
  const auto memory = device_.allocate_pinned(words_in_all * sizeof(completion_word));
  if (!memory) return nullptr;  // events will do; the next stream tries again
  auto* const made = reinterpret_cast<completion_word*>(*memory);
  std::uninitialized_value_construct_n(made, words_in_all);
  if (words_.compare_exchange_strong(there, made, order::acq_rel, order::acquire)) return made;
  device_.free_pinned(*memory);
  return there;
}

void timeline::give_words(std::uint32_t stream) noexcept {
  completion_word* const all = words();
  if (all == nullptr) return;
  stream_slot& s = streams_[stream];
  lane* const lanes = s.lanes.load(order::acquire);
  for (std::uint32_t l = 0; l < lanes_per_stream; ++l)
    lanes[l].word.store(all + stream * lanes_per_stream + l, order::release);
  s.by_word = true;
}

std::uint64_t timeline::pinned_bytes() const noexcept {
  return words_.load(order::acquire) == nullptr ? 0 : words_in_all * sizeof(completion_word);
}

result<std::uint32_t> timeline::wrap_stream(void* native) noexcept {
  auto handle = device_.wrap_stream(native);
  if (!handle) return handle.why();
  return take_slot(*handle, false);
}

void timeline::close_stream(std::uint32_t stream) noexcept {
  stream_slot& s = streams_[stream];
  const bool drained = device_.synchronize_stream(s.handle).has_value();
  if (s.owned) device_.destroy_stream(s.handle);
  lane* lanes = s.lanes.load(order::acquire);
  for (std::uint32_t l = 0; l < lanes_per_stream; ++l)
    if (drained || s.owned) complete_to(lanes[l], lanes[l].submitted);
  s.handle = {};
  s.taken.store(0, order::release);
}

status timeline::synchronize(std::uint32_t stream) noexcept {
  return device_.synchronize_stream(streams_[stream].handle);
}

status timeline::drain(std::uint32_t stream) noexcept {
  constexpr int most_attempts = 16;
  status done = synchronize(stream);
  for (int attempt = 1; !done && done.code() != errc::device_lost && attempt < most_attempts; ++attempt) {
    std::this_thread::yield();
    done = synchronize(stream);
  }
  if (done) return {};
  return failure{.code = errc::device_lost, .native_code = done.why().native_code};
}

result<ticket> timeline::record(std::uint32_t stream) noexcept {
  stream_slot& s = streams_[stream];
  lane* lanes = s.lanes.load(order::acquire);
  for (std::uint32_t l = 0;; l = (l + 1) % lanes_per_stream) {
    lane& mine = lanes[l];
    if (mine.recording.load(order::relaxed) == 0 && mine.recording.exchange(1, order::acquire) == 0) {
      const status recorded = record_in(mine, s);
      const ticket t(stream * lanes_per_stream + l, mine.submitted);
      mine.recording.store(0, order::release);
      if (!recorded) return recorded.why();
      return t;
    }
    if (l + 1 == lanes_per_stream) std::this_thread::yield();
  }
}

status timeline::record_in(lane& l, const stream_slot& s) noexcept {
  if (const status room = await_ring(l); !room) return room;
  core::atomic<void*>& place = l.ring[(l.submitted + 1) % ring_size];
  event_handle event{place.load(order::relaxed)};
  if (event.native == nullptr) {
    auto created = device_.create_event();
    if (!created) return created.why();
    event = *created;
    place.store(event.native, order::publish_ticket);  // (18)
  }
  if (const status recorded = device_.record_event(event, s.handle); !recorded) return recorded;
  ++l.submitted;
  if (s.by_word && device_.write_word(s.handle, *l.word.load(order::relaxed), l.submitted))
    l.promised.store(l.submitted, order::relaxed);
  return {};
}

status timeline::await_ring(lane& l) noexcept {
  if (l.submitted < ring_size) return {};
  const std::uint64_t oldest = l.submitted + 1 - ring_size;
  while (l.completed.load(order::acquire) < oldest && !poll(l, oldest)) {
    const auto event = device_.query_event({l.ring[oldest % ring_size].load(order::relaxed)});
    if (!event) return event.why();
    if (device_.is_threaded()) {
      std::this_thread::yield();
    } else {
      device_.advance_clock(UINT64_MAX);
    }
  }
  return {};
}

timeline::lane& timeline::lane_of(ticket t) noexcept {
  return streams_[stream_of(t)].lanes.load(order::acquire)[t.lane() % lanes_per_stream];
}

bool timeline::is_complete(ticket t) noexcept {
  if (!t) return true;
  lane& l = lane_of(t);
  return l.completed.load(order::read_ticket) >= t.sequence() || poll(l, t.sequence());
}

std::optional<bool> timeline::read_word(lane& l, std::uint64_t sequence) noexcept {
  const completion_word* const word = l.word.load(order::acquire);
  if (word == nullptr) return std::nullopt;
  const std::uint64_t reached = word->load(order::read_word);  // (22)
  if (reached >= sequence) {
    device_.note_word(*word, reached);
    complete_to(l, reached);
    return true;
  }
  // Relaxed: who reads an old value asks the event, which is no less true.
  if (l.promised.load(order::relaxed) < sequence) return std::nullopt;
  if (l.looks.fetch_add(1, order::relaxed) % looks_per_query == looks_per_query - 1) return std::nullopt;
  return false;
}

bool timeline::poll(lane& l, std::uint64_t sequence) noexcept {
  if (const auto known = read_word(l, sequence)) return *known;
  void* event = l.ring[sequence % ring_size].load(order::read_ticket);  // (19)
  const auto done = device_.query_event({event});
  if (done.code() == errc::device_lost)
    loss_.store(std::uint64_t{1} << 32 | static_cast<std::uint32_t>(done.why().native_code), order::relaxed);
  if (!done || !*done) return false;
  // The event may have been recorded again since: then that record is complete too, and so is ours before it.
  complete_to(l, sequence);
  return true;
}

std::optional<failure> timeline::loss() const noexcept {
  const std::uint64_t packed = loss_.load(order::relaxed);
  if (packed == 0) return std::nullopt;
  return failure{.code = errc::device_lost, .native_code = static_cast<std::int32_t>(packed)};
}

void timeline::complete_to(lane& l, std::uint64_t sequence) noexcept {
  std::uint64_t seen = l.completed.load(order::relaxed);
  while (seen < sequence && !l.completed.compare_exchange_weak(seen, sequence, order::acq_rel, order::relaxed)) {
  }
}

status timeline::wait(std::uint32_t stream, ticket t) noexcept {
  if (!t || stream_of(t) == stream || is_complete(t)) return {};
  lane& l = lane_of(t);
  return device_.wait_event(streams_[stream].handle, {l.ring[t.sequence() % ring_size].load(order::read_ticket)});
}

result<ticket> timeline::join(std::uint32_t stream, std::span<const ticket> tickets) noexcept {
  for (const ticket t : tickets)
    if (const status ok = wait(stream, t); !ok) return ok.why();
  return record(stream);
}

}  // namespace pinrail::devices
