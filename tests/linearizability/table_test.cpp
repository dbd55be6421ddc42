// Reserve, replace, release by live and stale handles, guests, guards and readers on one reservation table.
#include "linearizability/rounds.hpp"
#include "linearizability/table_subject.hpp"

namespace pinrail::test {

std::string table_spec::text(const operation& o) const {
  static constexpr std::array kinds{"none", "primary", "secondary", "guest", "bytes", "withheld"};
  static constexpr std::array verdicts{"granted", "unchanged", "shortage", "conflict", "limit"};
  const auto entry = [](const core::reservation& r) {
    return fmt::format("{} {}, {} guests, epoch {}", kinds[static_cast<std::size_t>(r.kind)], r.share_pages, r.guests,
                       r.epoch);
  };
  const auto ruling = [&] {
    std::string out = fmt::format("{} ({})", verdicts[static_cast<std::size_t>(o.ruling.what)], entry(o.ruling.now));
    if (o.ruling.what == verdict::shortage)
      out += fmt::format(" needed {}, free {}", o.ruling.needed_pages, o.ruling.free_pages);
    return out;
  };
  switch (o.what) {
    case call::reserve:
      return fmt::format("reserve {} {} {}..{}: {}", o.index, kinds[static_cast<std::size_t>(o.kind)], o.least, o.most,
                         ruling());
    case call::release:
      return fmt::format("release {}: {}", o.index, ruling());
    case call::release_handle:
      return fmt::format("release {} epoch {}: {}", o.index, o.epoch, ruling());
    case call::enter_guest:
      return fmt::format("enter_guest {} {}..{}: {}", o.index, o.least, o.most, ruling());
    case call::leave_guest:
      return fmt::format("leave_guest {}: {}", o.index, ruling());
    case call::guard:
      return fmt::format("guard {}", o.index);
    case call::unguard:
      return fmt::format("unguard {}", o.index);
    case call::read:
      return fmt::format("read {}: {}", o.index, entry(o.seen));
    case call::rules:
      return fmt::format("rules {}: {}{}epoch {}, {} guards", o.index, o.rules.primary() ? "primary, " : "",
                         o.rules.secondary() ? "secondary, " : "", o.rules.epoch(), o.rules.guards());
    case call::granted:
      return fmt::format("granted: {}", o.pages);
    case call::others:
      return fmt::format("granted to others than {}: {}", o.index, o.pages);
  }
  return "";
}

namespace {

using as_shipped = table_calls<core::native_atomics>;

TEST(table, is_linearizable) { expect_linearizable<table_subject<as_shipped>>(); }
TEST(table, is_linearizable_with_four_threads) { expect_linearizable<table_subject<as_shipped>>({.threads = 4}); }

// ---- flaws ---------------------------------------------------------------------------------------------------

struct release_ignores_the_epoch : as_shipped {
  using as_shipped::release;
  core::ruling release(std::uint32_t i, std::uint32_t) { return table.release(i); }
};

/// The free pages are read, then taken without another look: `table` has room for everything.
struct admission_in_two_steps : as_shipped {
  admission_in_two_steps() : as_shipped{.table{table_spec::holders, 100 * table_spec::capacity}} {}

  core::ruling reserve(std::uint32_t i, holder kind, std::uint64_t least, std::uint64_t most) {
    const core::reservation now = table.read(i);
    if (free_for(i) < least && now.kind != holder::guest) return shortage(i, now, least);
    return table.reserve(i, kind, least, std::max(least, std::min(free_for(i), most)));
  }
  core::ruling enter_guest(std::uint32_t i, std::uint64_t least, std::uint64_t most) {
    const core::reservation now = table.read(i);
    if (free_for(i) < least && now.kind == holder::none) return shortage(i, now, least);
    return table.enter_guest(i, least, std::max(least, std::min(free_for(i), most)));
  }

 private:
  std::uint64_t free_for(std::uint32_t i) {
    return table_spec::capacity - std::min(table_spec::capacity, table.granted_to_others(i));
  }
  core::ruling shortage(std::uint32_t i, const core::reservation& now, std::uint64_t least) {
    return {.what = verdict::shortage, .now = now, .needed_pages = least, .free_pages = free_for(i)};
  }
};

struct replacing_is_releasing_and_reserving : as_shipped {
  core::ruling reserve(std::uint32_t i, holder kind, std::uint64_t least, std::uint64_t most) {
    table.release(i);
    return table.reserve(i, kind, least, most);
  }
};

struct a_replaced_reservation_counts_twice : as_shipped {
  core::ruling reserve(std::uint32_t i, holder kind, std::uint64_t least, std::uint64_t most) {
    const core::reservation now = table.read(i);
    if (now.reserved()) least += now.share_pages;
    return table.reserve(i, kind, least, std::max(least, most));
  }
};

TEST(table_flaws, release_ignores_the_epoch) { expect_rejected<table_subject<release_ignores_the_epoch>>(); }
TEST(table_flaws, admission_in_two_steps) {
  expect_linearizable<table_subject<admission_in_two_steps>>({.threads = 1, .rounds = 100});  // one step at a time
  expect_rejected<table_subject<admission_in_two_steps>>();
}
TEST(table_flaws, replacing_is_releasing_and_reserving) {
  expect_rejected<table_subject<replacing_is_releasing_and_reserving>>();
}
TEST(table_flaws, a_replaced_reservation_counts_twice) {
  expect_rejected<table_subject<a_replaced_reservation_counts_twice>>();
}

}  // namespace
}  // namespace pinrail::test
