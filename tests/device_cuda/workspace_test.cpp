// The C functions with streams of the program's own, on a fake CUDA runtime.
#include "pinrail/workspace.hpp"

#include "pinrail/pinrail.hpp"
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

}  // namespace
}  // namespace pinrail::testing
