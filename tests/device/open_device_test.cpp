// Devices by spec, and the functions of pinrail/emulated.hpp and pinrail/simulated.hpp.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <string>
#include <utility>

#include "device/backend.hpp"
#include "pinrail/device.hpp"
#include "pinrail/emulated.hpp"
#include "pinrail/error.hpp"
#include "pinrail/simulated.hpp"

namespace pinrail {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

template <class F>
std::pair<errc, std::string> thrown(F&& call) {
  try {
    std::forward<F>(call)();
  } catch (const error& e) {
    return {e.code(), e.what()};
  }
  return {};
}

TEST(open_device, opens_an_emulated_device) {
  const auto dev = open_device("emulated:vram=2GiB");
  EXPECT_EQ(dev->kind(), device_kind::emulated);
  EXPECT_EQ(dev->name(), "emulated, 2.00 GiB");
  EXPECT_EQ(dev->memory_bytes(), std::uint64_t{2} << 30);
  EXPECT_EQ(open_device("emulated:")->memory_bytes(), std::uint64_t{24} << 30);
}

TEST(open_device, opens_a_simulated_device) {
  const auto dev = open_device("simulated:vram=1TiB,h2d=25GB/s");
  EXPECT_EQ(dev->kind(), device_kind::simulated);
  EXPECT_EQ(dev->name(), "simulated, 1.00 TiB");
  EXPECT_EQ(dev->now_ns(), 0u);
}

TEST(open_device, best_is_always_something) {
  const auto dev = open_device("best");
  EXPECT_TRUE(dev->kind() == device_kind::cuda || dev->kind() == device_kind::emulated);
}

TEST(open_device, says_why_there_is_no_cuda_device) {
  const auto [code, why] = thrown([] { static_cast<void>(open_device("cuda:1000")); });
  EXPECT_EQ(code, errc::device_unavailable);
  EXPECT_THAT(why, AnyOf(HasSubstr("cuda:1000"), HasSubstr("no CUDA backend")));
}

TEST(open_device, refuses_specs_that_can_not_be_read) {
  for (const char* spec : {"", "opencl:0", "emulated:vram=no", "cuda:one"}) {
    EXPECT_EQ(thrown([&] { static_cast<void>(open_device(spec)); }).first, errc::invalid_argument) << spec;
  }
}

TEST(emulated_functions, launch_runs_on_the_stream_and_is_checked) {
  const auto dev = open_device("emulated:vram=1MiB");
  std::byte* const arena = dev->backend().allocate_arena(4096).value();
  const stream one = dev->create_stream();
  const stream other = dev->create_stream();
  const std::array touched{emulated::access{arena, 64, true}};
  emulated::launch(
      one, [arena] { arena[0] = std::byte{9}; }, touched);
  one.synchronize();
  EXPECT_EQ(arena[0], std::byte{9});
  emulated::launch(
      other, [] {}, touched);
  EXPECT_THAT(emulated::violations(*dev), IsEmpty());
  emulated::launch(
      one, [] {}, touched);
  EXPECT_THAT(emulated::violations(*dev),
              ElementsAre("kernel on stream 0 writes device bytes [0, 64), but nothing orders it after the kernel "
                          "on stream 1 that writes them"));
}

TEST(emulated_functions, faults_reach_the_device_and_are_cleared) {
  const auto dev = open_device("emulated:vram=1MiB");
  const std::uint64_t before = emulated::calls_made(*dev);
  emulated::inject(*dev, {emulated::call::create_stream, 0, errc::out_of_memory});
  EXPECT_EQ(thrown([&] { static_cast<void>(dev->create_stream()); }).first, errc::out_of_memory);
  EXPECT_GT(emulated::calls_made(*dev), before);
  emulated::inject(*dev, {emulated::call::create_stream, 0, errc::out_of_memory});
  emulated::clear_faults(*dev);
  EXPECT_NO_THROW(static_cast<void>(dev->create_stream()));
  EXPECT_THROW(emulated::inject(*dev, {emulated::call::any, 0, errc::closed}), error);
}

TEST(emulated_functions, a_lost_device_refuses_kernels) {
  const auto dev = open_device("emulated:vram=1MiB");
  const stream s = dev->create_stream();
  emulated::inject(*dev, {emulated::call::any, 0, errc::device_lost});
  EXPECT_EQ(thrown([&] { s.synchronize(); }).first, errc::device_lost);
  EXPECT_EQ(thrown([&] { emulated::launch(s, [] {}); }).first, errc::device_lost);
}

TEST(emulated_functions, live_resources_come_back) {
  const auto dev = open_device("emulated:vram=1MiB");
  {
    const stream s = dev->create_stream();
    EXPECT_EQ(emulated::live_resources(*dev).streams, 1u);
  }
  EXPECT_EQ(emulated::live_resources(*dev).streams, 0u);
  std::byte* const pinned = dev->backend().allocate_pinned(10).value();
  EXPECT_EQ(emulated::live_resources(*dev).pinned_bytes, 10u);
  dev->backend().free_pinned(pinned);
}

TEST(emulated_functions, refuse_devices_of_another_kind) {
  const auto dev = open_device("simulated:");
  const stream s = dev->create_stream();
  const auto code = [](auto&& call) { return thrown(call).first; };
  EXPECT_EQ(code([&] { emulated::launch(s, [] {}); }), errc::not_supported);
  EXPECT_EQ(code([&] { emulated::inject(*dev, {}); }), errc::not_supported);
  EXPECT_EQ(code([&] { emulated::clear_faults(*dev); }), errc::not_supported);
  EXPECT_EQ(code([&] { static_cast<void>(emulated::violations(*dev)); }), errc::not_supported);
  EXPECT_EQ(code([&] { static_cast<void>(emulated::live_resources(*dev)); }), errc::not_supported);
  EXPECT_EQ(code([&] { static_cast<void>(emulated::calls_made(*dev)); }), errc::not_supported);
}

TEST(emulated_functions, launch_refuses_an_empty_stream) {
  EXPECT_EQ(thrown([] { emulated::launch({}, [] {}); }).first, errc::invalid_argument);
}

TEST(simulated_functions, launch_takes_virtual_time) {
  const auto dev = open_device("simulated:");
  const stream s = dev->create_stream();
  simulated::launch(s, 1'000'000'000);
  EXPECT_EQ(dev->now_ns(), 0u);
  s.synchronize();
  EXPECT_EQ(dev->now_ns(), 1'000'000'000u);
}

TEST(simulated_functions, launch_refuses_other_devices_and_empty_streams) {
  const auto dev = open_device("emulated:vram=1MiB");
  const stream s = dev->create_stream();
  EXPECT_EQ(thrown([&] { simulated::launch(s, 1); }).first, errc::not_supported);
  EXPECT_EQ(thrown([] { simulated::launch({}, 1); }).first, errc::invalid_argument);
}

}  // namespace
}  // namespace pinrail
