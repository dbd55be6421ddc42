// Running a member function in a oneTBB arena. In a file of its own because ThreadSanitizer can't see how oneTBB hands
// the closure to a worker (cmake/tsan.supp names this file): nothing else may be handed over here.
//
// What the object was when it was handed over, the worker sees: that order is real, so ThreadSanitizer is told of it.
#pragma once

#include <tbb/task_arena.h>

#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

namespace pinrail::residency {

template <class Object, void (Object::*work)() noexcept>
void run_in_arena(tbb::task_arena& arena, Object& object) {
#ifdef __SANITIZE_THREAD__
  __tsan_release(&object);
#endif
  arena.enqueue([&object] {
#ifdef __SANITIZE_THREAD__
    __tsan_acquire(&object);
#endif
    (object.*work)();
  });
}

}  // namespace pinrail::residency
