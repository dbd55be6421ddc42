// Running a member function in a oneTBB arena. In a file of its own because ThreadSanitizer can't see how oneTBB hands
// the closure to a worker (cmake/tsan.supp names this file): nothing else may be handed over here.
#pragma once

#include <tbb/task_arena.h>

namespace pinrail::residency {

template <class Object, void (Object::*work)() noexcept>
void run_in_arena(tbb::task_arena& arena, Object& object) {
  arena.enqueue([&object] { (object.*work)(); });
}

}  // namespace pinrail::residency
