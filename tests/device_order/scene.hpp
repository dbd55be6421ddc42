// A scheduler on a device that may leave an edge out, with everything held at gates: what is enqueued can't have run
// yet, so that a missing edge is missing in every run.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "support/misordered_backend.hpp"
#include "support/rig.hpp"

namespace pinrail::test {

/// What finishes first, once all is enqueued.
enum class schedule : std::uint8_t {
  slow_copies,   ///< the kernels; each copy takes long
  slow_kernels,  ///< the copies
  reversed,      ///< the kernels of the stream that came later, then the copies, then the other kernels
};

class scene {
 public:
  static constexpr std::uint64_t block_bytes = 16 << 10;

  scene(edge left_out, schedule how, std::uint64_t budget_blocks) : left_out_(left_out), how_(how) {
    auto made = std::make_unique<misordered_backend>(
        devices::host_device_options{.vram_bytes = 1 << 20, .latency_ns = how == schedule::slow_copies ? 300'000u : 0u},
        left_out);
    backend = made.get();
    device_ = std::make_shared<pinrail::device>(std::move(made));
    sched.emplace(*device_, scheduler_options{.vram_budget = budget_blocks * block_bytes,
                                              .high_watermark = 1,
                                              .page_bytes = 4096,
                                              .chunk_bytes = block_bytes});
    a = device_->create_stream();
    b = device_->create_stream();
  }
  ~scene() { (void)finish(); }

  named_runtime add(const char* name, std::size_t blocks, std::uint64_t size_in_blocks = 1) {
    host_model& bytes = models_.emplace_back(blocks, size_in_blocks * block_bytes, models_.size() + 1);
    return {sched->add_runtime(name, bytes.model({.pinned = true, .writable = true})), &bytes};
  }

  /// Is everything done that Pinrail asks for?
  [[nodiscard]] bool right() const { return left_out_ == edge::none; }

  // ---- gates --------------------------------------------------------------------------------------------------
  void hold_users() {
    gates_[0].emplace().hold(a);
    gates_[1].emplace().hold(b);
  }
  void hold(misordered_backend::role stream) { gates_[2].emplace().hold(stream_ref(*device_, stream)); }
  void let_go_of_users() { open(0), open(1); }
  void let_go_of_copies() { open(2); }

  // ---- uses ---------------------------------------------------------------------------------------------------
  enum class kernel : std::uint8_t { reads, writes };

  /// Uses a block in a kernel that checks it, or writes it. With an edge left out the kernel only says what it touches,
  /// since it would race.
  void use(const named_runtime& r, block_index which, stream_ref on, kernel what = kernel::reads) {
    auto pass = r.handle.managed_forward(on, {.prefetch_blocks = 0});
    auto held = pass.use(which);
    if (what == kernel::writes) held.mark_dirty();
    backend->record_early({on.native_handle()});
    launch(on, static_cast<std::byte*>(held.device_ptr()), r.bytes->block(which), what);
  }
  void launch(stream_ref on, std::byte* data, const std::vector<std::byte>& expected, kernel what) {
    const emulated::access touched{data, expected.size(), what == kernel::writes};
    emulated::launch(on,
                     [this, data, &expected, what] {
                       if (!right()) return;
                       if (what == kernel::writes) {
                         std::memset(data, 0x5A, expected.size());
                       } else if (std::memcmp(data, expected.data(), expected.size()) != 0) {
                         wrong_.fetch_add(1, core::order::relaxed);
                       }
                     },
                     {&touched, 1});
  }

  /// Ends everything in the order of the schedule. Returns what the order checker, and the kernels, found.
  std::vector<std::string> finish() {
    if (!sched) return {};
    // With an edge left out, copies that are held would race with what has overtaken them: they go last.
    switch (how_) {
      case schedule::slow_copies:
        open(0), open(1), open_if_right(2);
        break;
      case schedule::slow_kernels:
        open_if_right(2), open(0), open(1);
        break;
      case schedule::reversed:
        open(1), open_if_right(2), open(0);
        break;
    }
    a.synchronize();
    b.synchronize();
    open(2);
    sched.reset();
    auto found = emulated::violations(*device_);
    if (const auto wrong = wrong_.load(core::order::relaxed))
      found.push_back(std::to_string(wrong) + " kernels read wrong bytes");
    a = stream();
    b = stream();
    return found;
  }

  misordered_backend* backend = nullptr;
  std::optional<scheduler> sched;
  stream a, b;

 private:
  void open(std::size_t which) {
    if (gates_[which]) gates_[which]->open();
  }

  void open_if_right(std::size_t which) {
    if (right()) open(which);
  }

  const edge left_out_;
  const schedule how_;
  std::deque<host_model> models_;
  core::atomic<std::uint64_t> wrong_{0};
  std::array<std::optional<gate>, 3> gates_;
  std::shared_ptr<pinrail::device> device_;
};

}  // namespace pinrail::test
