// The emulated device as a bed for faults.
#pragma once

#include <fmt/format.h>

#include <chrono>
#include <memory>
#include <thread>

#include "fault_bed.hpp"
#include "support/watched_backend.hpp"

namespace pinrail::test {

class emulated_bed final : public fault_bed {
 public:
  static constexpr std::uint64_t vram_bytes = 1 << 20;

  struct options {
    std::uint64_t copy_ns = 0;    ///< what each copy takes, at least
    std::uint64_t kernel_ns = 0;  ///< what each kernel takes longer
    watched_backend::hook before = {};
  };

  explicit emulated_bed(const planned_fault& plan) : emulated_bed(plan, {}) {}
  emulated_bed(const planned_fault& plan, options how)
      : fault_bed(plan), kernel_ns_(how.kernel_ns), left_(std::make_shared<emulated::resources>()) {
    auto backend = std::make_unique<watched_backend>(
        devices::host_device_options{.vram_bytes = vram_bytes, .latency_ns = how.copy_ns}, left_,
        std::move(how.before));
    backend_ = backend.get();
    device_ = std::make_shared<pinrail::device>(std::move(backend));
    for (std::uint64_t i = 0; plan.code != errc::none && i < plan.count; ++i)
      emulated::inject(*device_, {.where = plan.where, .after = plan.first + i, .code = plan.code});
  }

  [[nodiscard]] pinrail::device& device() override { return *device_; }
  void launch(stream_ref on, std::function<void()> kernel, std::span<const emulated::access> touched) override {
    emulated::launch(
        on,
        [kernel = std::move(kernel), longer = std::chrono::nanoseconds(kernel_ns_)] {
          if (longer.count() != 0) std::this_thread::sleep_for(longer);
          kernel();
        },
        touched);
  }
  [[nodiscard]] std::uint64_t calls_made() override { return device_ ? backend_->calls_made(plan().where) : calls_; }
  [[nodiscard]] std::vector<std::string> close() override {
    std::vector<std::string> problems = emulated::violations(*device_);
    calls_ = calls_made();
    if (device_.use_count() != 1) problems.push_back(fmt::format("{} others hold the device", device_.use_count() - 1));
    device_.reset();
    if (left_->arena_bytes != 0) problems.push_back(fmt::format("leak: {} bytes of arena", left_->arena_bytes));
    if (left_->pinned_bytes != 0) problems.push_back(fmt::format("leak: {} pinned bytes", left_->pinned_bytes));
    if (left_->streams != 0) problems.push_back(fmt::format("leak: {} streams", left_->streams));
    if (left_->events != 0) problems.push_back(fmt::format("leak: {} events", left_->events));
    return problems;
  }

 private:
  const std::uint64_t kernel_ns_;
  std::shared_ptr<emulated::resources> left_;
  std::shared_ptr<pinrail::device> device_;
  watched_backend* backend_ = nullptr;
  std::uint64_t calls_ = 0;  ///< of the device that was
};

}  // namespace pinrail::test
