// In a file of its own, so that no compiler inlines one half of a pair of new and delete.
#include "support/allocation_counter.hpp"

#include <cstdlib>
#include <new>

namespace pinrail::test {
namespace {

thread_local std::size_t allocations = 0;

void* counted(std::size_t size) noexcept {
  ++allocations;
  return std::malloc(size == 0 ? 1 : size);
}
void* counted(std::size_t size, std::align_val_t alignment) noexcept {
  ++allocations;
  const auto unit = static_cast<std::size_t>(alignment);
  return std::aligned_alloc(unit, (size + unit - 1) / unit * unit);
}

}  // namespace

std::size_t allocations_so_far() noexcept { return allocations; }

}  // namespace pinrail::test

void* operator new(std::size_t size) {
  if (void* const p = pinrail::test::counted(size)) return p;
  throw std::bad_alloc();
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return pinrail::test::counted(size); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  if (void* const p = pinrail::test::counted(size, alignment)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }
