#include "pipeline.hpp"

#include <chrono>
#include <exception>
#include <mutex>
#include <thread>

namespace examples {

using pinrail::block_index;

namespace {

/// Asks again while other requests hold the headroom: their scopes end. A server would queue the request.
template <class Try>
auto await_headroom(Try&& attempt) {
  for (;;) {
    auto granted = attempt();
    if (granted || granted.code() != pinrail::errc::insufficient_headroom) return std::move(granted).value();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

}  // namespace

std::uint64_t seed_of_request(const workload& work, std::uint32_t request) {
  return next_state(0x5049'4e52'4149'4c00ull ^ work.seed, request);
}

std::uint64_t uses_per_request(const std::array<std::uint32_t, model_count>& blocks, std::uint32_t steps) {
  return blocks[0] + std::uint64_t{blocks[1]} * steps + blocks[2] + blocks[3];
}

pipeline::pipeline(pinrail::scheduler& sched, compute& on, std::array<stage, model_count> stages, const workload& work)
    : sched_(sched), compute_(on), stages_(std::move(stages)), work_(work), results_(work.requests) {
  std::array<std::uint32_t, model_count> blocks;
  for (std::size_t i = 0; i < model_count; ++i) blocks[i] = stages_[i].runtime.block_count();
  uses_ = uses_per_request(blocks, work_.steps);
  workspace_ =
      sched_.budget().reserve_bytes(work_.workers * compute::request_bytes(uses_), "workspace", {.with_memory = true});
}

std::uint64_t pipeline::uses_total(model_id m) const noexcept {
  const std::uint64_t rounds = m == model_id::transformer ? work_.steps : 1;
  return rounds * work_.requests * stages_[static_cast<std::size_t>(m)].checksums.size();
}

std::vector<request_result> pipeline::run() {
  std::mutex failing;
  std::exception_ptr first_failure;
  std::vector<std::thread> workers;
  for (std::uint32_t w = 0; w < work_.workers; ++w) {
    workers.emplace_back([&, w] {
      try {
        serve(w);
      } catch (...) {
        next_request_.add(work_.requests);  // the others finish what they have begun
        const std::lock_guard lock(failing);
        if (!first_failure) first_failure = std::current_exception();
      }
    });
  }
  for (std::thread& w : workers) w.join();
  if (first_failure) std::rethrow_exception(first_failure);
  return results_;
}

void pipeline::serve(std::uint32_t worker) {
  const pinrail::stream stream = sched_.device().create_stream();
  void* memory = static_cast<std::byte*>(workspace_.device_ptr()) + worker * compute::request_bytes(uses_);
  for (;;) {
    const std::uint64_t request = next_request_.add();
    if (request >= work_.requests) return;
    results_[request] = serve_one(stream, memory, static_cast<std::uint32_t>(request));
    requests_done_.add();
  }
}

request_result pipeline::serve_one(pinrail::stream_ref stream, void* memory, std::uint32_t request) {
  request_context c;
  c.stream = stream;
  c.memory = memory;
  c.delays.seed(work_.seed + request);
  const pinrail::runtime& transformer = at(model_id::transformer).runtime;

  compute_.begin(stream, c.memory, uses_, seed_of_request(work_, request));
  {
    auto keep = transformer.keep_resident(at(model_id::text_encoder).runtime);
    walk(c, model_id::text_encoder, 1);
  }
  {
    // Less than asked for where guests of other requests hold some of it.
    auto reservation = await_headroom([&] {
      return transformer.try_reserve_for_resident({.priority = pinrail::priority::primary, .allow_partial = true});
    });
    note_share(model_id::transformer, reservation.share_bytes());
    walk(c, model_id::transformer, work_.steps);
    reservation.release();  // a no-op if another request has reserved the transformer since
  }
  for (const model_id m : {model_id::spatial_upscaler, model_id::temporal_upscaler}) {
    auto guest = await_headroom([&] { return transformer.try_as_guest(at(m).runtime); });
    note_share(m, guest.share_bytes());
    walk(c, m, 1);
  }

  const auto words = compute_.end(stream, c.memory, uses_);
  request_result result{.state = words[0]};
  for (std::size_t u = 0; u < uses_; ++u) result.wrong_checksums += words[1 + u] != c.expected[u];
  return result;
}

void pipeline::walk(request_context& c, model_id m, std::uint32_t rounds) {
  stage& s = at(m);
  // Only the transformer comes by again: elsewhere the beginning is not loaded for a pass that may never follow.
  auto pass = s.runtime.managed_forward(c.stream, {.wraps = rounds > 1});
  for (std::uint32_t round = 0; round < rounds; ++round) {
    for (const block_index b : s.runtime.blocks()) {
      const auto use = pass.use(b);
      compute_.mix(c.stream, c.memory, c.next_use++, use.device_ptr(), s.tensors[b]);
      c.expected.push_back(s.checksums[b]);
      done_[static_cast<std::size_t>(m)].add();
      if (work_.seed != 0) delay(c);
    }
  }
}

void pipeline::delay(request_context& c) const {
  if (c.delays() % 16 == 0) std::this_thread::sleep_for(std::chrono::microseconds(c.delays() % 500));
}

}  // namespace examples
