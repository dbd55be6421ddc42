// What must hold after every thread has ended everything.
#pragma once

#include "activity.hpp"
#include "watcher.hpp"
#include "world.hpp"

namespace stress {

/// Checks for leaks, removes runtimes, ends the scheduler and the streams, and compares every source with what was
/// written last. `d` decides which runtimes are removed before the scheduler ends.
void check_aftermath(world& w, const watcher& watched, activity& mine, dice d);

}  // namespace stress
