// What every program says to ThreadSanitizer, however it is started. TSAN_OPTIONS adds to it.
//
// Only `race_top`: a race is passed over when the access itself is in one of these files, not when one of them merely
// calls the code that races.
//
// oneTBB comes as a library that ThreadSanitizer can't see into: it misses how a closure gets from enqueue to a worker,
// in the task that carries it (_small_object_pool.h makes and ends that).
// Pinrail hands nothing else over by closures (see run_in_arena.hpp).
//
// Boost.Lockfree writes to nodes of its free list that a late reader may still look at; the reader's compare-exchange
// then fails, by tag.
extern "C" {

const char* __tsan_default_suppressions();
const char* __tsan_default_options();

const char* __tsan_default_suppressions() {
  return "race_top:tbb/task_arena.h\n"
         "race_top:tbb/detail/_small_object_pool.h\n"
         "race_top:residency/run_in_arena.hpp\n"
         "race_top:boost::lockfree\n"
         "race_top:boost/lockfree\n";
}

const char* __tsan_default_options() { return "history_size=4"; }
}
