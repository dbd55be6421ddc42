// The device of pinrail_stress_cuda. What is found at its end, after the oracle's last look, ends the program.
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>

#include "fake_machine.hpp"
#include "support/test_device.hpp"

namespace pinrail::test {
namespace {

[[noreturn]] void fail(const std::string& wrong) {
  fmt::print(stderr, "\nviolation at the end of a device: {}\n", wrong);
  std::fflush(nullptr);
  std::_Exit(1);
}

}  // namespace

std::shared_ptr<device> open_test_device(const std::string& emulated_spec) {
  return testing::open_fake_gpu(emulated_spec, fail);
}

page_lock::page_lock(std::span<std::byte> memory) : start_(memory.data()) {
  if (testing::fake_machine()->page_lock(start_, memory.size()) != cudaSuccess) fail("memory could not be page-locked");
}

page_lock::~page_lock() {
  if (start_ == nullptr) return;
  if (testing::fake_machine()->page_unlock(start_) != cudaSuccess) fail("page-locked memory was not");
}

}  // namespace pinrail::test
