// Pins, protections, looks, guards, loads, moves, write-back, eviction and selection on the blocks of one runtime.
#include "linearizability/block_subject.hpp"
#include "linearizability/rounds.hpp"

namespace pinrail::test {

std::string block_spec::text(const operation& o) const {
  static constexpr std::array names{"pin",     "unpin",      "protect",          "unprotect",     "look",
                                    "read",    "guard",      "unguard",          "follow",        "rules",
                                    "evict",   "choose",     "begin_load",       "begin_move",    "publish",
                                    "abandon", "mark_dirty", "begin_write_back", "end_write_back"};
  static constexpr std::array askers{"owner", "other", "other_extreme"};
  static constexpr std::array ends{"done", "busy", "forbidden"};
  const std::string name = names[static_cast<std::size_t>(o.what)];
  const auto word = [&] {
    return fmt::format("{}{}{}, {} pins, {} protections",
                       o.seen.resident()  ? "resident"
                       : o.seen.loading() ? "loading"
                                          : "absent",
                       o.seen.claimed() ? ", claimed" : "", o.seen.dirty() || o.seen.writing_back() ? ", dirty" : "",
                       o.seen.pins(), o.seen.protections());
  };
  switch (o.what) {
    case call::read:
    case call::protect:
    case call::unprotect:
      return fmt::format("{} {}: {}", name, o.index, word());
    case call::publish:
      return fmt::format("{} {} in run {}: {}", name, o.index, o.run, word());
    case call::pin:
      return fmt::format("pin {}: {}", o.index, o.yes ? fmt::format("held, run {}", o.run) : "waiting");
    case call::unpin:
      return fmt::format("unpin {}: run {}", o.index, o.run);
    case call::guard:
    case call::unguard:
      return name;
    case call::follow:
      return fmt::format("follow {}", o.primary ? "primary" : o.secondary ? "secondary" : "none");
    case call::rules:
      return fmt::format("rules: {} guards{}{}", o.rules.guards(), o.rules.primary() ? ", primary" : "",
                         o.rules.secondary() ? ", secondary" : "");
    case call::evict:
      return fmt::format("evict {} for {}: {}, run {}", o.index, askers[static_cast<std::size_t>(o.who)],
                         ends[static_cast<std::size_t>(o.evicted)], o.run);
    case call::choose:
      return fmt::format("choose: {}", o.victim == none ? "none" : std::to_string(o.victim));
    case call::end_write_back:
      return fmt::format("{} {} {}", name, o.index, o.succeeds ? "well" : "failed");
    default:
      return fmt::format("{} {}: {}", name, o.index, o.yes ? "yes" : "no");
  }
}

namespace {

TEST(blocks, are_linearizable) { expect_linearizable<block_subject<block_calls>>(); }
TEST(blocks, are_linearizable_with_four_threads) { expect_linearizable<block_subject<block_calls>>({.threads = 4}); }

// ---- flaws ---------------------------------------------------------------------------------------------------

struct evict_without_reading_the_rules : block_calls {
  eviction evict(core::block<A>& b, requester, std::uint32_t& run) {
    const core::runtime_word<A> no_rules;
    return core::evict(b.word, no_rules, requester::other, [&] { run = b.run().first; });
  }
};

struct rules_read_before_the_claim : block_calls {
  static constexpr std::array mix{call::guard, call::unguard, call::look,      call::look,
                                  call::evict, call::evict,   call::begin_load};
  eviction evict(core::block<A>& b, requester who, std::uint32_t& run) {
    if (rules.load().forbids(who)) return eviction::forbidden;
    const core::runtime_word<A> no_rules;
    return core::evict(b.word, no_rules, who, [&] { run = b.run().first; });
  }
};

struct fields_read_before_the_claim : block_calls {
  static constexpr std::array mix{call::evict, call::evict, call::begin_load, call::begin_move};
  eviction evict(core::block<A>& b, requester who, std::uint32_t& run) {
    run = b.run().first;
    return core::evict(b.word, rules, who, [] {});
  }
};

struct a_look_that_leaves_the_claim : block_calls {
  static constexpr std::array mix{call::guard, call::unguard, call::look,      call::look,
                                  call::evict, call::evict,   call::begin_load};
  bool look(core::block<A>& b) { return b.word.load().resident(); }
};

TEST(block_flaws, evict_without_reading_the_rules) {
  expect_rejected<block_subject<evict_without_reading_the_rules>>();
}
TEST(block_flaws, rules_read_before_the_claim) {
  expect_rejected<block_subject<rules_read_before_the_claim>>({.rounds = 30000});
}
TEST(block_flaws, fields_read_before_the_claim) {
  expect_rejected<block_subject<fields_read_before_the_claim>>({.rounds = 30000});
}
TEST(block_flaws, a_look_that_leaves_the_claim) {
  expect_rejected<block_subject<a_look_that_leaves_the_claim>>({.rounds = 30000});
}

}  // namespace
}  // namespace pinrail::test
