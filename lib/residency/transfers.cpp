#include "residency/transfers.hpp"

#include <pthread.h>
#include <tbb/info.h>

#include <algorithm>
#include <array>
#include <optional>

#include "device/measure.hpp"
#include "pinrail/units.hpp"
#include "residency/grants.hpp"
#include "residency/say.hpp"

namespace pinrail::residency {
namespace order = core::order;

namespace {

constexpr std::uint64_t slab_slack_bytes = 64 << 10;  // direct reads begin and end on file system blocks
constexpr std::uint64_t idle_wait_ns = 20'000'000;
constexpr std::uint64_t upkeep_period_ns = 1'000'000;
constexpr std::uint64_t patience_ns = 2'000'000;  // with workers that don't come
constexpr std::uint64_t busy_wait_ns = 100'000;   // while the device works: how stale its progress may be

/// oneTBB runs one worker less than there are cores, for the whole process, and warns on the terminal when an arena
/// asks for more.
std::uint32_t reader_threads(const scheduler_state& s) noexcept {
  const auto workers = static_cast<std::uint32_t>(std::max(1, tbb::info::default_concurrency() - 1));
  const std::uint32_t asked = s.options().reader_threads;
  if (asked > workers)
    s.log(log_level::warning, say("reader_threads is {}, but oneTBB has {} worker(s) here", asked, workers));
  return std::min(workers, asked == 0 ? 8 : asked);
}

}  // namespace

transfers::transfers(scheduler_state& s)
    : state_(s),
      copy_stream_(s.open_stream("copies to the device")),
      chunk_bytes_(s.options().chunk_bytes),
      incoming_(load_jobs::capacity),
      staging_(s.backend(), s.options().staging_slabs, chunk_bytes_ + slab_slack_bytes, reader_threads(s), signal_),
      write_backs_(s, staging_, s.open_stream("write-backs")),
      compaction_(s, s.open_stream("moves")) {
  active_.reserve(load_jobs::capacity);
  batch_.reserve(devices::largest_batch);
}

transfers::~transfers() { stop(); }

void transfers::measure_copies() noexcept {
  auto& device = state_.backend();
  const std::uint64_t size_bytes = std::min<std::uint64_t>(8_MiB, state_.to_bytes(state_.arena().pages()) / 2);
  if (device.kind() != device_kind::cuda || size_bytes < 64_KiB) return;
  // Memory of its own: there are no slabs where every source is page-locked itself.
  const auto pinned = device.allocate_pinned(2 * size_bytes);
  if (!pinned) return;
  const auto measured = devices::measure_copy_rates({.device = device,
                                                     .in = state_.timeline().handle(copy_stream_),
                                                     .out = state_.timeline().handle(write_backs_.stream()),
                                                     .arena = state_.arena().address(0),
                                                     .pinned = *pinned,
                                                     .size_bytes = size_bytes});
  if (measured) {
    bare_rates_ = *measured;
    learn_copy_time(1e9 / bare_rates_.in);
  } else {
    state_.note_device_failure(measured.why(), "measuring copies");
    state_.log(log_level::warning, say("copies could not be measured: {} (native code {})", to_string(measured.code()),
                                       measured.why().native_code));
    for (const std::uint32_t stream : {copy_stream_, write_backs_.stream()})  // what was begun still reads and writes
      if (const auto drained = state_.timeline().drain(stream); !drained)
        state_.note_device_failure(drained.why(), "measuring copies");
  }
  device.free_pinned(*pinned);
}

double transfers::load_bytes_per_second() const noexcept {
  const double ns = load_ns_per_byte_.load(order::relaxed);
  return ns == 0 ? 0 : 1e9 / ns;
}

void transfers::start() {
  if (state_.threaded()) thread_ = std::thread([this] { run(); });
}

void transfers::run() noexcept {
  pthread_setname_np(pthread_self(), "pinrail-copies");
  std::uint64_t idle_since_ns = state_.now_ns();
  while (true) {
    const std::uint32_t key = signal_.prepare();
    if (step()) {
      signal_.cancel();
      idle_since_ns = state_.now_ns();
      continue;
    }
    if (state_.now_ns() > idle_since_ns + patience_ns) staging_.ask_for_help();
    if (stopping_.load(order::acquire) != 0 && idle()) {
      signal_.cancel();
      return;
    }
    const bool device_works = sampling_ || !copies_.empty() || !write_backs_.idle() || state_.progress().has_waiters();
    signal_.wait(key, device_works ? busy_wait_ns : idle_wait_ns);
  }
}

void transfers::stop() noexcept {
  stopping_.store(1, order::release);
  wake();
  if (thread_.joinable()) thread_.join();
}

bool transfers::idle() const noexcept {
  return active_.empty() && copies_.empty() && staging_.running() == 0 && write_backs_.idle() &&
         unfinished_.load(order::acquire) == 0;
}

void transfers::drain() noexcept {
  for (;;) {
    const std::uint32_t key = state_.progress().prepare();
    if (unfinished_.load(order::acquire) == 0 && write_backs_.idle()) {
      state_.progress().cancel();
      break;
    }
    state_.await(key, UINT64_MAX);
  }
}

void transfers::synchronize() noexcept {
  drain();
  if (const auto done = state_.timeline().drain(copy_stream_); !done)
    state_.note_device_failure(done.why(), "waiting for copies");
}

// ---- any thread -------------------------------------------------------------------------------------------

void transfers::submit(load_job* job) noexcept {
  unfinished_.fetch_add(1, order::acq_rel);
  incoming_.bounded_push(job);  // as long as the pool of jobs: never full
  wake();
}

void transfers::promote(runtime_state& r, std::uint32_t position) noexcept {
  load_job* job = r.extra(position).job.load(order::acquire);
  if (job != nullptr && job->demanded.exchange(1, order::relaxed) == 0) wake();
}

void transfers::request_write_back(runtime_state& r, std::uint32_t position, bool at_once) noexcept {
  write_backs_.request(r, position, at_once);
  wake();
}

void transfers::request_compaction(const room_request& r) noexcept {
  compaction_.request(r);
  wake();
}

void transfers::request_free_run(std::uint32_t pages, compaction::effort most) noexcept {
  compaction_.request_free_run(pages, most);
  wake();
}

// ---- transfer thread --------------------------------------------------------------------------------------

bool transfers::step() noexcept {
  state_.look_for_loss();
  bool did = take_in();
  did |= sort_finished_tasks();
  did |= retire_copies();
  did |= write_backs_.step();
  did |= submit_read_chunks();
  did |= issue();
  did |= end_jobs();
  did |= compaction_.step();
  did |= sample_uses();
  did |= upkeep();
  return did;
}

bool transfers::take_in() noexcept {
  load_job* job = nullptr;
  bool did = false;
  while (incoming_.pop(job)) {
    prepare(*job);
    active_.push_back(job);
    did = true;
  }
  return did;
}

void transfers::prepare(load_job& job) noexcept {
  sources::source& source = job.runtime->source();
  job.issued = job.reading = job.submitted = 0;
  job.begun = job.withdrawn = false;
  job.taken_in_ns = state_.now_ns();
  job.why = {};
  job.last = {};
  // A simulated device has no bytes: nothing is read, any address will do, and only the time of the copy passes.
  static constexpr std::byte nothing{};
  job.direct = state_.threaded() ? source.pinned_block(job.position) : &nothing;
  const std::uint64_t size = job.runtime->size_bytes(job.position);
  job.chunks = job.direct == nullptr ? source.chunk_count(job.position)
                                     : static_cast<std::uint32_t>((size - 1) / chunk_bytes_ + 1);
  state_.trace(trace_kind::load_begin, job.runtime, job.position);
}

bool transfers::sort_finished_tasks() noexcept {
  bool did = false;
  while (const auto slab = staging_.finished()) {
    did = true;
    slab_task& t = staging_.task(*slab);
    if (t.what == slab_task::work::write) {
      write_backs_.finish_task(*slab);
      continue;
    }
    auto& job = *static_cast<load_job*>(t.owner);
    if (!t.outcome) fail(job, t.outcome.why());
    if (job.failed()) {
      --job.reading;
      staging_.give_slab(*slab);
    } else {
      read_slabs_.push_back(*slab);
    }
  }
  return did;
}

bool transfers::retire_copies() noexcept {
  const bool lost = state_.device_lost();
  std::uint64_t quiet_bytes = 0;
  std::optional<copy_under_way> first;
  while (!copies_.empty() && (lost || state_.timeline().is_complete(copies_.front().done))) {
    const copy_under_way& c = copies_.front();
    if (c.slab != no_slab) staging_.give_slab(c.slab);
    if (!first) first = c;
    quiet_bytes = c.quiet && (first->quiet || quiet_bytes != 0) ? quiet_bytes + c.size_bytes : 0;
    if (c.last) note_arrival(c);
    copies_.pop_front();
  }
  if (!first) return false;
  if (quiet_bytes != 0 && first->quiet) note_copy_time(*first, quiet_bytes);
  copy_end_ns_ = state_.now_ns();
  return true;
}

void transfers::note_copy_time(const copy_under_way& first, std::uint64_t size_bytes) noexcept {
  const std::uint64_t now_ns = state_.now_ns();
  const std::uint64_t begin_ns = std::max(first.submitted_ns, copy_end_ns_);
  if (now_ns > begin_ns) learn_copy_time(static_cast<double>(now_ns - begin_ns) / static_cast<double>(size_bytes));
}

void transfers::learn_copy_time(double ns_per_byte) noexcept {
  copy_ns_per_byte_.add(ns_per_byte);
  load_ns_per_byte_.store(copy_ns_per_byte_.value(), order::relaxed);
}

void transfers::note_arrival(const copy_under_way& c) noexcept {
  if (!sampling_) return;
  const scheduler_state::reading inside(state_);
  if (runtime_state* r = state_.runtime_at(c.runtime)) r->pacing().note_arrival(c.position, state_.now_ns());
}

bool transfers::sample_uses() noexcept {
  if (!sampling_) return false;
  const scheduler_state::reading inside(state_);
  state_.for_each_runtime([&](runtime_state& r) {
    if (r.pacing().samples()) r.pacing().take_samples(state_, r);
  });
  return false;
}

bool transfers::submit_read_chunks() noexcept {
  bool did = false;
  while (!read_slabs_.empty()) {
    const std::uint32_t slab = read_slabs_.front();
    slab_task& t = staging_.task(slab);
    auto& job = *static_cast<load_job*>(t.owner);
    if (!job.failed() && !copies_have_room(staging_.slab_bytes())) break;
    read_slabs_.pop_front();
    --job.reading;
    did = true;
    if (job.failed()) {
      staging_.give_slab(slab);
    } else {
      submit_chunk(job, staging_.memory(slab).data(), t.pieces.view(), slab);
    }
  }
  return did;
}

/// Starts what can be started: first for jobs that someone waits for.
bool transfers::issue() noexcept {
  bool did = false;
  bool someone_waits = false;
  // After a loss nobody knows when the copies out of slabs have ended (`retire_copies`): nothing is read into them.
  const bool lost = state_.device_lost();
  for (const bool demanded : {true, false}) {
    for (load_job* job : active_) {
      if (job->failed() || job->issued == job->chunks) continue;
      if (is_awaited(*job) != demanded) continue;
      someone_waits |= demanded;
      if (!demanded && someone_waits && is_stale(*job)) {
        job->withdrawn = did = true;
        continue;
      }
      if (lost || (!job->begun && stopping_.load(order::acquire) != 0)) {
        fail(*job, lost ? state_.why_halted() : failure{.code = errc::closed});
        did = true;
        continue;
      }
      did |= job->direct == nullptr ? issue_reads(*job) : issue_direct(*job);
    }
    submit_batch();  // apart, as who waits for one block of a batch waits for all of it
  }
  return did;
}

bool transfers::is_awaited(const load_job& job) noexcept {
  return !job.prefetch || job.demanded.load(order::relaxed) != 0;
}

/// Its pass is over, nobody loads its runtime otherwise, and nothing of it has been copied yet. Where others wait for
/// their copies it may never get its turn, and keeps memory from them meanwhile. Between two passes of one model it is
/// not stale: it has the time of a pass.
bool transfers::is_stale(const load_job& job) const noexcept {
  const auto& blocks = job.runtime->blocks();
  const std::uint64_t pass_ns = blocks.size() * blocks.pace_ns();
  return job.issued == 0 && pass_ns != 0 && blocks.live_passes().live() == 0 &&
         state_.now_ns() > std::max(blocks.idle_since_ns(), job.taken_in_ns) + pass_ns &&
         std::none_of(active_.begin(), active_.end(),
                      [&](const load_job* other) { return other->runtime == job.runtime && is_awaited(*other); });
}

bool transfers::issue_direct(load_job& job) noexcept {
  const std::uint64_t size = job.runtime->size_bytes(job.position);
  bool did = false;
  while (!job.failed() && job.issued < job.chunks) {
    const std::uint64_t at = job.issued * chunk_bytes_;
    const std::uint64_t part = std::min(chunk_bytes_, size - at);
    if (!copies_have_room(part)) break;
    ++job.issued;
    did = true;
    if (may_be_batched(job, size)) {
      batch_.push_back(&job);
      if (batch_.size() == devices::largest_batch) submit_batch();
      break;
    }
    submit_batch();  // what was asked for first is copied first
    submit_direct(job, at, part);
  }
  return did;
}

/// Its copy waits for nothing but the copies before it.
bool transfers::is_quiet(const load_job& job) const noexcept {
  const auto fences = job.room.fences.view();
  return job.begun ||
         std::all_of(fences.begin(), fences.end(), [this](ticket t) { return state_.timeline().is_complete(t); });
}

/// A batch waits as a whole: who would have to wait on the device is no part of one.
bool transfers::may_be_batched(const load_job& job, std::uint64_t size_bytes) const noexcept {
  return size_bytes <= batched_copy_bytes && job.chunks == 1 && state_.backend().copies_batches() && is_quiet(job);
}

void transfers::submit_direct(load_job& job, std::uint64_t at_bytes, std::uint64_t size_bytes) noexcept {
  const sources::piece part{.slab_offset_bytes = at_bytes, .block_offset_bytes = at_bytes, .size_bytes = size_bytes};
  submit_chunk(job, job.direct, {&part, 1}, no_slab);
}

/// One by one where a batch is refused: what of it was enqueued is then copied twice, in stream order.
void transfers::submit_batch() noexcept {
  if (batch_.size() < 2 || !copy_batch()) {
    for (load_job* job : batch_) submit_direct(*job, 0, job->runtime->size_bytes(job->position));
  }
  batch_.clear();
}

bool transfers::copy_batch() noexcept {
  std::array<devices::copy_to_device, devices::largest_batch> copies;
  for (std::size_t i = 0; i < batch_.size(); ++i) {
    load_job& job = *batch_[i];
    if (!begin_copying(job)) return false;
    copies[i] = {.to = state_.arena().address(job.room.run.first),
                 .from = job.direct,
                 .size_bytes = job.runtime->size_bytes(job.position)};
  }
  const auto stream = state_.timeline().handle(copy_stream_);
  if (!state_.backend().copy_batch(stream, {copies.data(), batch_.size()})) return false;
  const auto done = state_.timeline().record(copy_stream_);
  if (!done) return false;
  for (std::size_t i = 0; i < batch_.size(); ++i)
    note_copy(*batch_[i], {.done = *done, .size_bytes = copies[i].size_bytes, .quiet = true});
  return true;
}

bool transfers::issue_reads(load_job& job) noexcept {
  bool did = false;
  while (job.issued < job.chunks) {
    const auto slab = staging_.take_slab();
    if (!slab) break;
    slab_task& t = staging_.task(*slab);
    t.what = slab_task::work::read;
    t.source = &job.runtime->source();
    t.position = job.position;
    t.chunk = job.issued++;
    t.owner = &job;
    ++job.reading;
    staging_.start(*slab);
    did = true;
  }
  return did;
}

bool transfers::copies_have_room(std::uint64_t size_bytes) const noexcept {
  std::uint64_t queued = 0;
  for (const copy_under_way& c : copies_) queued += c.size_bytes;
  for (const load_job* job : batch_) queued += job->runtime->size_bytes(job->position);
  const std::size_t count = copies_.size() + batch_.size();
  return count == 0 || (count < most_copies && queued + size_bytes <= 2 * staging_.slab_bytes());
}

devices::status transfers::begin_copying(load_job& job) noexcept {
  if (job.begun) return {};
  for (const ticket t : job.room.fences.view())
    if (const auto ok = state_.timeline().wait(copy_stream_, t); !ok) return ok;
  discard(job);
  job.begun = true;
  return {};
}

/// What was in the room means nothing from here on. Padding counts as written, whatever a failed load may have left
/// discarded there: nobody writes it, but moves and uses read over it.
void transfers::discard(const load_job& job) noexcept {
  const auto stream = state_.timeline().handle(copy_stream_);
  std::byte* to = state_.arena().address(job.room.run.first);
  const std::uint64_t size = job.runtime->size_bytes(job.position);
  if (!job.runtime->source().has_padding()) return state_.backend().note_discard(stream, to, size);
  state_.backend().note_access(stream, to, size, devices::access::write);
  for (const tensor_info& t : job.runtime->source_model().blocks()[job.position].tensors)
    state_.backend().note_discard(stream, to + t.offset_bytes, t.size_bytes);
}

void transfers::submit_chunk(load_job& job, const std::byte* from, std::span<const sources::piece> pieces,
                             std::uint32_t slab) noexcept {
  std::byte* to = state_.arena().address(job.room.run.first);
  const bool quiet = is_quiet(job);
  devices::status ok = begin_copying(job);
  std::uint64_t size = 0;
  for (const sources::piece& p : pieces) {
    if (!ok) break;
    ok = state_.backend().copy(state_.timeline().handle(copy_stream_), devices::direction::host_to_device,
                               to + p.block_offset_bytes, from + p.slab_offset_bytes, p.size_bytes);
    size += p.size_bytes;
  }
  // Also after a failure: pieces that are in the stream still read the slab and write the room.
  const auto done = state_.timeline().record(copy_stream_);
  if (done) {
    note_copy(job, {.done = *done, .slab = slab, .size_bytes = size, .quiet = quiet});
  } else {
    if (const auto drained = state_.timeline().drain(copy_stream_); !drained) ok = drained;
    if (slab != no_slab) staging_.give_slab(slab);
    count(job.runtime->stats.loaded_bytes, size);
    ++job.submitted;
  }
  if (!ok) fail(job, ok.why());
  if (!done) fail(job, done.why());
}

/// A chunk of the job is in the stream.
void transfers::note_copy(load_job& job, const copy_under_way& copy) noexcept {
  copy_under_way& c = copies_.emplace_back(copy);
  c.submitted_ns = state_.now_ns();
  c.last = ++job.submitted == job.chunks;
  c.runtime = job.runtime->index();
  c.position = job.position;
  job.last = c.done;
  count(job.runtime->stats.loaded_bytes, c.size_bytes);
}

void transfers::fail(load_job& job, const failure& why) noexcept {
  if (job.failed()) return;
  job.why = why;
  state_.note_device_failure(why, "a load");
}

/// Publishes what is complete, gives up what failed.
bool transfers::end_jobs() noexcept {
  if (active_.empty()) return false;
  const scheduler_state::reading inside(state_);  // a runtime may be removed as soon as its last block is published
  const auto ended = [this](load_job* job) {
    const bool failed = (job->failed() && job->reading == 0) || job->withdrawn;
    const bool loaded = !job->failed() && job->submitted == job->chunks;
    if (failed) give_up(*job);
    if (loaded) publish(*job);
    return failed || loaded;
  };
  const auto end = std::remove_if(active_.begin(), active_.end(), ended);
  const auto count = static_cast<std::uint64_t>(active_.end() - end);
  active_.erase(end, active_.end());
  if (count == 0) return false;
  unfinished_.fetch_sub(count, order::acq_rel);
  state_.progress().notify();
  return true;
}

void transfers::publish(load_job& job) noexcept {
  runtime_state& r = *job.runtime;
  auto& block = r.at(job.position);
  block.set_run(job.room.run);
  block.ready.store(job.last.packed(), order::relaxed);
  block.uses.clear();
  r.extra(job.position).job.store(nullptr, order::release);
  count(r.stats.loads);
  if (job.prefetch) count(r.stats.prefetches);
  r.stats.resident_blocks.fetch_add(1, order::relaxed);
  state_.trace(trace_kind::resident, &r, job.position, 0, state_.to_bytes(job.room.run.count));
  const auto word = block.word.publish();
  if (word.candidate()) r.blocks().offer(job.position);
  if (word.pins() == 0 && state_.should_leave(r)) evict_and_free(state_, r, job.position, eviction_cause::guest_exit);
  jobs_.give(&job);
}

void transfers::give_up(load_job& job) noexcept {
  runtime_state& r = *job.runtime;
  fence_set fences = job.room.fences;
  if (!state_.arena().absorb(fences, job.last) || !state_.arena().give(job.room.run, fences))
    state_.keep_error(log_level::error, say("{} bytes of device memory are out of use after a failed load",
                                            state_.to_bytes(job.room.run.count)));
  r.discharge(job.room.run.count);
  r.stats.drop(job.room.run.count);
  if (job.failed()) count(r.stats.failed_loads);
  auto& extra = r.extra(job.position);
  extra.failure.store(
      std::uint64_t{static_cast<std::uint8_t>(job.why.code)} << 32 | static_cast<std::uint32_t>(job.why.native_code),
      order::release);
  extra.job.store(nullptr, order::release);
  state_.trace(trace_kind::load_failed, &r, job.position, 0, 0, job.failed() ? "" : "withdrawn");
  if (job.failed() && job.why.code != errc::closed)
    state_.keep_error(log_level::warning, say("loading block {} of {} failed: {} (native code {})", job.position,
                                              r.name(), to_string(job.why.code), job.why.native_code));
  r.at(job.position).word.abandon_load();
  jobs_.give(&job);
}

// ---- upkeep -----------------------------------------------------------------------------------------------

/// Once a millisecond: these look at all pages or all runtimes.
bool transfers::upkeep() noexcept {
  const std::uint64_t now_ns = state_.now_ns();
  if (stopping_.load(order::acquire) != 0 || now_ns < upkeep_ns_ + upkeep_period_ns) return false;
  upkeep_ns_ = now_ns;
  const bool reaped = state_.arena().reap() > 0;
  if (reaped) {
    state_.trace_used();
    state_.progress().notify();
  }
  const scheduler_state::reading inside(state_);
  state_.for_each_runtime([&](runtime_state& r) {
    if (r.leaving.load(order::acquire) == runtime_state::departure::straggling && r.charged_pages() != 0 &&
        state_.should_leave(r))
      evict_all(state_, r, eviction_cause::guest_exit);
    trim_to_share(state_, r);
  });
  trim_to_watermark();
  sampling_ = false;
  state_.for_each_runtime([&](runtime_state& r) {
    r.pacing().update(state_, r, copy_ns_per_byte_.value() * state_.arena().grid().mean_page_bytes());
    sampling_ |= r.pacing().samples();
  });
  return reaped;
}

/// Watermarks apply to what is left after reservations: pages of runtimes without a share, against the headroom.
/// Room is made only while a live pass may need it, and only from idle runtimes: the blocks of live passes leave
/// when something needs their room, and not before.
void transfers::trim_to_watermark() noexcept {
  const auto& options = state_.options();
  if (options.high_watermark >= 1) return;
  std::uint64_t loose = 0;
  bool needed = false;
  state_.for_each_runtime([&](runtime_state& r) {
    if (!state_.read(r).confined()) loose += r.charged_pages();
    needed |= r.blocks().live_passes().live() != 0 && r.charged_pages() < r.footprint_pages();
  });
  const auto headroom = static_cast<double>(state_.headroom_pages());
  if (!needed || static_cast<double>(loose) <= options.high_watermark * headroom) return;
  while (static_cast<double>(loose) > options.low_watermark * headroom) {
    const auto v = choose_victim(state_, {.pages = 1, .demand = false, .cause = eviction_cause::watermark});
    runtime_state* r = v && v->worth.idle ? state_.runtime_at(v->runtime, v->position) : nullptr;
    if (r == nullptr || state_.read(*r).confined()) return;
    if (!evict_and_free(state_, *r, v->position, eviction_cause::watermark)) return;
    loose -= std::min(loose, v->pages);
  }
}

}  // namespace pinrail::residency
