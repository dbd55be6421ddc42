#include "fuzz/api/world.hpp"

#include <algorithm>
#include <thread>

namespace pinrail::fuzz {
namespace order = core::order;

namespace {

constexpr auto patience = std::chrono::seconds(5);

template <class Condition>
bool eventually(Condition&& holds) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  return true;
}

std::string spec_of(const program& p) {
  return p.slow_copies ? "emulated:vram=1MiB,h2d=100MB/s,d2h=50MB/s,latency=20us" : "emulated:vram=1MiB";
}

}  // namespace

world::world(const program& p) : setup_(p), device_(open_device(spec_of(p))) {
  for (pinrail::stream& s : streams_) s = device_->create_stream();
  scheduler_options options{.vram_budget = p.budget_pages * p.page_bytes,
                            .max_vram_budget = p.arena_pages * p.page_bytes,
                            .high_watermark = p.watermarks ? 0.75 : 1,
                            .low_watermark = 0.5,
                            .load_deadline = p.deadline,
                            .page_bytes = p.page_bytes,
                            .chunk_bytes = 4096,
                            .staging_slabs = 2,
                            .max_runtimes = 6};  // one less than there are models
  options.log = [this](log_level level, std::string_view) {
    if (level == log_level::error) troubled_.store(true, order::release);
  };
  if (p.traced) options.trace = &trace_;
  scheduler_.emplace(*device_, options);
  budget_ = scheduler_->budget();
  make_models();
  for (std::size_t m = 0; m < models_.size(); ++m)
    if (p.registered >> m & 1) add_runtime(models_[m]);
}

void world::make_models() {
  using from = tested_model::from;
  const std::uint64_t page = setup_.page_bytes;
  const auto add = [&](std::string name, from source, bool writable, const std::vector<std::uint64_t>& sizes_bytes) {
    tested_model& m = models_.emplace_back();
    m.name = std::move(name);
    m.source = source;
    m.writable = writable;
    for (const std::uint64_t size : sizes_bytes) {
      m.blocks.emplace_back(models_.size() * 100 + m.blocks.size(), size);
      m.footprint_pages += (size + page - 1) / page;
    }
  };
  add("even", from::pinned, false, {page, page, page, page, page, page, page, page});
  add("mixed", from::pinned, false, {page, 3 * page, page / 2, 2 * page, page + 1, 5 * page});
  add("staged", from::pageable, false, {2 * page, 2 * page, 2 * page - 8, 2 * page});
  add("written", from::pageable, true, {page, page, page, page, page});
  add("written mixed", from::pinned, true, {2 * page, page, 4 * page, 24});
  add("callback", from::callback, true, {page, 2 * page, page, 3 * page});
  add("empty", from::pinned, false, {});
}

pinrail::model world::describe(tested_model& m) {
  if (m.source != tested_model::from::callback) {
    std::vector<memory_block> blocks;
    for (tested_block& b : m.blocks) blocks.push_back({"block." + std::to_string(blocks.size()), b.host});
    return model_from_memory(blocks, {.pinned = m.source == tested_model::from::pinned, .writable = m.writable});
  }
  std::vector<block_info> blocks;
  for (tested_block& b : m.blocks)
    blocks.push_back({.name = "block." + std::to_string(blocks.size()), .size_bytes = b.host.size()});
  const auto fails = [](core::atomic<std::int32_t>& left) {
    return left.load(order::relaxed) > 0 && left.fetch_sub(1, order::relaxed) > 0;
  };
  return model_from_callback(
      std::move(blocks),
      [this, &m, fails](block_index b, std::uint64_t offset, std::span<std::byte> to) {
        if (fails(failing_reads_)) return false;
        std::memcpy(to.data(), m.blocks[b].host.data() + offset, to.size());
        return true;
      },
      [this, &m, fails](block_index b, std::uint64_t offset, std::span<const std::byte> bytes) {
        if (fails(failing_writes_)) return false;
        std::memcpy(m.blocks[b].host.data() + offset, bytes.data(), bytes.size());
        return true;
      });
}

// ---- the scheduler ------------------------------------------------------------------------------------------------

world::~world() {
  if (scheduler_) expect_quiet();
  end_scheduler();
  for (pinrail::stream& s : streams_) s = {};
  expect_device_unused();
  expect_host_bytes();
  (void)trace_.events();
}

void world::end_scheduler() {
  closing_.store(true, order::release);
  {
    const std::lock_guard lock(turns_);  // nobody waits for a turn that may never come
    turned_.notify_all();
  }
  const std::unique_lock lock(ending_);
  scheduler_.reset();
}

