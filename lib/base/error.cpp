#include "pinrail/error.hpp"

namespace pinrail {

const char* to_string(errc code) noexcept {
  switch (code) {
    case errc::none:
      return "none";
    case errc::invalid_argument:
      return "invalid_argument";
    case errc::out_of_memory:
      return "out_of_memory";
    case errc::too_large:
      return "too_large";
    case errc::insufficient_headroom:
      return "insufficient_headroom";
    case errc::no_victim:
      return "no_victim";
    case errc::timed_out:
      return "timed_out";
    case errc::conflict:
      return "conflict";
    case errc::in_use:
      return "in_use";
    case errc::closed:
      return "closed";
    case errc::limit:
      return "limit";
    case errc::read_only:
      return "read_only";
    case errc::malformed_file:
      return "malformed_file";
    case errc::io_error:
      return "io_error";
    case errc::device_unavailable:
      return "device_unavailable";
    case errc::device_error:
      return "device_error";
    case errc::device_lost:
      return "device_lost";
    case errc::not_supported:
      return "not_supported";
  }
  return "unknown";
}

const char* to_string(blocker::reason why) noexcept {
  switch (why) {
    case blocker::reason::pinned:
      return "pinned by a use";
    case blocker::reason::kept:
      return "kept resident";
    case blocker::reason::protected_blocks:
      return "blocks protected";
    case blocker::reason::primary:
      return "reserved primary";
    case blocker::reason::secondary:
      return "reserved secondary";
    case blocker::reason::guest:
      return "guest's share";
    case blocker::reason::near_window:
      return "about to be used";
    case blocker::reason::loading:
      return "loading";
    case blocker::reason::dirty:
      return "not written back yet";
    case blocker::reason::bytes_reserved:
      return "bytes reserved";
  }
  return "unknown";
}

}  // namespace pinrail
