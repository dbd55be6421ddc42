#include "support/test_device.hpp"

namespace pinrail::test {

std::shared_ptr<device> open_test_device(const std::string& emulated_spec) { return open_device(emulated_spec); }

// An emulated device takes all memory alike.
page_lock::page_lock(std::span<std::byte> memory) : start_(memory.data()) {}
page_lock::~page_lock() = default;

}  // namespace pinrail::test
