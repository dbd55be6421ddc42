// What the fake looks for: calls that CUDA takes but Pinrail must not make, accesses that nothing orders, leaks.

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "fake_cuda.hpp"

namespace pinrail::testing {

void fake_cuda::note_misuse(int device, std::string text) {
  constexpr std::size_t most = 64;
  if (misuses_.size() < most) misuses_.push_back({device, std::move(text)});
}

void fake_cuda::check_call(std::string_view call) {
  if (fake_stream::is_running_here())
    note_misuse(current_device(), fmt::format("{} is called by a kernel or a host function", call));
}

void fake_cuda::check_current(std::string_view call, int device) {
  if (device != current_device())
    note_misuse(device, fmt::format("{} for device {} while {} is current", call, device, current_device()));
}

void fake_cuda::check_host_memory(const void* memory, std::uint64_t size_bytes) {
  const char* const what = was_freed(memory) ? "was freed" : "is not page-locked";
  note_misuse(current_device(), fmt::format("a copy of {} bytes from or to {}, which {}", size_bytes, memory, what));
}

std::vector<std::string> fake_cuda::misuses(int device) {
  const std::scoped_lock lock(mutex_);
  std::vector<std::string> all;
  for (const misuse& m : misuses_)
    if (device < 0 || m.device == device) all.push_back(m.text);
  return all;
}

void fake_cuda::forget_misuses(int device) {
  const std::scoped_lock lock(mutex_);
  std::erase_if(misuses_, [=](const misuse& m) { return m.device == device; });
}

std::vector<std::string> fake_cuda::leaks(int device) {
  std::vector<std::string> all;
  const resources left = live(device);
  const auto say = [&](std::uint64_t count, const char* what) {
    if (count != 0) all.push_back(fmt::format("{} {} left on device {}", count, what, device));
  };
  say(left.device_bytes, "bytes of device memory");
  say(left.pinned_bytes, "bytes of page-locked memory");
  say(left.streams, "streams");
  say(left.events, "events");
  say(static_cast<std::uint64_t>(left.context_references), "references to the context");
  return all;
}

bool fake_cuda::occupy(int device) {
  const std::scoped_lock lock(mutex_);
  return !std::exchange(devices_[static_cast<std::size_t>(device)]->occupied, true);
}

void fake_cuda::retire(int device) {
  clear_faults(device);
  forget_misuses(device);
  std::unique_lock lock(mutex_);
  const std::vector<marker_ptr> work = mark_all(device);
  lock.unlock();
  for (const marker_ptr& end : work) end->wait();
  lock.lock();
  std::erase_if(streams_, [=](const auto& s) { return s.second->device == device; });
  std::erase_if(events_, [=](const auto& e) { return e.second->device == device; });
  std::erase_if(memory_, [=, this](const auto& m) {
    if (m.second.registered || m.second.made_on != device) return false;
    note_freed(m.first, m.second.size_bytes);
    ::operator delete (m.second.base, std::align_val_t{4096});
    return true;
  });
  device_state& on = *devices_[static_cast<std::size_t>(device)];
  on.lost = 0;
  on.last.clear();
  on.references = 0;
  on.used_bytes = 0;
  on.checker = nullptr;
  on.occupied = false;
}

// ---- order ----------------------------------------------------------------------------------------------

void fake_cuda::configure(int device, const devices::host_device_options& how) {
  const std::scoped_lock lock(mutex_);
  bury_retired();
  device_state& on = *devices_[static_cast<std::size_t>(device)];
  on.bytes_per_second = how.bytes_per_second;
  on.latency_ns = how.latency_ns;
  on.checker = how.check ? std::make_shared<devices::order_checker>() : nullptr;
  if (!how.check) return;
  if (on.legacy) on.checker->begin_stream(on.legacy->number);
  for (const auto& [handle, stream] : streams_)
    if (stream->device == device) on.checker->begin_stream(stream->number);
}

void fake_cuda::learn_word(int device, const devices::completion_word& word, std::uint64_t value) {
  const std::scoped_lock lock(mutex_);
  const auto& checker = devices_[static_cast<std::size_t>(device)]->checker;
  const auto found = words_.find(&word);
  if (!checker || found == words_.end()) return;
  for (auto& writes = found->second; !writes.empty() && writes.front().value <= value; writes.pop_front())
    checker->learn(writes.front().covers);
}

std::shared_ptr<devices::order_checker> fake_cuda::checker(int device) {
  const std::scoped_lock lock(mutex_);
  return devices_[static_cast<std::size_t>(device)]->checker;
}

std::uint32_t fake_cuda::number_of(int device, cudaStream_t stream) {
  const std::scoped_lock lock(mutex_);
  const auto found = streams_.find(stream);
  return found != streams_.end() ? found->second->number : devices_[static_cast<std::size_t>(device)]->legacy->number;
}

}  // namespace pinrail::testing
