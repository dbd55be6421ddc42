#include "reference.hpp"

#include <algorithm>
#include <thread>

namespace examples {
namespace {

struct plain_model {
  pinrail::model description;
  std::vector<std::vector<std::byte>> blocks;
};

void walk(const plain_model& m, std::uint32_t rounds, std::uint64_t& state) {
  for (std::uint32_t round = 0; round < rounds; ++round) {
    for (std::size_t b = 0; b < m.blocks.size(); ++b) {
      const auto& tensors = m.description.blocks()[b].tensors;
      std::uint64_t sum = 0;
      for (std::size_t t = 0; t < tensors.size(); ++t)
        sum += tensor_checksum(m.blocks[b].data() + tensors[t].offset_bytes, tensors[t].size_bytes, t);
      state = next_state(state, sum);
    }
  }
}

}  // namespace

std::vector<std::uint64_t> reference_run(const std::array<checkpoint, model_count>& models, const workload& work,
                                         const std::function<void(std::uint32_t)>& progress) {
  std::array<plain_model, model_count> plain;
  for (std::size_t i = 0; i < model_count; ++i) {
    plain[i].description = open_model(models[i]);
    plain[i].blocks = read_blocks(models[i], plain[i].description);
  }
  std::vector<std::uint64_t> states(work.requests);
  shared_count next;
  shared_count done;
  // Plain threads: ThreadSanitizer can't see how oneTBB's end.
  std::vector<std::jthread> threads;
  for (unsigned t = 0; t < std::max(1u, std::thread::hardware_concurrency()); ++t) {
    threads.emplace_back([&] {
      for (std::uint64_t request = next.add(); request < work.requests; request = next.add()) {
        std::uint64_t state = seed_of_request(work, static_cast<std::uint32_t>(request));
        for (std::size_t i = 0; i < model_count; ++i)
          walk(plain[i], i == static_cast<std::size_t>(model_id::transformer) ? work.steps : 1, state);
        states[request] = state;
        progress(static_cast<std::uint32_t>(done.add() + 1));
      }
    });
  }
  threads.clear();  // waits for them
  return states;
}

}  // namespace examples
