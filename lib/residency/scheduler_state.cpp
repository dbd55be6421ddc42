#include "residency/scheduler_state.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

#include "pinrail/units.hpp"
#include "residency/byte_room.hpp"
#include "residency/geometry.hpp"
#include "residency/say.hpp"
#include "residency/transfers.hpp"
#include "residency/victims.hpp"

namespace pinrail::residency {
namespace order = core::order;

namespace {

constexpr std::uint64_t close_deadline_ns = 30'000'000'000;

/// A number that differs between threads, to spread them over the gate's stripes.
std::uint32_t thread_number() noexcept {
  static core::atomic<std::uint32_t> numbers{0};
  thread_local const std::uint32_t mine = numbers.fetch_add(1, order::relaxed);
  return mine;
}

/// Others give memory back at times of their own (another process, a caching allocator): tries again a few times,
/// unless the device has never had that much.
result<std::byte*> allocate_arena(devices::backend& device, std::uint64_t size_bytes) noexcept {
  constexpr int most_attempts = 4;
  auto memory = device.allocate_arena(size_bytes);
  for (int attempt = 1; attempt < most_attempts; ++attempt) {
    if (memory || memory.code() != errc::out_of_memory || size_bytes > device.memory_bytes()) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    memory = device.allocate_arena(size_bytes);
  }
  return memory;
}

}  // namespace

// ---- beginning and end --------------------------------------------------------------------------------------

scheduler_state::scheduler_state(std::shared_ptr<pinrail::device> on, const scheduler_options& options)
    : device_(std::move(on)),
      options_(completed(options, *device_)),
      threaded_(backend().is_threaded()),
      table_(1 + options_.max_runtimes + byte_entries, geometry_of(options_).arena.pages()),
      runtimes_(std::make_unique<core::atomic<runtime_state*>[]>(options_.max_runtimes)),
      byte_names_(std::make_unique<byte_name[]>(byte_entries)) {
  const geometry g = geometry_of(options_);
  const auto memory = allocate_arena(backend(), g.arena.total_bytes());
  if (!memory)
    throw error(memory.why(),
                say("{}: an arena of {} was refused: {} (native code {})", device_->name(),
                    format_bytes(g.arena.total_bytes()), to_string(memory.code()), memory.why().native_code));
  memory_ = *memory;
  try {
    const std::uint32_t withheld = g.arena.pages() - g.budget_pages;
    arena_ = std::make_unique<residency::arena>(timeline(), open_stream("joining fences"), memory_, g.arena, withheld);
    if (withheld > 0) (void)table_.reserve(withheld_entry, core::holder::withheld, withheld, withheld);
    transfers_ = std::make_unique<transfers>(*this);
  } catch (...) {
    free_device();
    throw;
  }
}

scheduler_state::~scheduler_state() { free_device(); }

void scheduler_state::start() {
  trace(trace_kind::budget_bytes, nullptr, 0, 0, to_bytes(budget_pages()));
  transfers_->measure_copies();
  transfers_->start();
}

std::uint32_t scheduler_state::open_stream(const char* purpose) {
  const auto stream = timeline().create_stream(devices::timeline::completion::by_word);
  if (!stream)
    throw error(stream.why(), say("{}: no stream for {}: {} (native code {})", device_->name(), purpose,
                                  to_string(stream.code()), stream.why().native_code));
  streams_.push_back(*stream);
  return *stream;
}

void scheduler_state::free_device() noexcept {
  transfers_.reset();
  for (const std::uint32_t s : streams_) timeline().close_stream(s);
  streams_.clear();
  if (memory_ != nullptr) backend().free_arena(memory_);
  memory_ = nullptr;
}

void scheduler_state::close() noexcept {
  if (closed_.exchange(1, order::acq_rel) != 0) return;
  end_work();
  end_calls_out();
}

void scheduler_state::end_work() noexcept {
  halt running = halt::no;
  halt_.compare_exchange_strong(running, halt::closed, order::seq_cst, order::seq_cst);
  const bool callers_gone = await_callers();
  if (!device_lost()) write_back_all();
  transfers_->stop();
  const bool quiet = callers_gone && await_device();
  if (!quiet) {
    // Who still holds a use may touch anything: nothing is freed, and the handles keep what they refer to.
    keep_error(log_level::error, "the scheduler ended while blocks were in use; its device memory stays allocated");
    memory_ = nullptr;
    return;
  }
  free_device();
  const std::lock_guard lock(registry_);
  for (const auto& r : registered_) {
    r->state.store(runtime_state::phase::removed, order::seq_cst);
    runtimes_[r->index()].store(nullptr, order::seq_cst);
  }
  await_readers();
  registered_.clear();
  graveyard_.clear();
}

/// Waits until a condition holds; false after 30 s.
template <class Condition>
bool scheduler_state::await_condition(Condition&& holds) noexcept {
  const auto end = std::chrono::steady_clock::now() + std::chrono::nanoseconds(close_deadline_ns);
  progress_.notify();  // who waits sees that nothing starts any more
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) return false;
    if (!threaded_ && !transfers_->step() && !backend().advance_clock(now_ns() + close_deadline_ns)) return holds();
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  return true;
}

