// Last uses: what an evictor knows of the uses before it.
#include "core/claim.hpp"
#include "core/ticket.hpp"
#include "explore/explore.hpp"

namespace pinrail::explore {
namespace {

using core::eviction;
using core::pin_outcome;
using core::requester;
using core::ticket;

bool incomplete(ticket) { return false; }

template <class A>
struct last_use_is_seen : rl::test_suite<last_use_is_seen<A>, 2> {
  core::block_word<A> word;
  core::runtime_word<A> rules;
  core::last_uses<A> uses;
  rl::atomic<int> used;
  void before() {
    used.store(0, rl::mo_relaxed, $);
    (void)word.begin_load();
    word.publish();
  }
  void thread(unsigned i) {
    if (i == 0) {
      if (word.pin() == pin_outcome::held) {
        used.store(1, rl::mo_relaxed, $);
        RL_ASSERT(uses.note(ticket(1, 7), incomplete));
      }
      word.unpin();
      return;
    }
    ticket seen;
    const auto done = core::evict(word, rules, requester::other, [&] { seen = uses.read(0); });
    if (done == eviction::done && word.load().pins() == 0 && used.load(rl::mo_seq_cst, $) == 1)
      RL_ASSERT(seen == ticket(1, 7));
  }
};
PINRAIL_EXPLORE(last_use_is_seen, complete, "an eviction knows the ticket of every use that was before it");
PINRAIL_FINDS(last_use_is_seen, unpin_relaxed);
PINRAIL_FINDS(last_use_is_seen, pin_keeps_claim);

template <class A>
struct two_uses_on_two_lanes : rl::test_suite<two_uses_on_two_lanes<A>, 2> {
  core::block_word<A> word;
  core::last_uses<A> uses;
  void thread(unsigned i) {
    (void)word.pin();
    RL_ASSERT(uses.note(ticket(i + 1, 5), incomplete));
    word.unpin();
  }
  void after() {
    unsigned lanes = 0;
    for (std::size_t s = 0; s < uses.capacity; ++s)
      if (uses.read(s)) lanes |= 1u << uses.read(s).lane();
    RL_ASSERT(lanes == 0b110);
  }
};
PINRAIL_EXPLORE(two_uses_on_two_lanes, preemptions(4), "no use's ticket is overwritten by another lane's");
PINRAIL_FINDS(two_uses_on_two_lanes, note_takes_any_slot);

}  // namespace
}  // namespace pinrail::explore