void world::add_runtime(tested_model& m) {
  const std::lock_guard lock(m.mutex);
  if (m.registered) return;
  // Blocks must fit in the arena, and there is room for one runtime less than there are models.
  with_scheduler([&](scheduler& s) {
    m.registered = attempt({errc::too_large, errc::limit}, [&] {
      runtime added = s.add_runtime(m.name, describe(m));
      m.former = std::exchange(m.now, std::move(added));
    });
  });
}

void world::remove_runtime(tested_model& m) {
  const std::lock_guard lock(m.mutex);
  with_scheduler([&](scheduler& s) {
    if (m.registered) removed_.store(true, order::release);
    const bool removed =
        attempt({m.registered ? errc::in_use : errc::closed, errc::invalid_argument}, [&] { s.remove_runtime(m.now); });
    expect(!removed || m.registered, "'{}' was removed twice", m.name);
    if (!removed) return;
    m.registered = false;
    m.former = m.now;
  });
}

// ---- errors -------------------------------------------------------------------------------------------------------

void world::expect_explained(const error& e, std::initializer_list<errc> documented) const {
  bool explained = std::find(documented.begin(), documented.end(), e.code()) != documented.end();
  switch (e.code()) {
    case errc::closed:
      explained |= closing() || removed_.load(order::acquire);
      break;
    case errc::out_of_memory:
    case errc::device_error:
    case errc::device_lost:
      explained |= faulty();
      break;
    case errc::io_error:
      explained |= broken_.load(order::acquire);
      break;
    default:
      break;
  }
  expect(explained, "refused with {}, which nothing explains: {}", to_string(e.code()), e.what());
  expect(e.what()[0] != '\0', "refused with {} and without a message", to_string(e.code()));
}

void world::inject(const emulated::fault& what) {
  faulty_.store(true, order::release);
  emulated::inject(*device_, what);
}

void world::break_source(std::uint32_t reads, std::uint32_t writes) {
  broken_.store(true, order::release);
  failing_reads_.store(static_cast<std::int32_t>(reads), order::relaxed);
  failing_writes_.store(static_cast<std::int32_t>(writes), order::relaxed);
}

// ---- blocks -------------------------------------------------------------------------------------------------------

bool world::enter(tested_block& b) {
  const std::lock_guard lock(b.mutex);
  if (b.written) return false;
  ++b.users;
  return true;
}

void world::leave(tested_block& b, std::size_t stream) {
  const std::lock_guard lock(b.mutex);
  --b.users;
  b.written = false;
  b.streams |= 1u << stream;
}

bool world::begin_write(tested_block& b, std::size_t stream) {
  std::uint32_t others = 0;
  {
    const std::lock_guard lock(b.mutex);
    if (b.users != 1 || b.written) return false;
    b.written = true;
    others = b.streams & ~(1u << stream);
  }
  for (std::size_t s = 0; s < streams; ++s) {
    if (!(others >> s & 1) || attempt({}, [&] { streams_[s].synchronize(); })) continue;
    cancel_write(b);
    return false;
  }
  const std::lock_guard lock(b.mutex);
  b.streams &= ~others;
  return true;
}

void world::cancel_write(tested_block& b) {
  const std::lock_guard lock(b.mutex);
  b.written = false;
}

void world::launch_check(tested_block& b, const use& held, std::size_t stream) {
  const std::span<const std::byte> bytes(static_cast<const std::byte*>(held.device_ptr()), held.size_bytes());
  expect(bytes.size() == b.host.size(), "a use of {} bytes of a block of {}", bytes.size(), b.host.size());
  expect(reinterpret_cast<std::uintptr_t>(bytes.data()) % setup_.page_bytes == 0, "a block is not at a page");
  std::uint32_t version = 0;
  {
    const std::lock_guard lock(b.mutex);
    version = b.version;
  }
  const emulated::access touched{bytes.data(), bytes.size(), false};
  attempt({}, [&] {
    emulated::launch(streams_[stream],
                     [bytes, version, contents = b.contents] {
                       expect(contents.match(bytes, version),
                              "a kernel read bytes that are not version {} of its block", version);
                     },
                     {&touched, 1});
  });
}

void world::launch_write(tested_block& b, const use& held, std::size_t stream) {
  const std::span<std::byte> bytes(static_cast<std::byte*>(held.device_ptr()), held.size_bytes());
  const std::lock_guard lock(b.mutex);
  const emulated::access touched{bytes.data(), bytes.size(), true};
  attempt({}, [&] {
    emulated::launch(streams_[stream],
                     [bytes, version = b.version + 1, contents = b.contents] { contents.write(bytes, version); },
                     {&touched, 1});
    ++b.version;
  });
}