/// Uses, pins and calls under way.
bool scheduler_state::await_callers() noexcept {
  return await_condition([this] {
    if (calls_.load(order::seq_cst) != 0) return false;
    const std::lock_guard lock(registry_);
    return std::all_of(registered_.begin(), registered_.end(),
                       [](const auto& r) { return r->open_uses() == 0 && !r->has_pins(); });
  });
}

bool scheduler_state::await_device() noexcept {
  const auto done = [this](const runtime_state& r) {
    for (std::uint32_t p = 0; p < r.blocks().size(); ++p) {
      const auto& block = r.blocks().at(p);
      if (!block.word.load().resident()) continue;
      fence_set fences;
      read_fences(block, fences);
      fences.prune([this](ticket t) { return timeline().is_complete(t); });
      if (!fences.empty()) return false;
    }
    return true;
  };
  return await_condition([&] {
    look_for_loss();
    if (device_lost()) return true;
    arena_->reap();
    const std::lock_guard lock(registry_);
    return arena_->draining_pages() == 0 &&
           std::all_of(registered_.begin(), registered_.end(), [&](const auto& r) { return done(*r); });
  });
}

void scheduler_state::await_readers() noexcept {
  for (int phase = 0; phase < 2; ++phase) {
    while (!gate_.drained()) std::this_thread::yield();
    gate_.flip();
  }
  while (!gate_.drained()) std::this_thread::yield();
}

/// Rounds, because the queue of requests is bounded and a write may fail for once. What is still dirty then is lost,
/// and reported.
void scheduler_state::write_back_all() noexcept {
  constexpr int failing_rounds = 3;
  std::uint64_t before = UINT64_MAX;
  for (int failures = 0; failures < failing_rounds;) {
    std::uint64_t dirty = 0;
    {
      const std::lock_guard lock(registry_);
      for (const auto& r : registered_)
        for (std::uint32_t p = 0; p < r->blocks().size(); ++p) {
          const auto word = r->at(p).word.load();
          if (!word.dirty() && !word.writing_back()) continue;
          ++dirty;
          transfers_->request_write_back(*r, p, true);
        }
    }
    if (dirty == 0) return;
    transfers_->drain();
    if (dirty >= before) ++failures;
    before = dirty;
  }
  keep_error(log_level::error,
             say("the scheduler ended with {} dirty block(s) that could not be written back", before));
}

// ---- budget -------------------------------------------------------------------------------------------------

std::uint64_t scheduler_state::budget_pages() const noexcept {
  return arena_->budget().capacity() - table_.read(withheld_entry).share_pages;
}

result<void> scheduler_state::withhold(std::uint64_t pages, std::uint64_t until_ns) noexcept {
  const std::lock_guard lock(withholding_);
  if (halted()) return why_halted();
  const std::uint64_t before = arena_->budget().load().withheld;
  const auto granted = table_.reserve(withheld_entry, core::holder::withheld, pages, pages);
  if (granted.what != core::verdict::granted)
    return failure{.code = errc::insufficient_headroom,
                   .needed_bytes = to_bytes(pages),
                   .available_bytes = to_bytes(granted.free_pages)};
  if (pages <= before) {
    (void)arena_->budget().exchange({.withheld = -static_cast<std::int64_t>(before - pages)});
  } else if (const auto done = await_budget(*this, pages - before, budget_field::withheld, until_ns); !done) {
    (void)table_.reserve(withheld_entry, core::holder::withheld, before, before);
    return done;
  }
  trace(trace_kind::budget_bytes, nullptr, 0, 0, to_bytes(budget_pages()));
  progress_.notify();
  return {};
}

// ---- runtimes -----------------------------------------------------------------------------------------------

scheduler_state::reading::reading(scheduler_state& s) noexcept : state_(s), token_(s.gate_.enter(thread_number())) {}

