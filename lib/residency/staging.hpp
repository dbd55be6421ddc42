// Staging: page-locked slabs that copies start from, and the threads that fill and empty them.
//
// A slab goes round: free -> a task reads a chunk into it (or takes a chunk that was copied back out of it) ->
// the transfer thread submits copies from it -> free once they are done on the device.
//
// The transfer thread owns every slab that is not in a task. Handing over goes through lock-free queues
// (Boost.Lockfree); tasks run in a oneTBB arena, or, where its workers don't come, one after the other on a thread of
// ours. On a simulated device, which has no bytes, a task does nothing and is done at once: what its slabs hold must
// not reach a source.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "device/backend.hpp"
#include "residency/event_count.hpp"
#include "sources/source.hpp"

namespace pinrail::residency {

struct slab_task {
  enum class work : std::uint8_t { read, write };
  work what = work::read;
  sources::source* source = nullptr;
  std::uint32_t position = 0;      ///< block
  std::uint32_t chunk = 0;         ///< read: which
  std::uint64_t offset_bytes = 0;  ///< write: where in the block
  std::uint64_t size_bytes = 0;    ///< write: how much
  void* owner = nullptr;           ///< the job it belongs to
  sources::piece_list pieces{};    ///< read: the outcome
  sources::status outcome{};
};

class staging {
 public:
  staging(devices::backend& device, std::uint32_t slabs, std::uint64_t slab_bytes, std::uint32_t threads,
          event_count& finished);
  ~staging();

  /// Allocates the slabs, as many as the system gives. Control plane. Throws what the device answers if it gives none,
  /// and invalid_argument if a chunk of a source is larger than a slab.
  void prepare(std::uint64_t largest_chunk_bytes);

  // ---- transfer thread --------------------------------------------------------------------------------------
  [[nodiscard]] std::optional<std::uint32_t> take_slab() noexcept;
  void give_slab(std::uint32_t slab) noexcept;
  [[nodiscard]] slab_task& task(std::uint32_t slab) noexcept;
  [[nodiscard]] std::span<std::byte> memory(std::uint32_t slab) const noexcept;
  /// Runs the slab's task on a reader thread.
  void start(std::uint32_t slab) noexcept;
  /// Has a thread of our own run a task that waits for a worker, if there is one. For who has waited in vain: the
  /// workers belong to the whole process, and all of them may be in tasks of the user's that wait for Pinrail. Not the
  /// caller: a read that does not return must not stop the copies of others.
  void ask_for_help() noexcept;
  /// A slab whose task is done.
  [[nodiscard]] std::optional<std::uint32_t> finished() noexcept;
  /// Tasks started and not yet returned by `finished`.
  [[nodiscard]] std::uint32_t running() const noexcept { return running_; }
  [[nodiscard]] std::uint64_t slab_bytes() const noexcept { return slab_bytes_; }

 private:
  struct parts;
  void run(std::uint32_t slab) noexcept;
  void finish(std::uint32_t slab) noexcept;

  devices::backend& device_;
  std::uint32_t wanted_slabs_;
  std::uint64_t slab_bytes_;
  event_count& finished_signal_;
  std::uint32_t running_ = 0;
  std::unique_ptr<parts> parts_;
};

}  // namespace pinrail::residency
