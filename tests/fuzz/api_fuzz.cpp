// The input is a program of public calls on two threads: see api/program.hpp.
//
// Whatever the program does: only pinrail::error comes out, with a code that is documented for the call; kernels read
// the bytes that their blocks must have; the device's checker finds every access ordered; the budget holds; guards keep
// what they found; a source has what was written last; nothing leaks, and nothing hangs (libFuzzer's -timeout).
#include <cstddef>
#include <cstdint>
#include <thread>

#include "fuzz/api/actor.hpp"
#include "fuzz/api/program.hpp"
#include "fuzz/api/world.hpp"

using namespace pinrail::fuzz;

namespace {

void run_calls(const program& p, bool second, world& shared, actor& who) {
  for (std::size_t i = 0; i < p.calls.size(); ++i) {
    if (p.calls[i].second != second) continue;
    shared.await_turn(i);
    who.run(p.calls[i]);
    shared.end_turn();
  }
  shared.await_turn(p.calls.size());
  who.end_uses();  // the other thread may end the scheduler, which waits for them
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const program p({data, size});
  world shared(p);
  mailbox box;
  {
    actor first(shared, box);
    actor second(shared, box);
    std::thread other([&] { run_calls(p, true, shared, second); });
    run_calls(p, false, shared, first);
    other.join();
    first.empty_mailbox();
  }
  return 0;
}
