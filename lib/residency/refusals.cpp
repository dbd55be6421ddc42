#include "residency/refusals.hpp"

#include <fmt/format.h>

#include "pinrail/units.hpp"
#include "residency/holders.hpp"

namespace pinrail::residency {
namespace {

std::string numbers(const failure& why) {
  return fmt::format("{} needed, {} possible", format_bytes(why.needed_bytes), format_bytes(why.available_bytes));
}

std::string reason_of(const scheduler_state& s, const failure& why) {
  switch (why.code) {
    case errc::closed:
      return s.halted() ? s.halt_text() : "the runtime was removed";
    case errc::device_lost:
      return fmt::format("{} (native code {})", s.halt_text(), why.native_code);
    case errc::too_large:
      return fmt::format("can never fit: {}", numbers(why));
    case errc::timed_out:
      return "the deadline passed while the block was being read or copied";
    case errc::out_of_memory:
      return "memory was refused; it may be there later";
    case errc::io_error:
      return fmt::format("the source could not be read or written (errno {})", why.native_code);
    case errc::device_error:
      return fmt::format("a device call failed (native code {})", why.native_code);
    case errc::limit:
      return fmt::format("there are {}, which is the limit", why.available_bytes);
    default:
      break;
  }
  return why.needed_bytes != 0 ? numbers(why) : to_string(why.code);
}

}  // namespace

void refuse(scheduler_state& s, const failure& why, std::string_view what, const runtime_state* requester) {
  std::vector<blocker> blockers;
  std::string text;
  if (why.code == errc::no_victim) {
    blockers = blockers_of(s, requester);
    text = fmt::format("{}: nothing could be evicted in time: {} needed; held by {}", what,
                       format_bytes(why.needed_bytes), describe(blockers));
  } else if (why.code == errc::insufficient_headroom) {
    blockers = grants_of(s);
    text = fmt::format("{}: {} needed, {} of headroom, short of {}; granted to {}", what,
                       format_bytes(why.needed_bytes), format_bytes(why.available_bytes),
                       format_bytes(why.needed_bytes - std::min(why.needed_bytes, why.available_bytes)),
                       describe(blockers));
  } else {
    text = fmt::format("{}: {}", what, reason_of(s, why));
  }
  throw error(why, text, std::move(blockers));
}

}  // namespace pinrail::residency
