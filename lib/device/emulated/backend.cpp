#include "device/emulated/backend.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <new>
#include <system_error>
#include <utility>

#include "device/emulated/schedule.hpp"
#include "pinrail/units.hpp"

namespace pinrail::devices {
namespace {

constexpr failure bad_call{.code = errc::device_error};
constexpr failure no_memory{.code = errc::out_of_memory};

stream_thread& as_stream(stream_handle handle) noexcept { return *static_cast<stream_thread*>(handle.native); }

emulated::call call_of(direction way) noexcept {
  switch (way) {
    case direction::host_to_device:
      return emulated::call::copy_host_to_device;
    case direction::device_to_host:
      return emulated::call::copy_device_to_host;
    case direction::device_to_device:
      break;
  }
  return emulated::call::copy_device_to_device;
}

toucher toucher_of(direction way) noexcept {
  switch (way) {
    case direction::host_to_device:
      return toucher::copy_to_device;
    case direction::device_to_host:
      return toucher::copy_to_host;
    case direction::device_to_device:
      break;
  }
  return toucher::copy_within;
}

}  // namespace

emulated_backend::emulated_backend(const host_device_options& options)
    : options_(options),
      checker_(options.check ? std::make_unique<order_checker>() : nullptr),
      memory_(options.vram_bytes, device_memory::arena_kind::bytes) {}

emulated_backend::~emulated_backend() = default;

std::string emulated_backend::name() const { return fmt::format("emulated, {}", format_bytes(options_.vram_bytes)); }

std::uint64_t emulated_backend::now_ns() const noexcept { return steady_now_ns(); }

std::optional<failure> emulated_backend::refuse(emulated::call which) noexcept {
  std::optional<failure> why = faults_.enter(which);
  if (why && why->code == errc::device_lost) {
    // Copies that follow see the loss; the one in each engine that may not have seen it ends first.
    for (copy_engine& engine : environment_.engines) engine.wait_idle();
    if (checker_) checker_->end_all();
  }
  return why;
}

// ---- memory -----------------------------------------------------------------------------------------------

result<std::byte*> emulated_backend::allocate_arena(std::uint64_t size_bytes) noexcept {
  if (const auto why = refuse(emulated::call::allocate_arena)) return *why;
  const std::lock_guard lock(table_mutex_);
  result<std::byte*> arena = memory_.allocate_arena(size_bytes);
  if (arena && checker_) checker_->add_memory(order_checker::memory::device, *arena, size_bytes);
  return arena;
}

void emulated_backend::free_arena(std::byte* arena) noexcept {
  if (arena == nullptr) return;
  {
    // Shared: calls for other work go on meanwhile, only streams and memory come and go later.
    const std::shared_lock lock(table_mutex_);
    for (const auto& [native, stream] : streams_) {
      const stream_position end = stream->position();
      end.of->wait(end.number);
    }
  }
  // The checker first: the addresses may be handed out again as soon as the memory is gone.
  if (checker_) checker_->remove_memory(arena);
  const std::lock_guard lock(table_mutex_);
  memory_.remove_arena(arena);
}

result<std::byte*> emulated_backend::allocate_pinned(std::uint64_t size_bytes) noexcept {
  if (const auto why = refuse(emulated::call::allocate_pinned)) return *why;
  const std::lock_guard lock(table_mutex_);
  result<std::byte*> memory = memory_.allocate_pinned(size_bytes);
  if (memory && checker_) checker_->add_memory(order_checker::memory::pinned, *memory, size_bytes);
  return memory;
}

void emulated_backend::free_pinned(std::byte* memory) noexcept {
  if (checker_) checker_->remove_memory(memory);  // first, as above
  const std::lock_guard lock(table_mutex_);
  memory_.remove_pinned(memory);
}

// ---- streams ----------------------------------------------------------------------------------------------

std::uint32_t emulated_backend::lowest_free_number() const noexcept {
  for (std::uint32_t number = 0;; ++number) {
    const bool taken = std::any_of(streams_.begin(), streams_.end(),
                                   [&](const auto& entry) { return entry.second->number() == number; });
    if (!taken) return number;
  }
}

result<stream_handle> emulated_backend::create_stream() noexcept {
  if (const auto why = refuse(emulated::call::create_stream)) return *why;
  const std::lock_guard lock(table_mutex_);
  try {
    const std::uint32_t number = lowest_free_number();
    auto made = std::make_unique<stream_thread>(number, environment_);
    if (checker_) checker_->begin_stream(number);
    void* const native = made.get();
    streams_.emplace(native, std::move(made));
    return stream_handle{native};
  } catch (const std::bad_alloc&) {
    return no_memory;
  } catch (const std::system_error&) {
    return no_memory;  // no thread to be had
  }
}

void emulated_backend::destroy_stream(stream_handle stream) noexcept {
  if (stream.native == nullptr) return;
  // Drained before its number is free: the next stream of that number comes after all of its work.
  const stream_position end = as_stream(stream).position();
  end.of->wait(end.number);
  if (checker_) checker_->end_stream(as_stream(stream).number());
  std::unique_lock lock(table_mutex_);
  const auto ended = streams_.extract(stream.native);
  lock.unlock();
}

result<stream_handle> emulated_backend::wrap_stream(void*) noexcept { return failure{.code = errc::not_supported}; }

status emulated_backend::synchronize_stream(stream_handle stream) noexcept {
  if (const auto why = refuse(emulated::call::synchronize_stream)) return *why;
  if (stream.native == nullptr) return bad_call;
  stream_thread& s = as_stream(stream);
  std::unique_lock order(s.enqueue_mutex());
  const order_checker::moment covers = checker_ ? checker_->record(s.number()) : nullptr;
  const stream_position end = s.position();
  order.unlock();
  end.of->wait(end.number);
  if (checker_) checker_->learn(covers);
  return {};
}

// ---- events -----------------------------------------------------------------------------------------------

void emulated_backend::event::set(event_record last) {
  const std::lock_guard lock(mutex_);
  std::swap(last_, last);
}

emulated_backend::event_record emulated_backend::event::get() const {
  const std::lock_guard lock(mutex_);
  return last_;
}

result<event_handle> emulated_backend::create_event() noexcept {
  if (const auto why = refuse(emulated::call::create_event)) return *why;
  const std::lock_guard lock(table_mutex_);
  try {
    auto made = std::make_unique<event>();
    void* const native = made.get();
    events_.emplace(native, std::move(made));
    return event_handle{native};
  } catch (const std::bad_alloc&) {
    return no_memory;
  }
}

void emulated_backend::destroy_event(event_handle handle) noexcept {
  // Streams that wait hold what the event stood for, not the event.
  const std::lock_guard lock(table_mutex_);
  events_.erase(handle.native);
}

status emulated_backend::record_event(event_handle handle, stream_handle stream) noexcept {
  if (const auto why = refuse(emulated::call::record_event)) return *why;
  if (handle.native == nullptr || stream.native == nullptr) return bad_call;
  stream_thread& s = as_stream(stream);
  const std::lock_guard order(s.enqueue_mutex());
  order_checker::moment covers = checker_ ? checker_->record(s.number()) : nullptr;
  static_cast<event*>(handle.native)->set({s.position(), std::move(covers)});
  return {};
}

result<bool> emulated_backend::query_event(event_handle handle) noexcept {
  if (const auto why = refuse(emulated::call::query_event)) return *why;
  if (handle.native == nullptr) return bad_call;
  const event_record last = static_cast<event*>(handle.native)->get();
  if (last.position.of == nullptr) return true;
  if (!last.position.of->is_complete(last.position.number)) return false;
  if (checker_) checker_->learn(last.covers);
  return true;
}

status emulated_backend::wait_event(stream_handle stream, event_handle handle) noexcept {
  if (const auto why = refuse(emulated::call::wait_event)) return *why;
  if (handle.native == nullptr || stream.native == nullptr) return bad_call;
  stream_thread& s = as_stream(stream);
  const std::lock_guard order(s.enqueue_mutex());
  const event_record awaited = static_cast<event*>(handle.native)->get();
  if (awaited.position.of == nullptr) return {};
  try {
    s.enqueue(awaited.position);
  } catch (const std::bad_alloc&) {
    return no_memory;
  }
  if (checker_) checker_->wait(s.number(), awaited.covers);
  return {};
}

// ---- work -------------------------------------------------------------------------------------------------

status emulated_backend::copy(stream_handle stream, direction way, void* to, const void* from,
                              std::uint64_t size_bytes) noexcept {
  if (const auto why = refuse(call_of(way))) return *why;
  if (stream.native == nullptr) return bad_call;
  copy_work copy{way, to, from, size_bytes, nullptr};
  {
    const std::shared_lock lock(table_mutex_);
    if (!memory_.can_copy(way, to, from, size_bytes)) return bad_call;
    if (way == direction::host_to_device) copy.host_memory = memory_.pinned_owner(from, size_bytes);
    if (way == direction::device_to_host) copy.host_memory = memory_.pinned_owner(to, size_bytes);
  }
  stream_thread& s = as_stream(stream);
  const std::lock_guard order(s.enqueue_mutex());
  try {
    s.enqueue(copy);
  } catch (const std::bad_alloc&) {
    return no_memory;
  }
  check_copy(s, copy);
  return {};
}

void emulated_backend::check_copy(const stream_thread& stream, const copy_work& copy) noexcept {
  if (!checker_) return;
  const toucher what = toucher_of(copy.way);
  checker_->touch_by_stream(stream.number(), what, copy.from, copy.size_bytes, access::read);
  checker_->touch_by_stream(stream.number(), what, copy.to, copy.size_bytes, access::write);
}

bool emulated_backend::is_device_memory(const void* data, std::uint64_t size_bytes) const noexcept {
  const std::shared_lock lock(table_mutex_);
  return memory_.in_arena(data, size_bytes);
}

void emulated_backend::note_access(stream_handle stream, const void* data, std::uint64_t size_bytes,
                                   access way) noexcept {
  if (!checker_) return;
  if (stream.native == nullptr) return checker_->touch_by_host(data, size_bytes, way);
  stream_thread& s = as_stream(stream);
  const std::lock_guard order(s.enqueue_mutex());
  checker_->touch_by_stream(s.number(), toucher::noted_use, data, size_bytes, way);
}

void emulated_backend::note_discard(stream_handle stream, void* data, std::uint64_t size_bytes) noexcept {
  if (stream.native == nullptr) return;
  stream_thread& s = as_stream(stream);
  const std::lock_guard order(s.enqueue_mutex());
  if (checker_) checker_->touch_by_stream(s.number(), toucher::discard, data, size_bytes, access::write);
  if (!options_.poison || !is_device_memory(data, size_bytes)) return;
  try {
    s.enqueue(poison_work{static_cast<std::byte*>(data), size_bytes});
  } catch (const std::bad_alloc&) {
    return;  // the bytes stay as they are, which is allowed
  }
}

void emulated_backend::launch(stream_handle stream, std::function<void()> kernel,
                              std::span<const emulated::access> accesses) {
  if (faults_.lost()) throw error(errc::device_lost, fmt::format("{}: the device is lost", name()));
  if (stream.native == nullptr || !kernel) {
    throw error(errc::invalid_argument, "emulated::launch: no stream or no kernel");
  }
  for (const emulated::access& a : accesses) {
    if (is_device_memory(a.data, a.size_bytes)) continue;
    throw error(
        errc::invalid_argument,
        fmt::format("emulated::launch: {} bytes at {} are not within the device's memory", a.size_bytes, a.data));
  }
  stream_thread& s = as_stream(stream);
  const std::lock_guard order(s.enqueue_mutex());
  s.enqueue(std::move(kernel));
  if (!checker_) return;
  for (const emulated::access& a : accesses) {
    const access way = a.writes ? access::write : access::read;
    checker_->touch_by_stream(s.number(), toucher::kernel, a.data, a.size_bytes, way);
  }
}

std::vector<std::string> emulated_backend::violations() const {
  return checker_ ? checker_->violations() : std::vector<std::string>{};
}

emulated::resources emulated_backend::live_resources() const {
  const std::shared_lock lock(table_mutex_);
  return {.arena_bytes = memory_.arena_bytes(),
          .pinned_bytes = memory_.pinned_bytes(),
          .streams = streams_.size(),
          .events = events_.size()};
}

}  // namespace pinrail::devices
