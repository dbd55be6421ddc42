// The device that tests run on, if they are linked with this: see ../support/test_device.hpp.
#include <gtest/gtest.h>

#include "fake_machine.hpp"
#include "support/test_device.hpp"

namespace pinrail::test {

std::shared_ptr<device> open_test_device(const std::string& emulated_spec) {
  return testing::open_fake_gpu(emulated_spec, [](const std::string& wrong) { ADD_FAILURE() << wrong; });
}

page_lock::page_lock(std::span<std::byte> memory) : start_(memory.data()) {
  EXPECT_EQ(testing::fake_machine()->page_lock(start_, memory.size()), cudaSuccess);
}

page_lock::~page_lock() {
  if (start_ == nullptr) return;
  EXPECT_EQ(testing::fake_machine()->page_unlock(start_), cudaSuccess);
}

}  // namespace pinrail::test