// ---- oracles ------------------------------------------------------------------------------------------------------

void world::expect_budget() {
  with_scheduler([&](scheduler& s) {
    const statistics now = s.statistics();
    expect(now.used_bytes <= now.budget_bytes, "{} bytes are used of a budget of {}", now.used_bytes, now.budget_bytes);
    expect(now.peak_used_bytes <= setup_.arena_pages * setup_.page_bytes, "{} bytes were used of an arena of {} pages",
           now.peak_used_bytes, setup_.arena_pages);
    for (const runtime_statistics& r : now.runtimes) {
      expect(r.resident_blocks <= r.blocks, "{} of {} blocks of '{}' are resident", r.resident_blocks, r.blocks,
             r.name);
      expect(r.resident_bytes <= r.footprint_bytes, "{} bytes of '{}' are resident, of {}", r.resident_bytes, r.name,
             r.footprint_bytes);
    }
    if (!in_turns()) return;
    std::int64_t shares = reserved_bytes_.load(order::acquire);
    for (const runtime_statistics& r : now.runtimes) shares += static_cast<std::int64_t>(r.share_bytes);
    expect(shares == static_cast<std::int64_t>(now.reserved_bytes), "shares of {} bytes in all, but {} are reserved",
           shares, now.reserved_bytes);
    expect(now.reserved_bytes + now.headroom_bytes == now.budget_bytes, "{} reserved and {} of headroom of {}",
           now.reserved_bytes, now.headroom_bytes, now.budget_bytes);
  });
}

/// All handles have ended, and nothing runs: what is used is what is resident, and nothing is held.
void world::expect_quiet() {
  clear_faults();
  failing_reads_.store(0, order::relaxed);
  failing_writes_.store(0, order::relaxed);
  scheduler_->synchronize();
  for (pinrail::stream& s : streams_) attempt({}, [&] { s.synchronize(); });
  for (tested_model& m : models_) (void)m.now.release_reservation();
  const statistics now = scheduler_->statistics();
  expect(now.reserved_bytes == 0, "{} bytes are reserved by nobody", now.reserved_bytes);
  for (const runtime_statistics& r : now.runtimes)
    expect(r.guards == 0, "'{}' has {} guards too many", r.name, r.guards);
  if (faulty()) return;  // memory that the device could not order stays out of use, and is counted
  const bool adds_up = eventually([&] {
    const statistics s = scheduler_->statistics();
    std::uint64_t resident = 0;
    for (const runtime_statistics& r : s.runtimes) resident += r.resident_bytes;
    return resident == s.used_bytes;
  });
  expect(adds_up, "used bytes are not what is resident: {}", scheduler_->statistics().used_bytes);
  for (const blocker& b : scheduler_->blockers())
    expect(b.why == blocker::reason::dirty || b.why == blocker::reason::loading, "'{}' still holds {} bytes: {}",
           b.name, b.bytes, to_string(b.why));
}

void world::expect_device_unused() {
  for (const std::string& v : emulated::violations(*device_)) expect(false, "not ordered: {}", v);
  const emulated::resources left = emulated::live_resources(*device_);
  expect(left.arena_bytes == 0, "{} bytes of the arena leaked", left.arena_bytes);
  expect(left.pinned_bytes == 0, "{} bytes of pinned memory leaked", left.pinned_bytes);
  expect(left.streams == 0, "{} streams leaked", left.streams);
}

/// Rule 11: what was written is in the source, or an error was logged.
void world::expect_host_bytes() {
  const bool may_be_older = troubled_.load(order::acquire);
  for (tested_model& m : models_) {
    for (tested_block& b : m.blocks) {
      std::uint32_t version = b.version;
      while (version > 0 && may_be_older && !b.contents.match(b.host, version)) --version;
      expect(b.contents.match(b.host, version), "a block of '{}' is not version {} in its source", m.name, version);
    }
  }
}

// ---- turns --------------------------------------------------------------------------------------------------------

void world::await_turn(std::size_t i) {
  std::unique_lock lock(turns_);
  turned_.wait(lock, [&] { return turn_ == i || !in_turns(); });
}

void world::end_turn() {
  const std::lock_guard lock(turns_);
  ++turn_;
  turned_.notify_all();
}

}  // namespace pinrail::fuzz
