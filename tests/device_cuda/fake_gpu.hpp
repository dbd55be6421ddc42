// A GPU of a fake machine as a device of Pinrail's: the CUDA backend, and what tests ask of an emulated device.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "device/backend.hpp"
#include "device/emulated/emulation.hpp"
#include "device/spec.hpp"
#include "fake_cuda.hpp"

namespace pinrail::testing {

/// The CUDA function that a call of the backend rests on.
[[nodiscard]] const char* cuda_name(emulated::call what);
[[nodiscard]] cudaError_t cuda_code(errc code);

/// Every call goes to the CUDA backend as it is. Discards and noted accesses, which that has no use for, go to the
/// fake's order checker. At its end it looks for misuses and for what nobody gave back.
class fake_gpu final : public devices::backend, public devices::emulation {
 public:
  /// Called at the end of a device with what is wrong.
  using reporter = std::function<void(const std::string&)>;

  /// Opens device `ordinal` of `machine`, which must not be open.
  fake_gpu(std::shared_ptr<fake_cuda> machine, int ordinal, const devices::host_device_options& how, reporter report);
  ~fake_gpu() override;

  [[nodiscard]] fake_cuda& machine() noexcept { return *machine_; }
  [[nodiscard]] int ordinal() const noexcept { return ordinal_; }

  [[nodiscard]] device_kind kind() const noexcept override { return cuda_->kind(); }
  [[nodiscard]] std::string name() const override { return cuda_->name(); }
  [[nodiscard]] std::uint64_t memory_bytes() const noexcept override { return cuda_->memory_bytes(); }
  [[nodiscard]] std::uint64_t now_ns() const noexcept override { return cuda_->now_ns(); }
  [[nodiscard]] result<std::byte*> allocate_arena(std::uint64_t size_bytes) noexcept override {
    return cuda_->allocate_arena(size_bytes);
  }
  void free_arena(std::byte* arena) noexcept override { cuda_->free_arena(arena); }
  [[nodiscard]] result<std::byte*> allocate_pinned(std::uint64_t size_bytes) noexcept override {
    return cuda_->allocate_pinned(size_bytes);
  }
  void free_pinned(std::byte* memory) noexcept override { cuda_->free_pinned(memory); }
  [[nodiscard]] result<devices::stream_handle> create_stream() noexcept override { return cuda_->create_stream(); }
  void destroy_stream(devices::stream_handle stream) noexcept override { cuda_->destroy_stream(stream); }
  [[nodiscard]] result<devices::stream_handle> wrap_stream(void* native) noexcept override {
    return cuda_->wrap_stream(native);
  }
  [[nodiscard]] bool is_capturing(devices::stream_handle stream) noexcept override {
    return cuda_->is_capturing(stream);
  }
  [[nodiscard]] devices::status synchronize_stream(devices::stream_handle stream) noexcept override {
    return cuda_->synchronize_stream(stream);
  }
  [[nodiscard]] result<devices::event_handle> create_event() noexcept override { return cuda_->create_event(); }
  void destroy_event(devices::event_handle event) noexcept override { cuda_->destroy_event(event); }
  [[nodiscard]] devices::status record_event(devices::event_handle event,
                                             devices::stream_handle stream) noexcept override {
    return cuda_->record_event(event, stream);
  }
  [[nodiscard]] result<bool> query_event(devices::event_handle event) noexcept override {
    return cuda_->query_event(event);
  }
  [[nodiscard]] devices::status wait_event(devices::stream_handle stream,
                                           devices::event_handle event) noexcept override {
    return cuda_->wait_event(stream, event);
  }
  [[nodiscard]] bool writes_words() const noexcept override { return cuda_->writes_words(); }
  [[nodiscard]] devices::status write_word(devices::stream_handle stream, devices::completion_word& word,
                                           std::uint64_t value) noexcept override {
    return cuda_->write_word(stream, word, value);
  }
  void note_word(const devices::completion_word& word, std::uint64_t value) noexcept override {
    machine_->learn_word(ordinal_, word, value);
  }
  [[nodiscard]] devices::status copy(devices::stream_handle stream, devices::direction way, void* to, const void* from,
                                     std::uint64_t size_bytes) noexcept override {
    const devices::status enqueued = cuda_->copy(stream, way, to, from, size_bytes);
    const std::lock_guard lock(mutex_);
    if (enqueued) copied_to_.push_back(static_cast<const std::byte*>(to));
    return enqueued;
  }
  [[nodiscard]] bool copies_batches() const noexcept override { return cuda_->copies_batches(); }
  [[nodiscard]] devices::status copy_batch(devices::stream_handle stream,
                                           std::span<const devices::copy_to_device> copies) noexcept override {
    const devices::status enqueued = cuda_->copy_batch(stream, copies);
    const std::lock_guard lock(mutex_);
    for (const devices::copy_to_device& c : copies)
      if (enqueued) copied_to_.push_back(static_cast<const std::byte*>(c.to));
    return enqueued;
  }
  /// Where the copies so far went to, in the order in which they were enqueued.
  [[nodiscard]] std::vector<const std::byte*> copied_to() const {
    const std::lock_guard lock(mutex_);
    return copied_to_;
  }
  void note_access(devices::stream_handle stream, const void* data, std::uint64_t size_bytes,
                   devices::access way) noexcept override;
  void note_discard(devices::stream_handle stream, void* data, std::uint64_t size_bytes) noexcept override;

  void launch(devices::stream_handle stream, std::function<void()> kernel,
              std::span<const emulated::access> accesses) override;
  void inject(const emulated::fault& what) override;
  void clear_faults() override { machine_->clear_faults(ordinal_); }
  [[nodiscard]] bool has_faults() const override { return machine_->has_faults(ordinal_); }
  [[nodiscard]] std::vector<std::string> violations() const override;
  [[nodiscard]] emulated::resources live_resources() const override;
  [[nodiscard]] std::uint64_t calls_made() const override { return machine_->calls("any"); }

 private:
  const std::shared_ptr<fake_cuda> machine_;
  const int ordinal_;
  const bool poison_;
  const reporter report_;
  std::unique_ptr<devices::backend> cuda_;
  mutable std::mutex mutex_;
  std::vector<const std::byte*> copied_to_;
};

}  // namespace pinrail::testing
