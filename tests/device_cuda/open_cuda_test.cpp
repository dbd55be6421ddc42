// Opening a GPU, and the words for why it can't be opened.

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "device/cuda/api.hpp"
#include "rig.hpp"

namespace pinrail::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

struct refusal {
  failure why;
  std::string text;
};

template <class Open>
refusal refusal_of(Open open) {
  try {
    static_cast<void>(open());
    ADD_FAILURE() << "it opened";
    return {};
  } catch (const error& e) {
    EXPECT_EQ(e.code(), errc::device_unavailable);
    return {e.why(), e.what()};
  }
}

refusal refusal_by(cudaError_t code, const driver_probe& probe, int driver_version = CUDART_VERSION) {
  fake_cuda fake({.driver_version = driver_version});
  fake.inject({.call = "cudaGetDeviceCount", .code = code});
  const refusal found = refusal_of([&] { return open_cuda(fake_cuda::api(), probe, 0); });
  EXPECT_EQ(found.why.native_code, code);
  EXPECT_EQ(fake_cuda::last_error(), cudaSuccess);
  EXPECT_EQ(fake.live(), fake_cuda::resources{});
  return found;
}

const driver_probe driver_there{.library_found = true};

std::string runtime_version_text() { return fmt::format("{}.{}", CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10); }

TEST(cuda_open, says_that_there_is_no_driver) {
  const refusal found =
      refusal_by(cudaErrorInsufficientDriver, {.library_found = false, .load_error = "libcuda.so.1: not there"});
  EXPECT_EQ(found.text, "cuda:0 is not available: no NVIDIA driver is installed (libcuda.so.1: not there)");
}

TEST(cuda_open, says_that_the_driver_is_too_old_and_names_both_versions) {
  for (const cudaError_t code : {cudaErrorInsufficientDriver, cudaErrorCallRequiresNewerDriver}) {
    const refusal found = refusal_by(code, driver_there, 12040);
    EXPECT_THAT(found.text, AllOf(HasSubstr("driver is too old"), HasSubstr("goes up to CUDA 12.4,"),
                                  HasSubstr("built with the CUDA " + runtime_version_text() + " runtime")));
  }
  EXPECT_THAT(refusal_by(cudaErrorInsufficientDriver, driver_there, 0).text, HasSubstr("does not tell its version"));
}

TEST(cuda_open, says_that_there_is_only_the_stub) {
  EXPECT_THAT(refusal_by(cudaErrorStubLibrary, driver_there).text,
              AllOf(HasSubstr("stub"), HasSubstr("LD_LIBRARY_PATH")));
}

TEST(cuda_open, says_that_there_is_no_gpu_and_what_may_hide_it) {
  EXPECT_THAT(refusal_by(cudaErrorNoDevice, driver_there).text,
              AllOf(HasSubstr("no GPU"), HasSubstr("CUDA_VISIBLE_DEVICES is not set")));
  driver_probe hidden = driver_there;
  hidden.visible_devices = "7";
  EXPECT_THAT(refusal_by(cudaErrorNoDevice, hidden).text, HasSubstr("CUDA_VISIBLE_DEVICES is '7'"));
}

TEST(cuda_open, repeats_what_cuda_says_where_it_knows_no_better) {
  EXPECT_THAT(refusal_by(cudaErrorSystemNotReady, driver_there).text,
              AllOf(HasSubstr("cudaErrorSystemNotReady"), HasSubstr("802"),
                    HasSubstr(cudaGetErrorString(cudaErrorSystemNotReady))));
}

TEST(cuda_open, names_the_number_of_gpus_for_an_ordinal_beyond_it) {
  for (const auto& [devices, ordinal, text] :
       {std::tuple{2, 2, "are 2 GPUs"}, std::tuple{2, -1, "are 2 GPUs"}, std::tuple{1, 1, "is 1 GPU,"}}) {
    fake_cuda fake({.devices = devices});
    const refusal found = refusal_of([&, n = ordinal] { return open_fake(n); });
    EXPECT_THAT(found.text,
                AllOf(HasSubstr(text), HasSubstr(fmt::format("cuda:{} ", ordinal)), HasSubstr("CUDA_VISIBLE_DEVICES")));
    EXPECT_EQ(found.why.native_code, cudaErrorInvalidDevice);
  }
}

TEST(cuda_open, names_the_driver_function_that_is_missing) {
  for (const char* name : {"cuDeviceGet", "cuDevicePrimaryCtxRetain", "cuDevicePrimaryCtxRelease", "cuCtxGetCurrent",
                           "cuCtxPushCurrent", "cuCtxPopCurrent", "cuEventQuery"}) {
    fake_cuda fake({.missing_driver_function = name});
    EXPECT_THAT(refusal_of([] { return open_fake(0); }).text, HasSubstr(fmt::format("has no {}", name)));
  }
}

