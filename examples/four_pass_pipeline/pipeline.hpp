// The pipeline: requests that each go through four passes, served by several workers on the same four runtimes.
//
//   1 encode    keep_resident of the text encoder while it encodes
//   2 denoise   the transformer reserved primary, streaming, for a number of steps
//   3 spatial   the spatial upscaler as a guest
//   4 temporal  the temporal upscaler as a guest
#pragma once

#include <array>
#include <cstdint>
#include <random>
#include <vector>

#include "checkpoints.hpp"
#include "compute.hpp"
#include "pinrail/pinrail.hpp"
#include "shared_count.hpp"

namespace examples {

/// One model: as a runtime, and what its blocks must sum up to.
struct stage {
  pinrail::runtime runtime;
  std::vector<std::vector<byte_range>> tensors;  ///< by block
  std::vector<std::uint64_t> checksums;          ///< by block, from the file
};

struct workload {
  std::uint32_t requests = 4;
  std::uint32_t workers = 2;
  std::uint32_t steps = 8;
  /// Of the requests' inputs. Other than 0, it also delays the workers here and there, so that every seed interleaves
  /// them differently.
  std::uint64_t seed = 0;
};

struct request_result {
  std::uint64_t state = 0;
  std::uint64_t wrong_checksums = 0;
};

[[nodiscard]] std::uint64_t seed_of_request(const workload& work, std::uint32_t request);
[[nodiscard]] std::uint64_t uses_per_request(const std::array<std::uint32_t, model_count>& blocks, std::uint32_t steps);

class pipeline {
 public:
  pipeline(pinrail::scheduler& sched, compute& on, std::array<stage, model_count> stages, const workload& work);

  /// Serves all requests. Passes on the first exception of a worker, after all have ended.
  std::vector<request_result> run();

  /// Of all requests, for progress bars. Any thread.
  [[nodiscard]] std::uint64_t uses_done(model_id m) const noexcept {
    return done_[static_cast<std::size_t>(m)].value();
  }
  [[nodiscard]] std::uint64_t uses_total(model_id m) const noexcept;
  /// The largest share that a reservation or a guest scope of the model was granted.
  [[nodiscard]] std::uint64_t share_bytes(model_id m) const noexcept {
    return shares_[static_cast<std::size_t>(m)].value();
  }
  [[nodiscard]] std::uint32_t requests_done() const noexcept {
    return static_cast<std::uint32_t>(requests_done_.value());
  }

 private:
  struct request_context {
    pinrail::stream_ref stream;
    void* memory = nullptr;
    std::mt19937_64 delays;
    std::uint64_t next_use = 0;
    std::vector<std::uint64_t> expected;
  };

  void serve(std::uint32_t worker);
  request_result serve_one(pinrail::stream_ref stream, void* memory, std::uint32_t request);
  void walk(request_context& c, model_id m, std::uint32_t rounds);
  void note_share(model_id m, std::uint64_t bytes) { shares_[static_cast<std::size_t>(m)].raise_to(bytes); }
  void delay(request_context& c) const;
  [[nodiscard]] stage& at(model_id m) { return stages_[static_cast<std::size_t>(m)]; }

  pinrail::scheduler& sched_;
  compute& compute_;
  std::array<stage, model_count> stages_;
  workload work_;
  std::uint64_t uses_ = 0;               ///< per request
  pinrail::byte_reservation workspace_;  ///< for what is computed, a part per worker
  std::vector<request_result> results_;
  std::array<shared_count, model_count> done_;
  std::array<shared_count, model_count> shares_;
  shared_count requests_done_;
  shared_count next_request_;
};

}  // namespace examples
