#include "residency/write_back.hpp"

#include <algorithm>

#include "residency/say.hpp"

namespace pinrail::residency {
namespace order = core::order;

namespace {
constexpr std::size_t most_requests = 4096;
constexpr std::uint64_t retry_after_ns = 10'000'000;
}  // namespace

write_backs::write_backs(scheduler_state& s, staging& slabs, std::uint32_t stream)
    : state_(s), slabs_(slabs), stream_(stream), incoming_(most_requests) {}

void write_backs::request(runtime_state& r, std::uint32_t position, bool at_once) noexcept {
  const std::uint64_t failed_ns = r.extra(position).write_back_failed_ns.load(order::relaxed);
  if (!at_once && failed_ns != 0 && state_.now_ns() < failed_ns + retry_after_ns) return;
  if (!r.at(position).word.begin_write_back()) return;
  pending_.fetch_add(1, order::acq_rel);
  if (incoming_.bounded_push({&r, position})) return;
  r.at(position).word.end_write_back(false);  // the queue is full: whoever needs it asks again
  pending_.fetch_sub(1, order::acq_rel);
}

bool write_backs::step() noexcept {
  bool did = take_in();
  for (job& j : active_) did |= copy_out(j);
  did |= write_copied();
  did |= end_jobs();
  return did;
}

bool write_backs::take_in() noexcept {
  bool did = false;
  request_item item{};
  while (incoming_.pop(item)) {
    active_.push_back({.runtime = item.runtime, .position = item.position});
    state_.trace(trace_kind::write_back_begin, item.runtime, item.position);
    did = true;
  }
  return did;
}

bool write_backs::copy_out(job& j) noexcept {
  const std::uint64_t size = j.runtime->size_bytes(j.position);
  bool did = false;
  while (j.why.code == errc::none && j.copied_bytes < size) {
    const auto slab = slabs_.take_slab();
    if (!slab) break;
    did = true;
    const auto& block = j.runtime->at(j.position);
    const std::uint64_t part = std::min(slabs_.slab_bytes(), size - j.copied_bytes);
    auto& timeline = state_.timeline();
    devices::status ok = timeline.wait(stream_, ticket(block.ready.load(order::acquire)));
    if (ok)
      ok = state_.backend().copy(timeline.handle(stream_), devices::direction::device_to_host,
                                 slabs_.memory(*slab).data(),
                                 state_.arena().address(block.run().first) + j.copied_bytes, part);
    const auto done = ok ? timeline.record(stream_) : result<ticket>(ok.why());
    if (!done) {
      const auto drained = timeline.drain(stream_);  // the copy may be in the stream: the slab is free after it
      slabs_.give_slab(*slab);
      j.why = drained ? done.why() : drained.why();
      break;
    }
    slabs_.task(*slab) = {.what = slab_task::work::write,
                          .source = &j.runtime->source(),
                          .position = j.position,
                          .offset_bytes = j.copied_bytes,
                          .size_bytes = part,
                          .owner = &j};
    copies_.push_back({*done, *slab});
    j.copied_bytes += part;
    ++j.under_way;
  }
  return did;
}

bool write_backs::write_copied() noexcept {
  bool did = false;
  const bool lost = state_.device_lost();
  while (!copies_.empty() && (lost || state_.timeline().is_complete(copies_.front().done))) {
    const std::uint32_t slab = copies_.front().slab;
    copies_.pop_front();
    did = true;
    if (!lost) {
      slabs_.start(slab);
      continue;
    }
    slabs_.task(slab).outcome = state_.why_halted();
    finish_task(slab);
  }
  return did;
}

void write_backs::finish_task(std::uint32_t slab) noexcept {
  const slab_task& t = slabs_.task(slab);
  job& j = *static_cast<job*>(t.owner);
  if (!t.outcome && j.why.code == errc::none) j.why = t.outcome.why();
  --j.under_way;
  slabs_.give_slab(slab);
}

bool write_backs::end_jobs() noexcept {
  bool did = false;
  // Jobs end in order, so that the addresses of the others (slab_task::owner) stay.
  while (!active_.empty()) {
    job& j = active_.front();
    const bool done = j.why.code != errc::none || j.copied_bytes == j.runtime->size_bytes(j.position);
    if (!done || j.under_way != 0) break;
    end(j);
    active_.pop_front();
    pending_.fetch_sub(1, order::acq_rel);
    did = true;
  }
  if (did) state_.progress().notify();
  return did;
}

void write_backs::end(job& j) noexcept {
  runtime_state& r = *j.runtime;
  const bool succeeded = j.why.code == errc::none;
  if (succeeded) {
    count(r.stats.written_back);
    count(r.stats.written_back_bytes, r.size_bytes(j.position));
  } else {
    r.extra(j.position).write_back_failed_ns.store(state_.now_ns(), order::relaxed);
    state_.note_device_failure(j.why, "a write-back");
    state_.keep_error(log_level::error, say("block {} of {} could not be written back: {} (native code {}); it stays "
                                            "on the device",
                                            j.position, r.name(), to_string(j.why.code), j.why.native_code));
  }
  state_.trace(trace_kind::write_back_end, &r, j.position, 0, succeeded ? r.size_bytes(j.position) : 0);
  r.at(j.position).word.end_write_back(succeeded);
}

}  // namespace pinrail::residency
