// Devices and streams.
//
// A device is one GPU's memory, streams, events and copies. `open_device` picks the backend from a spec:
//
//   "cuda:0"                                              a real GPU, by CUDA ordinal
//   "emulated:vram=24GiB,h2d=25GB/s,d2h=25GB/s"           real bytes and real threads in host memory
//   "simulated:vram=24GiB,h2d=25GB/s,d2h=25GB/s"          one thread, a virtual clock, no bytes
//   "best"                                                cuda:0 where there is a GPU, else "emulated:"
//
// A stream is an in-order queue of device work. Pinrail wraps the streams of its users and orders its copies
// against them with events; it never waits for a stream on the CPU to do so.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace pinrail {

namespace devices {
class backend;
class timeline;
}  // namespace devices

class device;

enum class device_kind : std::uint8_t { cuda, emulated, simulated };

/// A view of a stream of one device. Cheap to copy; valid while the stream lives.
/// Thread-safety: as the device's streams: any thread may enqueue.
class stream_ref {
 public:
  stream_ref() = default;
  stream_ref(pinrail::device& owner, std::uint32_t index) noexcept : device_(&owner), index_(index) {}

  [[nodiscard]] pinrail::device* device() const noexcept { return device_; }
  /// The stream's number on its device, from 0; numbers are used again after a stream ends.
  [[nodiscard]] std::uint32_t index() const noexcept { return index_; }
  /// cudaStream_t on a CUDA device, else the backend's own handle.
  [[nodiscard]] void* native_handle() const noexcept;
  /// Blocks the calling thread until all work enqueued so far is done. Throws on a device error.
  void synchronize() const;

  friend bool operator==(const stream_ref&, const stream_ref&) = default;

 private:
  pinrail::device* device_ = nullptr;
  std::uint32_t index_ = 0;
};

/// Owns a stream, or a registration of a stream that someone else owns (`device::wrap_stream`). The end of a
/// `stream` waits for its work. Move-only.
class stream {
 public:
  stream() = default;
  stream(std::shared_ptr<pinrail::device> owner, std::uint32_t index) noexcept
      : owner_(std::move(owner)), index_(index) {}
  stream(stream&& other) noexcept : owner_(std::move(other.owner_)), index_(other.index_) {}
  stream& operator=(stream&& other) noexcept;
  stream(const stream&) = delete;
  stream& operator=(const stream&) = delete;
  ~stream();

  [[nodiscard]] stream_ref ref() const noexcept { return owner_ ? stream_ref(*owner_, index_) : stream_ref(); }
  operator stream_ref() const noexcept { return ref(); }  // NOLINT: a stream is its view
  [[nodiscard]] void* native_handle() const noexcept { return ref().native_handle(); }
  void synchronize() const { ref().synchronize(); }

 private:
  std::shared_ptr<pinrail::device> owner_;
  std::uint32_t index_ = 0;
};

/// Thread-safety: every member may be called from any thread (a simulated device: from one thread only).
class device : public std::enable_shared_from_this<device> {
 public:
  explicit device(std::unique_ptr<devices::backend> implementation);
  device(const device&) = delete;
  device& operator=(const device&) = delete;
  ~device();

  [[nodiscard]] device_kind kind() const noexcept;
  /// For people: "NVIDIA H200 (cuda:0)", "emulated, 24.00 GiB".
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] std::uint64_t memory_bytes() const noexcept;
  /// Nanoseconds on the device's clock: steady time, or virtual time on a simulated device.
  [[nodiscard]] std::uint64_t now_ns() const noexcept;

  /// A new stream. Throws `errc::limit` when the device's stream table is full.
  [[nodiscard]] stream create_stream();
  /// Registers a stream that the caller owns, a `cudaStream_t` for CUDA. The caller keeps it alive longer than
  /// the returned registration. Throws `errc::not_supported` on devices without native streams.
  [[nodiscard]] stream wrap_stream(void* native);

  [[nodiscard]] devices::backend& backend() const noexcept { return *backend_; }
  [[nodiscard]] devices::timeline& timeline() const noexcept { return *timeline_; }

 private:
  std::unique_ptr<devices::backend> backend_;
  std::unique_ptr<devices::timeline> timeline_;
  std::string name_;
};

/// Bytes per second of bare copies from page-locked host memory to the device, measured now: about 50 ms of copies of
/// up to 64 MiB. Needs that much free memory on both sides; throws what the device answers if there is none.
[[nodiscard]] double measure_copy_rate(device& on);

/// Throws `errc::invalid_argument` for a spec that can't be read and `errc::device_unavailable` where there is
/// no such device; the message says why.
[[nodiscard]] std::shared_ptr<device> open_device(std::string_view spec);

}  // namespace pinrail
