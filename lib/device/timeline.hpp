// S, streams as the rest of Pinrail sees them: tickets instead of events.
//
// `record` puts an event into a stream and returns a ticket for it: everything enqueued on the stream before by
// this thread is covered. `wait` makes a stream wait, on the device, for a ticket.
//
// Lanes. A later ticket of a lane covers the earlier ones, which holds only if one thread at a time records into
// it. So each stream has a few lanes, and a thread takes one that is free for the time of one record call: no
// thread waits for another one inside the driver, up to `lanes_per_stream` of them.
//
// Ring. A lane owns `ring_size` events and uses them in turn. An event is recorded again only after its last
// record is complete; a waiter that raced with that waits for a later event of the same stream, which is more
// than it needs and never wrong. A CPU that is a whole ring ahead of its device is held until the oldest event is
// done, as the driver's launch queue does at about the same depth.
//
// Words. What the CPU waits for on Pinrail's own streams it learns from a word per lane in page-locked memory, where
// the device can write one: the stream writes the sequence there behind each event, and reading it asks no driver.
// Events stay for the waits of streams, and for the CPU where the write of a word was refused. A lost device writes
// no more words, so of the looks that find a word too low every 64th asks the event. Streams of users get no words:
// what is enqueued there is theirs.
//
// Invariants:
//   S1  completed <= submitted in every lane; both only grow. ticket(l, k) is complete iff k <= completed(l),
//       or its event or its word says so. A word of a lane never holds more than what is complete in it.
//   S2  A ticket exists only after its event was recorded (pair 18 -> 19); so "never recorded" is never read.
//   S3  Lane sequences go on when a stream number is used again, so old tickets stay complete, and what an earlier
//       stream wrote to the lane's word says nothing about later ones.
//
// Progress: is_complete and wait are lock-free apart from the driver. record: see Ring and Lanes.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "core/atomic.hpp"
#include "core/ticket.hpp"
#include "device/backend.hpp"

namespace pinrail::devices {

using core::ticket;

class timeline {
 public:
  static constexpr std::uint32_t max_streams = 256;
  static constexpr std::uint32_t lanes_per_stream = 4;
  static constexpr std::uint32_t ring_size = 256;

  explicit timeline(backend& device);
  timeline(const timeline&) = delete;
  timeline& operator=(const timeline&) = delete;
  /// Streams must have been closed; destroys the events.
  ~timeline();

  // ---- streams: control plane ---------------------------------------------------------------------------
  enum class completion : std::uint8_t { by_event, by_word };

  /// `by_word`: where the device can; nobody but Pinrail enqueues on the stream.
  [[nodiscard]] result<std::uint32_t> create_stream(completion how = completion::by_event) noexcept;
  [[nodiscard]] result<std::uint32_t> wrap_stream(void* native) noexcept;
  /// Waits for the stream's work; then every ticket of it is complete.
  void close_stream(std::uint32_t stream) noexcept;
  [[nodiscard]] stream_handle handle(std::uint32_t stream) const noexcept { return streams_[stream].handle; }
  [[nodiscard]] status synchronize(std::uint32_t stream) noexcept;
  /// For when the device refuses to record what is in the stream: waits for it on the CPU, trying again after errors
  /// that may pass. A device that goes on refusing counts as lost: nobody knows what it still reads and writes.
  [[nodiscard]] status drain(std::uint32_t stream) noexcept;

  // ---- tickets: data plane ------------------------------------------------------------------------------
  [[nodiscard]] result<ticket> record(std::uint32_t stream) noexcept;
  /// A device error reads as "not complete"; `record` and `wait` report it, and `loss` a lost device.
  [[nodiscard]] bool is_complete(ticket t) noexcept;
  /// Has a query found the device lost? Then nothing ever becomes complete: who waits asks this, too.
  [[nodiscard]] std::optional<failure> loss() const noexcept;
  [[nodiscard]] status wait(std::uint32_t stream, ticket t) noexcept;
  /// One ticket on `stream` that covers all of `tickets`.
  [[nodiscard]] result<ticket> join(std::uint32_t stream, std::span<const ticket> tickets) noexcept;

  [[nodiscard]] static std::uint32_t stream_of(ticket t) noexcept { return t.lane() / lanes_per_stream; }
  /// Page-locked memory that is kept as long as the device.
  [[nodiscard]] std::uint64_t pinned_bytes() const noexcept;

 private:
  struct alignas(core::cache_line_bytes) lane {
    core::atomic<std::uint32_t> recording{0};
    std::uint64_t submitted = 0;  ///< by the thread that holds `recording`
    core::atomic<std::uint64_t> completed{0};
    core::atomic<completion_word*> word{nullptr};  ///< kept for good
    core::atomic<std::uint64_t> promised{0};       ///< the highest sequence whose write to the word is enqueued
    core::atomic<std::uint32_t> looks{0};          ///< that found the word too low
    std::array<core::atomic<void*>, ring_size> ring{};
  };
  struct stream_slot {
    core::atomic<std::uint32_t> taken{0};
    bool owned = false;
    bool by_word = false;
    stream_handle handle;
    core::atomic<lane*> lanes{nullptr};  ///< lanes_per_stream of them; made at first use, kept for good
  };

  [[nodiscard]] result<std::uint32_t> take_slot(stream_handle handle, bool owned) noexcept;
  [[nodiscard]] lane& lane_of(ticket t) noexcept;
  [[nodiscard]] status record_in(lane& l, const stream_slot& s) noexcept;
  /// Null: the device writes none, or there is no memory for them.
  [[nodiscard]] completion_word* words() noexcept;
  void give_words(std::uint32_t stream) noexcept;
  /// Says nothing where the event must be asked.
  [[nodiscard]] std::optional<bool> read_word(lane& l, std::uint64_t sequence) noexcept;
  [[nodiscard]] bool poll(lane& l, std::uint64_t sequence) noexcept;
  /// Holds the caller until the event that the next record would overwrite is done.
  [[nodiscard]] status await_ring(lane& l) noexcept;
  static void complete_to(lane& l, std::uint64_t sequence) noexcept;

  backend& device_;
  std::unique_ptr<stream_slot[]> streams_;
  core::atomic<completion_word*> words_{nullptr};  ///< of all lanes; made for the first stream that wants some
  core::atomic<std::uint64_t> loss_{0};            ///< 0: none; else bit 32, and the native code below
};

}  // namespace pinrail::devices
