// An emulated device that leaves out one of the edges that order work on the device. What Pinrail asks for is right;
// the device does not do it, as if the call were missing in the code.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "support/watched_backend.hpp"

namespace pinrail::test {

enum class edge : std::uint8_t {
  none,                  ///< nothing is left out
  wait_of_joins,         ///< the stream that joins fences waits for nothing
  wait_of_copies,        ///< the copies to the device wait for nothing
  wait_of_copies_for_b,  ///< they do not wait for the second stream of a user
  wait_of_write_backs,   ///< the copies to the host wait for nothing
  wait_of_moves,         ///< the copies within the device wait for nothing
  wait_of_users,         ///< the streams of users wait for nothing
  end_of_write_backs,    ///< their events are said to be complete at once
  end_of_uses,           ///< the events of users' streams are said to be complete at once
  end_of_a_ring,         ///< the same, but only while `lie` says so
  record_of_uses,        ///< what users' streams are to record is not recorded
  record_of_uses_early,  ///< it covers only what was enqueued before `record_early`
};

class misordered_backend final : public watched_backend {
 public:
  /// The streams that a scheduler opens, in this order, as the first ones of its device. All others are users'.
  enum role : std::uint32_t { joins, copies, write_backs, moves, first_user };

  misordered_backend(const devices::host_device_options& options, edge left_out)
      : watched_backend(options, std::make_shared<emulated::resources>()), left_out_(left_out) {}
  ~misordered_backend() override {
    if (early_) base::destroy_event(*early_);
  }

  /// Copies of one direction that are enqueued.
  [[nodiscard]] std::uint64_t copies_enqueued(devices::direction way) const {
    return copies_[static_cast<std::size_t>(way)].load(core::order::acquire);
  }
  /// For `end_of_a_ring`.
  void lie(bool now) { lying_.store(now, core::order::relaxed); }
  /// For `record_of_uses_early`; does nothing otherwise.
  void record_early(devices::stream_handle stream) {
    if (left_out_ != edge::record_of_uses_early) return;
    const std::lock_guard lock(mutex_);
    if (!early_) early_ = base::create_event().value();
    base::record_event(*early_, stream).value();
  }

  [[nodiscard]] result<devices::stream_handle> create_stream() noexcept override {
    const auto made = watched_backend::create_stream();
    const std::lock_guard lock(mutex_);
    if (made) roles_.emplace(made->native, static_cast<std::uint32_t>(roles_.size()));
    return made;
  }

  [[nodiscard]] devices::status copy(devices::stream_handle stream, devices::direction way, void* to, const void* from,
                                     std::uint64_t size_bytes) noexcept override {
    const auto done = watched_backend::copy(stream, way, to, from, size_bytes);
    copies_[static_cast<std::size_t>(way)].fetch_add(1, core::order::release);
    return done;
  }

  [[nodiscard]] devices::status record_event(devices::event_handle what,
                                             devices::stream_handle stream) noexcept override {
    const std::uint32_t who = role_of(stream);
    {
      const std::lock_guard lock(mutex_);
      recorded_by_[what.native] = who;
    }
    const bool dropped = left_out_ == edge::record_of_uses || left_out_ == edge::record_of_uses_early;
    if (dropped && who >= first_user) return {};
    return watched_backend::record_event(what, stream);
  }

  [[nodiscard]] result<bool> query_event(devices::event_handle what) noexcept override {
    const std::uint32_t who = recorder_of(what);
    if (left_out_ == edge::end_of_write_backs && who == write_backs) return true;
    if (left_out_ == edge::end_of_uses && who >= first_user) return true;
    if (left_out_ == edge::end_of_a_ring && who >= first_user && lying_.load(core::order::relaxed)) return true;
    return watched_backend::query_event(recorded(what));
  }

  [[nodiscard]] devices::status wait_event(devices::stream_handle stream,
                                           devices::event_handle what) noexcept override {
    const std::uint32_t who = role_of(stream);
    if (who >= first_user ? left_out_ == edge::wait_of_users : left_out_ == waits[who]) return {};
    if (left_out_ == edge::wait_of_copies_for_b && who == copies && recorder_of(what) == first_user + 1) return {};
    return watched_backend::wait_event(stream, recorded(what));
  }

 private:
  static constexpr edge waits[] = {edge::wait_of_joins, edge::wait_of_copies, edge::wait_of_write_backs,
                                   edge::wait_of_moves};

  std::uint32_t role_of(devices::stream_handle stream) {
    const std::lock_guard lock(mutex_);
    return roles_.at(stream.native);
  }
  std::uint32_t recorder_of(devices::event_handle what) {
    const std::lock_guard lock(mutex_);
    const auto found = recorded_by_.find(what.native);
    return found == recorded_by_.end() ? copies : found->second;
  }
  /// The event itself, or the one that was recorded too early in its place.
  devices::event_handle recorded(devices::event_handle what) {
    const bool early = left_out_ == edge::record_of_uses_early && recorder_of(what) >= first_user;
    const std::lock_guard lock(mutex_);
    return early && early_ ? *early_ : what;
  }

  const edge left_out_;
  std::array<core::atomic<std::uint64_t>, 3> copies_{};
  core::atomic<bool> lying_{false};
  std::mutex mutex_;
  std::map<void*, std::uint32_t> roles_;        ///< of streams
  std::map<void*, std::uint32_t> recorded_by_;  ///< of events: the role of the stream
  std::optional<devices::event_handle> early_;
};

}  // namespace pinrail::test
