#include "device/simulated/backend.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <new>
#include <utility>

#include "device/copy_cost.hpp"
#include "pinrail/units.hpp"

namespace pinrail::devices {
namespace {

/// Null for a handle that is not in the table.
template <class Table>
typename Table::mapped_type::pointer find(const Table& table, void* native) noexcept {
  const auto found = table.find(native);
  return found == table.end() ? nullptr : found->second.get();
}

template <class Handle, class Table>
result<Handle> add(Table& table) noexcept {
  try {
    auto made = std::make_unique<typename Table::mapped_type::element_type>();
    void* const native = made.get();
    table.emplace(native, std::move(made));
    return Handle{native};
  } catch (const std::bad_alloc&) {
    return failure{.code = errc::out_of_memory};
  }
}

constexpr failure bad_call{.code = errc::device_error};

}  // namespace

simulated_backend::simulated_backend(const host_device_options& options)
    : options_(options), memory_(options.vram_bytes, device_memory::arena_kind::addresses) {}

std::string simulated_backend::name() const { return fmt::format("simulated, {}", format_bytes(options_.vram_bytes)); }

// ---- clock ------------------------------------------------------------------------------------------------

void simulated_backend::move_clock(std::uint64_t to_ns) noexcept {
  now_ns_ = std::max(now_ns_, to_ns);
  while (!ends_ns_.empty() && ends_ns_.top() <= now_ns_) ends_ns_.pop();
}

bool simulated_backend::advance_clock(std::uint64_t limit_ns) noexcept {
  const bool pending = !ends_ns_.empty() && ends_ns_.top() <= limit_ns;
  move_clock(pending ? ends_ns_.top() : limit_ns);
  return pending;
}

status simulated_backend::note_end(std::uint64_t end_ns) noexcept {
  try {
    if (end_ns > now_ns_) ends_ns_.push(end_ns);
    return {};
  } catch (const std::bad_alloc&) {
    return failure{.code = errc::out_of_memory};
  }
}

// ---- memory -----------------------------------------------------------------------------------------------

result<std::byte*> simulated_backend::allocate_arena(std::uint64_t size_bytes) noexcept {
  return memory_.allocate_arena(size_bytes);
}

void simulated_backend::free_arena(std::byte* arena) noexcept { memory_.remove_arena(arena); }

result<std::byte*> simulated_backend::allocate_pinned(std::uint64_t size_bytes) noexcept {
  return memory_.allocate_pinned(size_bytes);
}

void simulated_backend::free_pinned(std::byte* memory) noexcept { memory_.remove_pinned(memory); }

// ---- streams and events -----------------------------------------------------------------------------------

result<stream_handle> simulated_backend::create_stream() noexcept { return add<stream_handle>(streams_); }

void simulated_backend::destroy_stream(stream_handle stream) noexcept {
  if (const simulated_stream* const s = find(streams_, stream.native)) move_clock(s->free_ns);
  streams_.erase(stream.native);
}

result<stream_handle> simulated_backend::wrap_stream(void*) noexcept { return failure{.code = errc::not_supported}; }

status simulated_backend::synchronize_stream(stream_handle stream) noexcept {
  const simulated_stream* const s = find(streams_, stream.native);
  if (s == nullptr) return bad_call;
  move_clock(s->free_ns);
  return {};
}

result<event_handle> simulated_backend::create_event() noexcept { return add<event_handle>(events_); }

void simulated_backend::destroy_event(event_handle event) noexcept { events_.erase(event.native); }

status simulated_backend::record_event(event_handle event, stream_handle stream) noexcept {
  simulated_event* const e = find(events_, event.native);
  const simulated_stream* const s = find(streams_, stream.native);
  if (e == nullptr || s == nullptr) return bad_call;
  e->done_ns = s->free_ns;
  return {};
}

result<bool> simulated_backend::query_event(event_handle event) noexcept {
  const simulated_event* const e = find(events_, event.native);
  if (e == nullptr) return bad_call;
  return e->done_ns <= now_ns_;
}

status simulated_backend::wait_event(stream_handle stream, event_handle event) noexcept {
  simulated_stream* const s = find(streams_, stream.native);
  const simulated_event* const e = find(events_, event.native);
  if (s == nullptr || e == nullptr) return bad_call;
  s->free_ns = std::max(s->free_ns, e->done_ns);
  return {};
}

// ---- work -------------------------------------------------------------------------------------------------

status simulated_backend::copy(stream_handle stream, direction way, void* to, const void* from,
                               std::uint64_t size_bytes) noexcept {
  simulated_stream* const s = find(streams_, stream.native);
  if (s == nullptr || !memory_.can_copy(way, to, from, size_bytes)) return bad_call;
  std::uint64_t& engine_free_ns = engine_free_ns_[static_cast<std::size_t>(way)];
  const std::uint64_t start_ns = std::max({now_ns_, s->free_ns, engine_free_ns});
  const std::uint64_t end_ns = start_ns + copy_ns(options_, way, size_bytes);
  if (const status noted = note_end(end_ns); !noted) return noted;
  s->free_ns = engine_free_ns = end_ns;
  return {};
}

status simulated_backend::launch(stream_handle stream, std::uint64_t duration_ns) noexcept {
  simulated_stream* const s = find(streams_, stream.native);
  if (s == nullptr) return bad_call;
  const std::uint64_t end_ns = std::max(now_ns_, s->free_ns) + duration_ns;
  if (const status noted = note_end(end_ns); !noted) return noted;
  s->free_ns = end_ns;
  return {};
}

}  // namespace pinrail::devices
