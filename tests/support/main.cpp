// GoogleTest's main, with --seed=N for property tests.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <random>
#include <string>

#include "support/seed.hpp"

namespace pinrail::test {
namespace {

std::uint64_t& the_seed() {
  static std::uint64_t seed = [] {
    const char* given = std::getenv("PINRAIL_SEED");
    return given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device{}();
  }();
  return seed;
}

}  // namespace

std::uint64_t run_seed() {
  const auto* test = testing::UnitTest::GetInstance()->current_test_info();
  fmt::print("seed {}: replay with --gtest_filter={}.{} --seed={}\n", the_seed(), test->test_suite_name(), test->name(),
             the_seed());
  testing::Test::RecordProperty("seed", std::to_string(the_seed()));
  return the_seed();
}

}  // namespace pinrail::test

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  for (int i = 1; i < argc; ++i) {
    if (std::strncmp(argv[i], "--seed=", 7) == 0) {
      pinrail::test::the_seed() = std::strtoull(argv[i] + 7, nullptr, 0);
    } else {
      fmt::print(stderr, "unknown argument '{}'; GoogleTest's own and --seed=N are known\n", argv[i]);
      return 2;
    }
  }
  return RUN_ALL_TESTS();
}
