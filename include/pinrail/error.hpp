// How Pinrail says that something went wrong.
//
// Control-plane calls throw `pinrail::error`. Data-plane calls also have a `try_` form, which is `noexcept`,
// does not allocate, and returns `pinrail::result<T>`: a value or a `failure`, which carries the same numbers
// but no text.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace pinrail {

enum class errc : std::uint8_t {
  none = 0,
  invalid_argument,       ///< a value is outside its limits; the message names both
  out_of_memory,          ///< host or device memory was refused for now; may be retried
  too_large,              ///< can never fit: larger than the budget or than the runtime's share
  insufficient_headroom,  ///< a reservation or a guest that can't be granted now
  no_victim,              ///< the deadline passed and nothing could be evicted; blockers are named
  timed_out,              ///< the deadline passed while the block was being read or copied
  conflict,               ///< the runtime's present state forbids it (a guest can't be reserved, say)
  in_use,                 ///< can't be removed: someone uses or protects it
  closed,                 ///< the scheduler is gone or the runtime was removed
  limit,                  ///< a fixed table is full (runtimes, live passes, streams)
  read_only,              ///< the source can't take blocks back
  malformed_file,         ///< a file breaks its format
  io_error,               ///< the operating system failed a read or a write; native_code is errno
  device_unavailable,     ///< no such device, driver or backend
  device_error,           ///< a device call failed; may be retried
  device_lost,            ///< a sticky device error: the scheduler is poisoned
  not_supported,          ///< this device or source can't do that
};

/// "no_victim" for errc::no_victim.
[[nodiscard]] const char* to_string(errc code) noexcept;

/// Why a call failed, in numbers. Trivially copyable.
struct failure {
  errc code = errc::none;
  std::int32_t native_code = 0;       ///< cudaError_t or errno; 0 if there is none
  std::uint64_t needed_bytes = 0;     ///< what was asked for
  std::uint64_t available_bytes = 0;  ///< what could have been given
};

/// One holder of bytes that kept a request from being granted.
struct blocker {
  enum class reason : std::uint8_t {
    pinned,
    kept,
    protected_blocks,
    primary,
    secondary,
    guest,
    near_window,
    loading,
    dirty,
    bytes_reserved
  };
  std::string name;  ///< runtime, or the name given to reserve_bytes
  reason why = reason::pinned;
  std::uint64_t bytes = 0;
};

[[nodiscard]] const char* to_string(blocker::reason why) noexcept;

class error : public std::runtime_error {
 public:
  error(errc code, const std::string& message) : error(failure{.code = code}, message) {}
  error(const failure& why, const std::string& message, std::vector<blocker> blockers = {})
      : std::runtime_error(message), why_(why), blockers_(std::move(blockers)) {}

  [[nodiscard]] errc code() const noexcept { return why_.code; }
  [[nodiscard]] const failure& why() const noexcept { return why_; }
  [[nodiscard]] std::uint64_t needed_bytes() const noexcept { return why_.needed_bytes; }
  [[nodiscard]] std::uint64_t available_bytes() const noexcept { return why_.available_bytes; }
  [[nodiscard]] std::int32_t native_code() const noexcept { return why_.native_code; }
  [[nodiscard]] const std::vector<blocker>& blockers() const noexcept { return blockers_; }

 private:
  failure why_;
  std::vector<blocker> blockers_;
};

/// A value or a failure. `value()` throws what the failure says.
template <class T>
class [[nodiscard]] result {
 public:
  result(T value) noexcept : is_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: a value is a result
  result(const failure& why) noexcept : is_(std::in_place_index<1>, why) {}    // NOLINT: a failure is a result

  [[nodiscard]] bool has_value() const noexcept { return is_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }
  [[nodiscard]] failure why() const noexcept { return has_value() ? failure{} : *std::get_if<1>(&is_); }
  [[nodiscard]] errc code() const noexcept { return why().code; }

  [[nodiscard]] T& operator*() & noexcept { return *std::get_if<0>(&is_); }
  [[nodiscard]] T&& operator*() && noexcept { return std::move(*std::get_if<0>(&is_)); }
  [[nodiscard]] const T& operator*() const& noexcept { return *std::get_if<0>(&is_); }
  [[nodiscard]] T* operator->() noexcept { return std::get_if<0>(&is_); }
  [[nodiscard]] const T* operator->() const noexcept { return std::get_if<0>(&is_); }

  [[nodiscard]] T value() && {
    if (!has_value()) throw error(why(), to_string(code()));
    return std::move(**this);
  }

 private:
  std::variant<T, failure> is_;
};

/// Success or a failure.
template <>
class [[nodiscard]] result<void> {
 public:
  result() noexcept = default;
  result(const failure& why) noexcept : why_(why) {}  // NOLINT: a failure is a result

  [[nodiscard]] bool has_value() const noexcept { return why_.code == errc::none; }
  explicit operator bool() const noexcept { return has_value(); }
  [[nodiscard]] const failure& why() const noexcept { return why_; }
  [[nodiscard]] errc code() const noexcept { return why_.code; }
  void value() const {
    if (!has_value()) throw error(why_, to_string(why_.code));
  }

 private:
  failure why_;
};

}  // namespace pinrail