std::shared_ptr<runtime_state> scheduler_state::add_runtime(std::string name, model blocks) {
  if (halted()) throw error(why_halted(), say("add_runtime('{}'): {}", name, halt_text()));
  if (!blocks.blocks().empty() && blocks.source() == nullptr)
    throw error(errc::invalid_argument, say("add_runtime('{}'): the model has blocks and no source", name));
  std::vector<std::uint64_t> pages;
  pages.reserve(blocks.blocks().size());
  for (const block_info& b : blocks.blocks()) {
    pages.push_back(arena_->pages_for(b.size_bytes));
    if (b.size_bytes == 0)
      throw error(errc::invalid_argument, say("add_runtime('{}'): block '{}' is empty", name, b.name));
    if (pages.back() > arena_->pages())
      throw error({.code = errc::too_large,
                   .needed_bytes = to_bytes(pages.back()),
                   .available_bytes = to_bytes(arena_->pages())},
                  say("add_runtime('{}'): block '{}' is {}, and the budget can never exceed {}", name, b.name,
                      format_bytes(b.size_bytes), format_bytes(to_bytes(arena_->pages()))));
  }
  if (!pages.empty()) prepare_staging(*blocks.source(), pages.size());
  const std::lock_guard lock(registry_);
  const std::uint32_t index = free_index();
  auto r =
      std::make_shared<runtime_state>(shared_from_this(), index, std::move(name), std::move(blocks), std::move(pages));
  if (tracing()) options_.trace->add_runtime(index, {r->name(), r->source_model().blocks()});
  registered_.push_back(r);
  runtimes_[index].store(r.get(), order::seq_cst);
  runtimes_high_.store(std::max(runtimes_high_.load(order::relaxed), index + 1), order::seq_cst);
  return r;
}

void scheduler_state::prepare_staging(const sources::source& from, std::size_t blocks) {
  for (block_index b = 0; b < blocks; ++b)
    if (from.pinned_block(b) == nullptr || from.is_writable())
      return transfers_->slabs().prepare(from.max_chunk_bytes());
}

std::uint32_t scheduler_state::free_index() const {
  for (std::uint32_t i = 0; i < options_.max_runtimes; ++i)
    if (runtimes_[i].load(order::relaxed) == nullptr) return i;
  throw error(
      {.code = errc::limit, .needed_bytes = options_.max_runtimes + 1, .available_bytes = options_.max_runtimes},
      say("{} runtimes are registered, which is scheduler_options::max_runtimes", options_.max_runtimes));
}

void scheduler_state::check_removable(runtime_state& r) const {
  const auto reserved = read(r);
  const auto refuse = [&](const char* by, std::uint64_t n) {
    throw error(errc::in_use, say("remove_runtime('{}'): it has {} {}", r.name(), n, by));
  };
  if (const auto n = rules(r).load().guards(); n != 0) refuse("keep_resident guard(s)", n);
  if (reserved.reserved()) refuse("reservation", 1);
  if (reserved.guests != 0) refuse("as_guest scope(s)", reserved.guests);
  if (const auto n = r.blocks().live_passes().live(); n != 0) refuse("forward pass(es)", n);
  for (std::uint32_t p = 0; p < r.blocks().size(); ++p) {
    const auto word = r.blocks().at(p).word.load();
    if (word.protections() != 0) refuse("protect_blocks guard(s) on a block", word.protections());
    if (word.pins() != 0) refuse("use(s) of a block", word.pins());
  }
}

void scheduler_state::remove_runtime(runtime_state& r) {
  const auto check_running = [&] {
    if (halted()) throw error(why_halted(), say("remove_runtime('{}'): {}", r.name(), halt_text()));
  };
  check_running();
  auto live = runtime_state::phase::live;
  if (!r.state.compare_exchange_strong(live, runtime_state::phase::removing))
    throw error(errc::closed, say("remove_runtime('{}'): it is removed already", r.name()));
  try {
    check_removable(r);  // after the state, which guards and passes look at after they have begun
    const std::uint64_t until_ns = now_ns() + static_cast<std::uint64_t>(options_.load_deadline.count());
    for (;;) {
      const std::uint32_t key = progress_.prepare();
      if (evict_all(*this, r, eviction_cause::removal) == 0 && r.charged_pages() == 0) break;
      if (halted() || now_ns() >= until_ns) {
        progress_.cancel();
        check_running();
        throw error(errc::in_use, say("remove_runtime('{}'): {} can't leave: loads or write-backs don't end", r.name(),
                                      format_bytes(to_bytes(r.charged_pages()))));
      }
      await(key, until_ns);
    }
    progress_.cancel();
  } catch (...) {
    r.state.store(runtime_state::phase::live);
    throw;
  }
  std::shared_ptr<runtime_state> last;
  {
    const std::lock_guard lock(registry_);
    r.state.store(runtime_state::phase::removed);  // before its index, and so its entry, can be another's
    runtimes_[r.index()].store(nullptr, order::seq_cst);
    const auto it = std::find_if(registered_.begin(), registered_.end(), [&](const auto& x) { return x.get() == &r; });
    last = std::move(*it);
    registered_.erase(it);
  }
  retire(std::move(last));
}

// ---- byte reservations --------------------------------------------------------------------------------------

