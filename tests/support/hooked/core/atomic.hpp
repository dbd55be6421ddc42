// Found before lib/core/atomic.hpp by what belongs to the target pinrail_hooked: the same names and memory orders, but
// every atomic of the library is a hooked one.
#pragma once

#include <atomic>

#include "core/mutant.hpp"
#include "support/hooked_atomics.hpp"

namespace pinrail::shipped_core {
using core::mutant;
}

#define core shipped_core
#include "../../../../lib/core/atomic.hpp"
#undef core

namespace pinrail::core {

template <class T>
using atomic = test::hooked_atomic<T>;
using native_atomics = test::hooked_atomics;
namespace order = shipped_core::order;
using shipped_core::cache_line_bytes;

}  // namespace pinrail::core
