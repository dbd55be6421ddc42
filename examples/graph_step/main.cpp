// graph_step: a CUDA graph of the part of a step whose blocks stay, replayed while the other blocks stream.
//
// A pinned block keeps its address. So the first blocks are pinned for the life of the graph; the kernels over them are
// captured once, with plain pointers. Each step replays the graph, and meanwhile the other blocks are copied in; their
// kernels follow on the same stream as usual. Every kernel fingerprints its block.
#include <cuda_runtime.h>
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <chrono>
#include <string>
#include <vector>

#include "common/fingerprint.hpp"
#include "pinrail/pinrail.hpp"

namespace examples {
namespace {

using namespace pinrail::literals;
using pinrail::block_index;
using pinrail::format_bytes;

constexpr int no_gpu = 77;  // what test drivers take for "skipped"

struct options {
  int device = 0;
  std::uint32_t blocks = 32;
  std::uint32_t resident = 16;
  std::uint32_t steps = 20;
  std::string block = "16MiB";
};

void check(cudaError_t outcome, const char* what) {
  if (outcome != cudaSuccess) throw std::runtime_error(fmt::format("{}: {}", what, cudaGetErrorString(outcome)));
}

/// Page-locked host memory with the model's blocks.
class host_blocks {
 public:
  host_blocks(std::uint32_t blocks, std::uint64_t size_bytes) {
    void* memory = nullptr;
    check(cudaMallocHost(&memory, blocks * size_bytes), "page-locked memory");
    memory_ = static_cast<std::byte*>(memory);
    for (std::uint32_t b = 0; b < blocks; ++b) {
      std::byte* const at = memory_ + b * size_bytes;
      fingerprints.push_back(fill_words(at, size_bytes, b));
      blocks_.push_back({fmt::format("block.{}", b), {at, size_bytes}});
    }
  }
  host_blocks(const host_blocks&) = delete;
  host_blocks& operator=(const host_blocks&) = delete;
  ~host_blocks() { cudaFreeHost(memory_); }

  [[nodiscard]] pinrail::model model() const { return pinrail::model_from_memory(blocks_, {.pinned = true}); }

  std::vector<std::uint64_t> fingerprints;

 private:
  std::byte* memory_ = nullptr;
  std::vector<pinrail::memory_block> blocks_;
};

/// What a capture left, ready to be launched.
class captured_step {
 public:
  template <class Enqueue>
  captured_step(cudaStream_t stream, Enqueue&& enqueue) {
    // Thread-local: other threads go on calling CUDA, Pinrail's own among them.
    check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "begin of the capture");
    enqueue();
    cudaGraph_t graph = nullptr;
    check(cudaStreamEndCapture(stream, &graph), "end of the capture");
    const cudaError_t made = cudaGraphInstantiate(&step_, graph, 0);
    cudaGraphDestroy(graph);
    check(made, "the graph");
  }
  captured_step(const captured_step&) = delete;
  captured_step& operator=(const captured_step&) = delete;
  ~captured_step() { cudaGraphExecDestroy(step_); }

  void launch(cudaStream_t stream) const { check(cudaGraphLaunch(step_, stream), "the graph's launch"); }