std::optional<std::uint32_t> scheduler_state::claim_byte_entry(std::string_view name) noexcept {
  for (std::uint32_t i = 0; i < byte_entries; ++i) {
    byte_name& b = byte_names_[i];
    std::uint32_t seen = b.state.load(order::relaxed);
    if (seen % byte_name::next_turn != byte_name::free ||
        !b.state.compare_exchange_strong(seen, seen + byte_name::being_written, order::acquire, order::relaxed))
      continue;
    for (std::size_t c = 0; c < b.name.size(); ++c)  // release: who reads one of them sees that it is being written
      b.name[c].store(c < name.size() && c + 1 < b.name.size() ? name[c] : '\0', order::release);
    b.state.store(seen + byte_name::in_use, order::release);
    return first_byte_entry() + i;
  }
  return std::nullopt;
}

bool scheduler_state::byte_name::read(text& out) const noexcept {
  const std::uint32_t before = state.load(order::acquire);
  if (before % next_turn != in_use) return false;
  for (std::size_t c = 0; c < out.size(); ++c) out[c] = name[c].load(order::acquire);
  return state.load(order::relaxed) == before;
}

void scheduler_state::free_byte_entry(std::uint32_t entry) noexcept {
  byte_name& b = byte_names_[entry - first_byte_entry()];
  b.state.store(b.state.load(order::relaxed) - byte_name::in_use + byte_name::next_turn, order::release);
}

// ---- failing ------------------------------------------------------------------------------------------------

failure scheduler_state::why_halted() const noexcept {
  if (device_lost()) return {.code = errc::device_lost, .native_code = lost_code_.load(order::acquire)};
  return {.code = errc::closed};
}

const char* scheduler_state::halt_text() const noexcept {
  return device_lost() ? "the device was lost to an error that can't be undone; make a new device and scheduler"
                       : "the scheduler has ended";
}

void scheduler_state::note_device_failure(const failure& why, std::string_view doing) noexcept {
  if (why.code != errc::device_lost) return;
  lost_code_.store(why.native_code, order::release);
  if (halt_.exchange(halt::lost, order::seq_cst) == halt::lost) return;
  keep_error(log_level::error,
             say("{} failed during {} with native code {}: {}", device_->name(), doing, why.native_code, halt_text()));
  progress_.notify();
}

void scheduler_state::keep_error(log_level level, const std::string& message) noexcept {
  log(level, message);
  try {
    const std::lock_guard lock(errors_);
    if (!first_error_) first_error_ = message;
  } catch (...) {  // no memory for the text: the log had it
  }
}

std::optional<std::string> scheduler_state::first_error() const {
  const std::lock_guard lock(errors_);
  return first_error_;
}

void scheduler_state::log(log_level level, std::string_view message) const noexcept {
  if (options_.log) call_out([&] { options_.log(level, message); });
}

template <class Call>
void scheduler_state::call_out(Call&& call) const noexcept {
  calls_out_.fetch_add(1, order::seq_cst);
  try {
    if (silent_.load(order::seq_cst) == 0) call();
  } catch (...) {  // no memory for a trace event; or a log callback that throws, which it must not
  }
  calls_out_.fetch_sub(1, order::release);
}

/// Handles may outlive the scheduler, and what they have to say then nobody may be there to hear.
void scheduler_state::end_calls_out() noexcept {
  silent_.store(1, order::seq_cst);
  while (calls_out_.load(order::seq_cst) != 0) std::this_thread::yield();
}

// ---- waiting ------------------------------------------------------------------------------------------------

void scheduler_state::await(std::uint32_t key, std::uint64_t until_ns) noexcept {
  if (threaded_) {
    const std::uint64_t now = now_ns();
    progress_.wait(key, until_ns > now ? until_ns - now : 0);
    return;
  }
  progress_.cancel();
  if (!transfers_->step()) backend().advance_clock(until_ns);
}

void scheduler_state::pump_now() noexcept {
  while (transfers_->step()) {
  }
}

// ---- trace --------------------------------------------------------------------------------------------------

void scheduler_state::trace(trace_kind kind, const runtime_state* r, block_index block, std::uint64_t id,
                            std::uint64_t size_bytes, const char* text) noexcept {
  if (!tracing()) return;
  call_out([&] {
    options_.trace->add({.time_ns = now_ns(),
                         .kind = kind,
                         .runtime = r != nullptr ? r->index() : trace_event::no_runtime,
                         .block = block,
                         .id = id,
                         .size_bytes = size_bytes,
                         .text = text});
  });
}

void scheduler_state::trace_used() noexcept {
  if (!tracing()) return;
  const auto b = arena_->budget().load();
  trace(trace_kind::used_bytes, nullptr, 0, 0, to_bytes(b.used + b.set_aside));
}

}  // namespace pinrail::residency
