// Reservations, guests, guards, uses and questions through the public interface, on an emulated device.
#include "linearizability/api_subject.hpp"
#include "linearizability/rounds.hpp"

namespace pinrail::test {

std::size_t api_spec::hash(const state& s) const {
  std::uint64_t h = 0;
  const auto mix = [&](std::uint64_t value) { h = (h ^ value) * 0x9e3779b97f4a7c15; };
  for (const runtime& r : s.all) {
    mix(static_cast<std::uint64_t>(r.kind) | r.share << 8 | std::uint64_t{r.scopes} << 16 |
        std::uint64_t{r.handle} << 24);
    mix(r.guards);
    for (const block& b : r.all) mix(b.pins | b.protections << 8 | b.loaded << 16 | b.late << 17 | b.firm << 18);
  }
  return static_cast<std::size_t>(h ^ h >> 32);
}

namespace {

using call = api_spec::call;
using operation = api_spec::operation;

bool held(const api_spec::runtime& r, const api_spec::block& b) { return b.pins + b.protections + r.guards > 0; }

bool reserved(const api_spec::runtime& r) {
  return r.kind == reservation_kind::primary || r.kind == reservation_kind::secondary;
}

bool end_reservation(api_spec::runtime& r, bool does, bool said) {
  if (does != said) return false;
  if (does) r.kind = reservation_kind::none, r.share = 0, r.handle = 0;
  return true;
}

/// A reservation, or the first scope of a guest: granted as much as is free, or refused with both numbers.
bool admit(const api_spec::state& s, api_spec::runtime& r, const operation& o, std::uint64_t least, std::uint64_t most,
           reservation_kind kind) {
  const std::uint64_t free = s.headroom() + r.share;
  if (free < least) return o.code == errc::insufficient_headroom && o.needed == least && o.available == free;
  r.kind = kind;
  r.share = std::min(free, most);
  return o.code == errc::none && o.value == r.share;
}

bool reserve(const api_spec::state& s, api_spec::runtime& r, const operation& o) {
  if (r.kind == reservation_kind::guest) return o.code == errc::conflict;
  if (!admit(s, r, o, o.partial ? api_spec::largest_pages : o.wanted, o.wanted, o.kind)) return false;
  if (o.code == errc::none) r.handle = o.handle;
  return true;
}

bool enter_guest(const api_spec::state& s, api_spec::runtime& r, const operation& o) {
  if (reserved(r)) return o.code == errc::conflict;
  if (r.scopes > 0) return ++r.scopes, o.code == errc::none && o.value == r.share;
  if (!admit(s, r, o, api_spec::footprint_pages, api_spec::footprint_pages, reservation_kind::guest)) return false;
  if (o.code == errc::none) r.scopes = 1;
  return true;
}

bool leave_guest(api_spec::runtime& r) {
  if (--r.scopes == 0) r.kind = reservation_kind::none, r.share = 0;
  return true;
}

/// Loads can fail to find room in time, at any moment; but a use that succeeds has its block.
bool use_block(api_spec::block& b, const operation& o) {
  if (o.code != errc::none) {
    b.late = true;
    return o.code == errc::no_victim || o.code == errc::timed_out;
  }
  ++b.pins;
  b.loaded = b.firm = true;
  return true;
}

/// A block that nothing holds may leave at any moment, and arrives with uses only.
bool is_resident(const api_spec::runtime& r, api_spec::block& b, bool yes) {
  if (!yes) return b.loaded = false, !b.firm;
  b.firm = held(r, b);
  return b.loaded || b.late;
}

/// Something that held a block has ended.
bool let_go(api_spec::runtime& r) {
  for (api_spec::block& b : r.all) b.firm = b.firm && held(r, b);
  return true;
}

}  // namespace

bool api_spec::apply(state& s, const operation& o) {
  runtime& r = s.all[o.index];
  block& b = r.all[o.block];
  switch (o.what) {
    case call::reserve:
      return reserve(s, r, o);
    case call::release:
      return end_reservation(r, reserved(r) && r.handle == o.handle, o.yes);
    case call::release_any:
      return end_reservation(r, reserved(r), o.yes);
    case call::active:
      return o.yes == (reserved(r) && r.handle == o.handle);
    case call::enter_guest:
      return enter_guest(s, r, o);
    case call::leave_guest:
      return leave_guest(r);
    case call::keep:
      ++r.guards;
      return true;
    case call::end_keep:
      --r.guards;
      return let_go(r);
    case call::protect:
      ++b.protections;
      return true;
    case call::unprotect:
      --b.protections;
      return let_go(r);
    case call::use:
      return use_block(b, o);
    case call::end_use:
      --b.pins;
      return let_go(r);
    case call::is_resident:
      return test::is_resident(r, b, o.yes);
    case call::grant:
      return o.kind == r.kind && o.value == r.share;
    case call::guards:
      return o.value == r.guards;
    case call::headroom:
      return o.value == s.headroom();
    case call::used:
      return o.value <= pages;
  }
  return false;
}

std::string api_spec::text(const operation& o) const {
  static constexpr std::array names{"reserve",     "release",  "release any", "active",    "enter guest", "leave guest",
                                    "keep",        "end keep", "protect",     "unprotect", "use",         "end use",
                                    "is resident", "grant",    "guards",      "headroom",  "used"};
  std::string out = fmt::format("{} {}", names[static_cast<std::size_t>(o.what)], static_cast<char>('a' + o.index));
  switch (o.what) {
    case call::reserve:
      out += fmt::format(" {} {}{}, handle {}", to_string(o.kind), o.wanted, o.partial ? " or less" : "", o.handle);
      break;
    case call::release:
    case call::active:
      out += fmt::format(" handle {}", o.handle);
      break;
    case call::protect:
    case call::unprotect:
    case call::use:
    case call::end_use:
    case call::is_resident:
      out += std::to_string(o.block);
      break;
    case call::grant:
      out += fmt::format(" {}", to_string(o.kind));
      break;
    default:
      break;
  }
  out += fmt::format(": {} {} {}", to_string(o.code), o.yes ? "yes" : "no", o.value);
  if (o.code == errc::insufficient_headroom) out += fmt::format(" needed {}, available {}", o.needed, o.available);
  return out;
}

namespace {

TEST(scheduler, is_linearizable) { expect_linearizable<api_subject<api_calls>>({.rounds = 1500}); }
TEST(scheduler, is_linearizable_with_four_threads) {
  expect_linearizable<api_subject<api_calls>>({.threads = 4, .rounds = 1500});
}

struct a_stale_handle_releases : api_calls {
  static bool release(reservation&, const runtime& r) { return r.release_reservation(); }
};

/// Reports the headroom that it saw before.
struct a_refusal_with_the_numbers_of_another_moment : api_calls {
  static result<guest_guard> enter_guest(const runtime& r, budget_control& budget) {
    const std::uint64_t free = budget.headroom_bytes() / rig::page_bytes;
    auto scope = r.try_as_guest(r);
    if (!scope && scope.code() == errc::insufficient_headroom)
      return failure{.code = errc::insufficient_headroom,
                     .needed_bytes = scope.why().needed_bytes,
                     .available_bytes = free * rig::page_bytes};
    return scope;
  }
};

TEST(scheduler_flaws, a_stale_handle_releases) { expect_rejected<api_subject<a_stale_handle_releases>>(); }
TEST(scheduler_flaws, a_refusal_with_the_numbers_of_another_moment) {
  expect_rejected<api_subject<a_refusal_with_the_numbers_of_another_moment>>();
}

}  // namespace
}  // namespace pinrail::test