TEST(cuda_open, leaves_no_error_behind_when_the_driver_can_t_be_asked) {
  fake_cuda fake;
  fake.inject({.call = "cudaGetDriverEntryPointByVersion", .code = cudaErrorCallRequiresNewerDriver});
  EXPECT_THAT(refusal_of([] { return open_fake(0); }).text, HasSubstr("has no cuDeviceGet"));
  EXPECT_EQ(fake_cuda::last_error(), cudaSuccess);
}

TEST(cuda_open, says_why_a_gpu_that_is_there_refuses) {
  for (const char* call : {"cudaGetDeviceProperties", "cuDeviceGet", "cuDevicePrimaryCtxRetain"}) {
    fake_cuda fake;
    fake.inject({.call = call, .code = cudaErrorDevicesUnavailable});
    const refusal found = refusal_of([] { return open_fake(0); });
    EXPECT_THAT(found.text, HasSubstr("cudaErrorDevicesUnavailable")) << call;
    EXPECT_EQ(found.why.native_code, cudaErrorDevicesUnavailable) << call;
    EXPECT_EQ(fake.live().context_references, 0) << call;
  }
}

TEST(cuda_open, opens_the_same_gpu_twice) {
  fake_cuda fake;
  auto first = open_fake(0);
  auto second = open_fake(0);
  EXPECT_EQ(fake.live().context_references, 2);
  first.reset();
  EXPECT_TRUE(second->create_event());
}

TEST(cuda_open, counts_what_could_be_opened) {
  {
    fake_cuda fake({.devices = 3});
    EXPECT_EQ(cuda_device_count(fake_cuda::api()), 3);
  }
  for (const cudaError_t code : {cudaErrorInsufficientDriver, cudaErrorStubLibrary, cudaErrorNoDevice}) {
    fake_cuda fake({.devices = 3});
    fake.inject({.call = "cudaGetDeviceCount", .code = code});
    EXPECT_EQ(cuda_device_count(fake_cuda::api()), 0);
    EXPECT_EQ(fake_cuda::last_error(), cudaSuccess);
  }
}

// ---- the real runtime -----------------------------------------------------------------------------------

TEST(cuda_open, the_real_table_is_complete) {
  const cuda_api api = runtime_api();
  // All members are pointers of one size, so the table can be read as an array of them.
  std::array<void*, sizeof(cuda_api) / sizeof(void*)> functions{};
  static_assert(sizeof functions == sizeof api);
  std::memcpy(functions.data(), &api, sizeof api);
  EXPECT_THAT(functions, ::testing::Each(::testing::NotNull()));
}

TEST(cuda_open, the_real_one_says_that_this_machine_has_no_driver) {
  const driver_probe probe = probe_driver();
  if (probe.library_found) GTEST_SKIP() << "libcuda.so.1 is installed here; this is for machines without it";
  EXPECT_EQ(cuda_device_count(), 0);
  const refusal found = refusal_of([] { return open_cuda(0); });
  EXPECT_THAT(found.text, AllOf(HasSubstr("no NVIDIA driver is installed"), HasSubstr("libcuda.so.1")));
}

/// Only for the test below, which runs it in a process of its own.
TEST(DISABLED_cuda_open_in_child, prints_the_refusal) {
  std::printf("<%s>\n", refusal_of([] { return open_cuda(0); }).text.c_str());
}

TEST(cuda_open, the_real_one_knows_the_toolkits_stub) {
  namespace fs = std::filesystem;
  const fs::path stub = "/usr/local/cuda/lib64/stubs/libcuda.so";
  if (!fs::exists(stub)) GTEST_SKIP() << stub << " is not there";
  const fs::path folder = fs::path(::testing::TempDir()) / "pinrail_cuda_stub";
  fs::create_directories(folder);
  fs::remove(folder / "libcuda.so.1");
  fs::create_symlink(stub, folder / "libcuda.so.1");
  const std::string command = fmt::format(
      "LD_LIBRARY_PATH='{}' '{}' --gtest_also_run_disabled_tests "
      "--gtest_filter=DISABLED_cuda_open_in_child.* 2>&1",
      folder.string(), fs::read_symlink("/proc/self/exe").string());
  std::string output;
  std::FILE* const child = popen(command.c_str(), "r");
  ASSERT_NE(child, nullptr);
  for (int c = std::fgetc(child); c != EOF; c = std::fgetc(child)) output.push_back(static_cast<char>(c));
  pclose(child);
  EXPECT_THAT(output, AllOf(HasSubstr("<cuda:0 is not available"), HasSubstr("the CUDA Toolkit's stub")));
}

}  // namespace
}  // namespace pinrail::testing
