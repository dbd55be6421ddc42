// Fingerprints of blocks: a sum of mixed words, so that a kernel may add them up in any order. The host's and the
// kernel's (fingerprint.cu) are the same number; a wrong, missing or displaced word changes it.
//
// This header and the functions with CUDA in them are C++17, the newest that CMake 3.25 knows for nvcc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#ifdef __CUDACC__
#define EXAMPLES_HOST_DEVICE __host__ __device__
#else
#define EXAMPLES_HOST_DEVICE
#endif

namespace examples {

/// splitmix64's finaliser over a word and its place.
EXAMPLES_HOST_DEVICE inline std::uint64_t mixed(std::uint64_t word, std::uint64_t place) {
  std::uint64_t z = word + (place + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

/// `size_bytes` is a multiple of 8.
inline std::uint64_t fingerprint(const std::byte* data, std::uint64_t size_bytes) {
  std::uint64_t sum = 0;
  for (std::uint64_t i = 0; i < size_bytes / 8; ++i) {
    std::uint64_t word = 0;
    std::memcpy(&word, data + 8 * i, 8);
    sum += mixed(word, i);
  }
  return sum;
}

/// Fills memory with words that follow from the seed, and returns their fingerprint.
inline std::uint64_t fill_words(std::byte* data, std::uint64_t size_bytes, std::uint64_t seed) {
  std::uint64_t sum = 0;
  for (std::uint64_t i = 0; i < size_bytes / 8; ++i) {
    const std::uint64_t word = mixed(seed, i);
    std::memcpy(data + 8 * i, &word, 8);
    sum += mixed(word, i);
  }
  return sum;
}

/// Enqueues, on a cudaStream_t: adds the fingerprint of device memory to the word at `sum`, which is device memory too,
/// `passes` times. Throws std::runtime_error with CUDA's text.
void cuda_add_fingerprint(void* stream, const void* data, std::uint64_t size_bytes, std::uint64_t* sum,
                          unsigned passes = 1);

}  // namespace examples
