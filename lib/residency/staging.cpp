#include "residency/staging.hpp"

#include <fmt/format.h>
#include <tbb/task_arena.h>

#include <boost/lockfree/queue.hpp>
#include <mutex>
#include <semaphore>
#include <system_error>
#include <thread>
#include <vector>

#include "core/atomic.hpp"
#include "pinrail/units.hpp"
#include "residency/run_in_arena.hpp"

namespace pinrail::residency {
namespace order = core::order;

struct staging::parts {
  struct slab {
    std::byte* memory = nullptr;
    slab_task task;
  };
  using queue = boost::lockfree::queue<std::uint32_t, boost::lockfree::fixed_sized<true>>;
  static constexpr std::size_t most_slabs = 1024;

  parts(staging& whole, std::uint32_t threads)
      : owner(whole), arena(static_cast<int>(threads), 0), started(most_slabs), finished(most_slabs) {}

  /// Runs the task that has waited longest, if there is one.
  void run_next() noexcept;
  void run_in_worker() noexcept;
  /// The thread for when no worker comes.
  void run_when_asked() noexcept;

  staging& owner;
  std::mutex preparing;  ///< control plane
  std::unique_ptr<slab[]> slabs;
  core::atomic<std::uint32_t> count{0};  ///< slabs that there are; set once
  std::vector<std::uint32_t> free;       ///< transfer thread; filled when it first sees them
  bool free_filled = false;
  tbb::task_arena arena;
  queue started, finished;
  core::atomic<std::uint32_t> inside{0};  ///< tasks that may still touch this object
  core::atomic<std::uint32_t> asked{0};   ///< for help; taken back by who helps
  core::atomic<std::uint32_t> closing{0};
  std::counting_semaphore<> wanted{0};  ///< once for each time that `asked` was set, and at the end
  std::thread helper;
};

staging::staging(devices::backend& device, std::uint32_t slabs, std::uint64_t slab_bytes, std::uint32_t threads,
                 event_count& finished)
    : device_(device),
      wanted_slabs_(slabs),
      slab_bytes_(slab_bytes),
      finished_signal_(finished),
      parts_(std::make_unique<parts>(*this, threads)) {}

staging::~staging() {
  while (parts_->inside.load(order::acquire) != 0) std::this_thread::yield();
  parts_->closing.store(1, order::release);
  parts_->wanted.release();
  if (parts_->helper.joinable()) parts_->helper.join();
  for (std::uint32_t i = 0; i < parts_->count.load(order::acquire); ++i) device_.free_pinned(parts_->slabs[i].memory);
}

void staging::prepare(std::uint64_t largest_chunk_bytes) {
  if (largest_chunk_bytes > slab_bytes_)
    throw error(errc::invalid_argument,
                fmt::format("the model's source reads chunks of up to {}, but staging slabs hold {}: raise "
                            "scheduler_options::chunk_bytes or lower the source's",
                            format_bytes(largest_chunk_bytes), format_bytes(slab_bytes_)));
  const std::lock_guard lock(parts_->preparing);
  if (parts_->count.load(order::relaxed) != 0) return;
  parts_->slabs = std::make_unique<parts::slab[]>(wanted_slabs_);
  std::uint32_t got = 0;
  failure why;
  for (; got < wanted_slabs_; ++got) {
    const auto memory = device_.allocate_pinned(slab_bytes_);
    why = memory.why();
    if (!memory) break;
    parts_->slabs[got].memory = *memory;
  }
  if (got == 0)
    throw error(why, fmt::format("no page-locked memory for staging, not even one slab of {}: {} (native code {})",
                                 format_bytes(slab_bytes_), to_string(why.code), why.native_code));
  try {
    if (device_.is_threaded()) parts_->helper = std::thread([this] { parts_->run_when_asked(); });
  } catch (const std::system_error&) {  // it helps where it can
  }
  parts_->count.store(got, order::release);
}

std::optional<std::uint32_t> staging::take_slab() noexcept {
  if (!parts_->free_filled) {
    const std::uint32_t count = parts_->count.load(order::acquire);
    if (count == 0) return std::nullopt;
    for (std::uint32_t i = 0; i < count; ++i) parts_->free.push_back(i);  // the capacity for all of them, too
    parts_->free_filled = true;
  }
  if (parts_->free.empty()) return std::nullopt;
  const std::uint32_t slab = parts_->free.back();
  parts_->free.pop_back();
  return slab;
}

void staging::give_slab(std::uint32_t slab) noexcept { parts_->free.push_back(slab); }

slab_task& staging::task(std::uint32_t slab) noexcept { return parts_->slabs[slab].task; }

std::span<std::byte> staging::memory(std::uint32_t slab) const noexcept {
  return {parts_->slabs[slab].memory, slab_bytes_};
}

void staging::start(std::uint32_t slab) noexcept {
  ++running_;
  if (!device_.is_threaded()) return finish(slab);
  parts_->inside.fetch_add(1, order::relaxed);
  parts_->started.bounded_push(slab);
  run_in_arena<parts, &parts::run_in_worker>(parts_->arena, *parts_);
}

/// Looks at the queue first and takes its slab from there, not from the closure: the queue is what orders the two
/// threads.
void staging::parts::run_next() noexcept {
  std::uint32_t mine = 0;
  if (started.pop(mine)) owner.run(mine);
}

void staging::parts::run_in_worker() noexcept {
  run_next();
  inside.fetch_sub(1, order::release);
}

void staging::parts::run_when_asked() noexcept {
  pthread_setname_np(pthread_self(), "pinrail-reads");
  for (;;) {
    wanted.acquire();
    if (closing.load(order::acquire) != 0) return;
    asked.store(0, order::relaxed);
    run_next();
  }
}

void staging::ask_for_help() noexcept {
  if (running_ == 0 || parts_->asked.exchange(1, order::relaxed) != 0) return;
  parts_->wanted.release();
}

void staging::run(std::uint32_t slab) noexcept {
  slab_task& t = parts_->slabs[slab].task;
  t.pieces.count = 0;
  if (t.what == slab_task::work::read) {
    t.outcome = t.source->read_chunk(t.position, t.chunk, memory(slab), t.pieces);
  } else {
    t.outcome = t.source->write(t.position, t.offset_bytes, memory(slab).first(t.size_bytes));
  }
  finish(slab);
}

void staging::finish(std::uint32_t slab) noexcept {
  parts_->finished.bounded_push(slab);
  finished_signal_.notify();
}

std::optional<std::uint32_t> staging::finished() noexcept {
  std::uint32_t slab = 0;
  if (!parts_->finished.pop(slab)) return std::nullopt;
  --running_;
  return slab;
}

}  // namespace pinrail::residency
