#include "kernels.hpp"

#include <fmt/format.h>

#include <thread>

#include "content.hpp"
#include "pinrail/emulated.hpp"

namespace stress {
namespace {

constexpr auto longest_hold = std::chrono::milliseconds(3);

std::string what_is_there(std::span<const std::byte> data, std::uint64_t offset, const content_place& expected) {
  constexpr std::uint64_t versions_looked_for = 50;
  if (looks_poisoned(data, offset)) return "discarded bytes";
  for (std::uint64_t back = 1; back <= std::min(versions_looked_for, expected.version); ++back)
    if (looks_like(data, offset, content_key(expected.owner, expected.version - back)))
      return fmt::format("version {}", expected.version - back);
  for (std::uint64_t ahead = 1; ahead <= versions_looked_for; ++ahead)
    if (looks_like(data, offset, content_key(expected.owner, expected.version + ahead)))
      return fmt::format("version {}", expected.version + ahead);
  return "something else";
}

}  // namespace

void launch_check(pinrail::stream_ref stream, std::span<const std::byte> data, content_place expected) {
  const pinrail::emulated::access touched{data.data(), data.size(), false};
  const auto kernel = [data, place = std::move(expected)] {
    const auto wrong = first_difference(data, content_key(place.owner, place.version));
    if (!wrong) return;
    place.where->report(check::content,
                        fmt::format("{}: byte {} of {} is not that of version {}; there is {}", place.name, *wrong,
                                    data.size(), place.version, what_is_there(data, *wrong, place)));
  };
  pinrail::emulated::launch(stream, kernel, {&touched, 1});
}

void launch_write(pinrail::stream_ref stream, std::span<std::byte> data, std::uint64_t key) {
  const pinrail::emulated::access touched{data.data(), data.size(), true};
  pinrail::emulated::launch(stream, [data, key] { write_content(data, key); }, {&touched, 1});
}

void launch_delay(pinrail::stream_ref stream, std::chrono::microseconds duration) {
  pinrail::emulated::launch(stream, [duration] { std::this_thread::sleep_for(duration); });
}

void gate::hold(pinrail::stream_ref stream) {
  pinrail::emulated::launch(stream, [s = state_] {
    std::unique_lock lock(s->mutex);
    s->changed.wait_for(lock, longest_hold, [&] { return s->open; });
  });
}

void gate::open() {
  const std::lock_guard lock(state_->mutex);
  state_->open = true;
  state_->changed.notify_all();
}

}  // namespace stress
