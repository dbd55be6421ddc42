// Stream capture and graphs of the fake.
#pragma once

#include <cuda_runtime_api.h>

#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "pinrail/emulated.hpp"

namespace pinrail::testing {

/// A capture under way. Its work is kept in the order in which it was enqueued, which is one that the graph allows.
struct fake_capture {
  struct node {
    std::function<void()> work;
    std::vector<emulated::access> accesses;
  };

  cudaStream_t origin = nullptr;
  int device = 0;
  cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
  std::thread::id thread = {};
  bool invalid = false;  ///< a call that a capture does not bear was made: nothing comes of it
  std::vector<node> nodes = {};
};

using fake_graph = std::shared_ptr<const fake_capture>;

}  // namespace pinrail::testing
