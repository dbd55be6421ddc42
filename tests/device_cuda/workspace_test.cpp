// The C functions with streams of the program's own, on a fake CUDA runtime.
#include "pinrail/workspace.hpp"

#if __has_include(<cuda/memory_resource>)
#define LIBCUDACXX_ENABLE_EXPERIMENTAL_MEMORY_RESOURCE
#include <cuda/memory_resource>
#endif

#include "pinrail/pinrail.hpp"
#include "pinrail/workspace_resource.hpp"
#include "rig.hpp"

namespace pinrail::testing {
namespace {

TEST(cuda_workspace, the_c_functions_order_streams_of_others) {
  fake_cuda fake;
  const auto gpu = std::make_shared<device>(open_fake(0));
  cudaStream_t mine = nullptr;
  cudaStream_t other = nullptr;
  ASSERT_EQ(fake.set_device(0), cudaSuccess);
  ASSERT_EQ(fake_cuda::api().stream_create(&mine, cudaStreamNonBlocking), cudaSuccess);
  ASSERT_EQ(fake_cuda::api().stream_create(&other, cudaStreamNonBlocking), cudaSuccess);
  {
    scheduler sched(*gpu, {.vram_budget = 1_MiB, .load_deadline = std::chrono::milliseconds(200)});
    workspace w(sched);
    bind_workspace(0, w);
    for (const cudaStream_t stream : {mine, cudaStream_t{nullptr}}) {
      gate held;
      auto* const first = static_cast<char*>(pinrail_workspace_alloc(1_MiB, 0, stream));
      ASSERT_NE(first, nullptr);
      ASSERT_EQ(fake.launch(stream, held.kernel()), cudaSuccess);
      ASSERT_EQ(fake.launch(stream, [first] { first[0] = 1; }), cudaSuccess);
      pinrail_workspace_free(first, 1_MiB, 0, stream);
      auto* const second = static_cast<char*>(pinrail_workspace_alloc(1_MiB, 0, other));
      ASSERT_EQ(second, first) << "without the CPU waiting for the stream, which is held";
      char seen = 0;
      ASSERT_EQ(fake.launch(other, [second, &seen] { seen = second[0]; }), cudaSuccess);
      pinrail_workspace_free(second, 1_MiB, 0, other);
      held.open();
      ASSERT_EQ(fake_cuda::api().stream_synchronize(other), cudaSuccess);
      EXPECT_EQ(seen, 1) << "the other stream came after";
    }
    EXPECT_EQ(w.used_bytes(), 0u);
    // A stream ends, and another may get its handle.
    pinrail_workspace_forget_stream(0, mine);
    ASSERT_EQ(fake_cuda::api().stream_destroy(mine), cudaSuccess);
    EXPECT_EQ(pinrail_workspace_alloc(1_MiB, 0, cudaStreamPerThread), nullptr) << "not supported";
    unbind_workspace(0);
  }
  ASSERT_EQ(fake_cuda::api().stream_destroy(other), cudaSuccess);
}

struct device_accessible {};  // as cuda::mr's
struct host_accessible {};

/// What RMM calls a stream.
struct stream_view {
  cudaStream_t stream = nullptr;
  [[nodiscard]] cudaStream_t value() const { return stream; }
};

template <class Resource, class Property>
constexpr bool has = requires(const Resource& r, Property p) {
  get_property(r, p);
};

TEST(cuda_workspace, is_a_memory_resource) {
  using resource = workspace_resource<device_accessible>;
  static_assert(has<resource, device_accessible> && !has<resource, host_accessible>);
#if __has_include(<cuda/memory_resource>)
  static_assert(
      cuda::mr::async_resource_with<workspace_resource<cuda::mr::device_accessible>, cuda::mr::device_accessible>);
#endif
  fake_cuda fake;
  const auto gpu = std::make_shared<device>(open_fake(0));
  ASSERT_EQ(fake.set_device(0), cudaSuccess);
  cudaStream_t mine = nullptr;
  ASSERT_EQ(fake_cuda::api().stream_create(&mine, cudaStreamNonBlocking), cudaSuccess);
  {
    scheduler sched(*gpu, {.vram_budget = 1_MiB, .load_deadline = std::chrono::milliseconds(200)});
    workspace w(sched);
    resource r(w);
    void* const first = r.allocate_async(1000, 256, stream_view{mine});
    EXPECT_NE(first, nullptr);
    EXPECT_EQ(w.used_bytes(), 4096u);
    EXPECT_THROW((void)r.allocate_async(1000, 512, mine), error);
    EXPECT_THROW((void)r.allocate_async(1_MiB, 256, mine), error);
    r.deallocate_async(first, 1000, 256, mine);
    void* const second = r.allocate(1_MiB);
    r.deallocate(second, 1_MiB);
    EXPECT_EQ(w.used_bytes(), 0u);
    EXPECT_TRUE(r == resource(w));
    EXPECT_FALSE(r == resource(workspace(sched)));
  }
  ASSERT_EQ(fake_cuda::api().stream_destroy(mine), cudaSuccess);
}

}  // namespace
}  // namespace pinrail::testing