 private:
  cudaGraphExec_t step_ = nullptr;
};

int run(const options& o) {
  const std::uint64_t block_bytes = pinrail::parse_bytes(o.block) / 8 * 8;
  const auto device = pinrail::open_device(fmt::format("cuda:{}", o.device));
  check(cudaSetDevice(o.device), "the device");
  const host_blocks host(o.blocks, block_bytes);
  // Room for what stays, for what streams, and for the sums.
  pinrail::scheduler sched(*device, {.vram_budget = (o.resident + 4) * (block_bytes + 2_MiB)});
  const pinrail::runtime model = sched.add_runtime("model", host.model());
  const pinrail::stream owned = device->create_stream();
  const auto stream = static_cast<cudaStream_t>(owned.native_handle());

  // The results, from the same budget.
  pinrail::workspace scratch(sched, {.name = "sums"});
  const std::uint64_t sums_bytes = 8 * o.blocks;
  auto* const sums = static_cast<std::uint64_t*>(scratch.allocate(sums_bytes, owned));
  check(cudaMemsetAsync(sums, 0, sums_bytes, stream), "sums");

  // Held for the life of the graph. The stream is ordered after their copies here, so the graph needs no waits.
  std::vector<pinrail::block_pin> held;
  for (block_index b = 0; b < o.resident; ++b) {
    held.push_back(model.pin(b));
    held.back().order_after_load(owned);
  }
  const captured_step step(stream, [&] {
    for (const pinrail::block_pin& p : held)
      cuda_add_fingerprint(stream, p.device_ptr(), p.size_bytes(), sums + p.block());
  });

  std::vector<block_index> others;
  for (block_index b = o.resident; b < o.blocks; ++b) others.push_back(b);
  auto pass = model.managed_forward(owned, {.order = others});
  const auto loaded_before = model.statistics().loaded_bytes;
  const auto began = std::chrono::steady_clock::now();
  for (std::uint32_t s = 0; s < o.steps; ++s) {
    step.launch(stream);  // meanwhile the next of the others are being copied
    for (const block_index b : others) {
      const auto u = pass.use(b);
      cuda_add_fingerprint(stream, u.device_ptr(), u.size_bytes(), sums + b);
    }
  }
  owned.synchronize();
  const double wall_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  const auto streamed = model.statistics().loaded_bytes - loaded_before;
  pass.end();
  for (const pinrail::block_pin& p : held) p.record_use(owned);  // of the last replay
  held.clear();

  std::vector<std::uint64_t> seen(o.blocks);
  check(cudaMemcpyAsync(seen.data(), sums, sums_bytes, cudaMemcpyDeviceToHost, stream), "sums");
  scratch.deallocate(sums, sums_bytes, owned);
  owned.synchronize();
  std::uint32_t wrong = 0;
  for (std::uint32_t b = 0; b < o.blocks; ++b) wrong += seen[b] != o.steps * host.fingerprints[b];
  fmt::print("{}: {} steps over {} blocks of {}; {} of them in a graph, {} streamed\n", device->name(), o.steps,
             o.blocks, format_bytes(block_bytes), o.resident, others.size());
  fmt::print("{:.3f} ms a step; {} copied at {:.2f} GB/s; blocks with a wrong fingerprint: {}\n",
             1e3 * wall_s / o.steps, format_bytes(streamed), 1e-9 * static_cast<double>(streamed) / wall_s, wrong);
  return wrong == 0 ? 0 : 1;
}

}  // namespace
}  // namespace examples

int main(int argc, char** argv) {
  CLI::App app{"A CUDA graph over blocks that stay, replayed while the other blocks stream.", "graph_step"};
  examples::options o;
  app.add_option("--device", o.device, "CUDA ordinal")->capture_default_str();
  app.add_option("--blocks", o.blocks, "Blocks of the model")->capture_default_str()->check(CLI::Range(2, 4096));
  app.add_option("--resident", o.resident, "Of these, in the graph")->capture_default_str()->check(CLI::Range(1, 4095));
  app.add_option("--block", o.block, "Size of each")->capture_default_str();
  app.add_option("--steps", o.steps, "Steps")->capture_default_str()->check(CLI::Range(1, 100000));
  CLI11_PARSE(app, argc, argv);
  try {
    if (o.resident >= o.blocks) throw std::invalid_argument("--resident must be less than --blocks");
    return examples::run(o);
  } catch (const pinrail::error& e) {
    fmt::print(stderr, "graph_step: {}\n", e.what());
    return e.code() == pinrail::errc::device_unavailable ? examples::no_gpu : 2;
  } catch (const std::exception& e) {
    fmt::print(stderr, "graph_step: {}\n", e.what());
    return 2;
  }
}
