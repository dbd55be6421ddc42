// Every backend call that can fail, with the CUDA function it rests on.
#pragma once

#include <vector>

#include "rig.hpp"

namespace pinrail::testing {

struct backend_call {
  const char* name;
  const char* cuda_name;
  failure (*run)(rig& r);  ///< code `none`: it succeeded
};

inline failure why(const auto& outcome) { return outcome.has_value() ? failure{} : outcome.why(); }

inline std::vector<backend_call> failing_calls() {
  return {
      {"allocate_arena", "cudaMalloc",
       [](rig& r) {
         auto made = r.gpu->allocate_arena(4096);
         if (made) r.gpu->free_arena(*made);
         return why(made);
       }},
      {"allocate_pinned", "cudaHostAlloc",
       [](rig& r) {
         auto made = r.gpu->allocate_pinned(4096);
         if (made) r.gpu->free_pinned(*made);
         return why(made);
       }},
      {"create_stream", "cudaStreamCreateWithFlags",
       [](rig& r) {
         auto made = r.gpu->create_stream();
         if (made) r.gpu->destroy_stream(*made);
         return why(made);
       }},
      {"wrap_stream", "cudaStreamGetDevice", [](rig& r) { return why(r.gpu->wrap_stream(r.stream.native)); }},
      {"synchronize_stream", "cudaStreamSynchronize", [](rig& r) { return why(r.gpu->synchronize_stream(r.stream)); }},
      {"create_event", "cudaEventCreateWithFlags",
       [](rig& r) {
         auto made = r.gpu->create_event();
         if (made) r.gpu->destroy_event(*made);
         return why(made);
       }},
      {"record_event", "cudaEventRecord", [](rig& r) { return why(r.gpu->record_event(r.event, r.stream)); }},
      {"query_event", "cuEventQuery", [](rig& r) { return why(r.gpu->query_event(r.event)); }},
      {"wait_event", "cudaStreamWaitEvent", [](rig& r) { return why(r.gpu->wait_event(r.stream, r.event)); }},
      {"write_word", "cuStreamWriteValue64",
       [](rig& r) { return why(r.gpu->write_word(r.stream, *reinterpret_cast<completion_word*>(r.pinned), 1)); }},
      {"copy_batch", "cuMemcpyBatchAsync",
       [](rig& r) {
         const copy_to_device one{r.arena, r.pinned, 4096};
         return why(r.gpu->copy_batch(r.stream, {&one, 1}));
       }},
      {"copy", "cudaMemcpyAsync",
       [](rig& r) { return why(r.gpu->copy(r.stream, direction::host_to_device, r.arena, r.pinned, 4096)); }},
  };
}

}  // namespace pinrail::testing
