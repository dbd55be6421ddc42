// Two models share one device: the smallest program that does something with Pinrail.
#include <pinrail/pinrail.hpp>

#include <cstdio>

using namespace pinrail::literals;

void launch(void*, std::uint64_t, pinrail::stream_ref) {}  // your kernels, on the stream

void run(const pinrail::runtime& model, pinrail::stream_ref stream) {
  auto pass = model.managed_forward(stream);  // loads ahead, in execution order
  for (pinrail::block_index b : model.blocks()) {
    auto use = pass.use(b);  // the stream waits for the block's copy; the CPU does not
    launch(use.device_ptr(), use.size_bytes(), stream);
  }  // ~use: records the last use, then lets go
}

int main() try {
  std::vector<std::byte> weights(12_MiB);  // outlives the scheduler, which reads it. Or: model_from_safetensors(...)
  std::vector<pinrail::memory_block> small, large;
  for (std::size_t i = 0; i < 4; ++i) small.push_back({"encoder." + std::to_string(i), {&weights[i << 20], 1_MiB}});
  for (std::size_t i = 4; i < 12; ++i) large.push_back({"layer." + std::to_string(i), {&weights[i << 20], 1_MiB}});

  auto device = pinrail::open_device("emulated:vram=8MiB");  // "cuda:0" on a GPU
  pinrail::scheduler scheduler(*device, {.vram_budget = 8_MiB});
  auto encoder = scheduler.add_runtime("encoder", pinrail::model_from_memory(small));
  auto transformer = scheduler.add_runtime("transformer", pinrail::model_from_memory(large));
  auto stream = device->create_stream();
  {
    auto keep = encoder.keep_resident();  // nobody evicts the encoder in this scope
    run(encoder, stream);
  }
  auto reservation = transformer.reserve_for_resident({.bytes = 6_MiB});  // streams its 8 MiB through 6
  for (int step = 0; step < 3; ++step) run(transformer, stream);
  auto guest = transformer.as_guest(encoder);  // uses what is left, and leaves at the end
  run(encoder, stream);
  for (const auto& m : scheduler.statistics().runtimes) std::printf("%s: %d loads\n", m.name.c_str(), int(m.loads));
} catch (const pinrail::error& e) {
  std::fprintf(stderr, "%s\n", e.what());  // names the numbers, and who holds the bytes
  return 1;
}
