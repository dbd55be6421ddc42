// The workspaces that the C functions take from, by device ordinal.
//
// A call announces itself (seq_cst), then reads the binding (seq_cst); who takes a binding away exchanges it (seq_cst),
// then waits for the calls: either the call sees the change or the waiter sees the call.
#include <array>
#include <memory>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "core/atomic.hpp"
#include "pinrail/workspace.hpp"

namespace pinrail {
namespace order = core::order;

namespace {

constexpr int most_devices = 64;

class binding {
 public:
  /// Calls `work(workspace&)` if there is one.
  template <class Work>
  void with(Work&& work) noexcept {
    calls_.fetch_add(1, order::seq_cst);
    if (workspace* w = bound_.load(order::seq_cst)) work(*w);
    calls_.fetch_sub(1, order::release);
  }
  void replace(std::unique_ptr<workspace> next) noexcept {
    const std::unique_ptr<workspace> before(bound_.exchange(next.release(), order::seq_cst));
    while (calls_.load(order::seq_cst) != 0) std::this_thread::yield();
  }

 private:
  core::atomic<std::uint32_t> calls_{0};
  core::atomic<workspace*> bound_{nullptr};
};

/// Never destroyed: at the end of a process others may still free what they hold.
std::array<binding, most_devices>& bindings() {
  static auto& all = *new std::array<binding, most_devices>;
  return all;
}

binding& checked_binding(int device) {
  if (device < 0 || device >= most_devices)
    throw error(errc::invalid_argument,
                fmt::format("a workspace for device {}; 0 to {} are possible", device, most_devices - 1));
  return bindings()[static_cast<std::size_t>(device)];
}

template <class Work>
void with_workspace(int device, Work&& work) noexcept {
  if (device >= 0 && device < most_devices) bindings()[static_cast<std::size_t>(device)].with(std::forward<Work>(work));
}

}  // namespace

void bind_workspace(int device, workspace bound) {
  checked_binding(device).replace(std::make_unique<workspace>(std::move(bound)));
}

void unbind_workspace(int device) { checked_binding(device).replace(nullptr); }

}  // namespace pinrail

extern "C" {

void* pinrail_workspace_alloc(std::size_t size, int device, void* stream) {
  void* memory = nullptr;
  pinrail::with_workspace(device, [&](pinrail::workspace& w) {
    const auto known = w.try_native_stream(stream);
    const auto got = known ? w.try_allocate(size, *known) : pinrail::result<void*>(known.why());
    if (got) {
      memory = *got;
    } else {
      w.note_refusal(size, got.why());
    }
  });
  return memory;
}

void pinrail_workspace_free(void* ptr, std::size_t size, int device, void* stream) {
  pinrail::with_workspace(device, [&](pinrail::workspace& w) {
    const auto known = w.try_native_stream(stream);
    if (known) {
      w.deallocate(ptr, size, *known);
    } else {
      w.note_refusal(size, known.why());
    }
  });
}

void pinrail_workspace_forget_stream(int device, void* stream) {
  pinrail::with_workspace(device, [&](pinrail::workspace& w) { w.forget_stream(stream); });
}

}  // extern "C"
