// The arithmetic of the pipeline's "compute": reads every byte of a block, and mixes a checksum of it into the state of
// a request. The same on the host, in emulated kernels, in CUDA kernels and in the reference.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#ifdef __CUDACC__
#define EXAMPLES_ON_BOTH __host__ __device__
#else
#define EXAMPLES_ON_BOTH
#endif

namespace examples {

/// One tensor of a block. Blocks may have gaps between tensors, which mean nothing.
struct byte_range {
  std::uint64_t offset_bytes = 0;
  std::uint64_t size_bytes = 0;
};

/// One 64-bit word at a place: terms of a block's checksum are summed, in any order, so a GPU can add them up in
/// parallel; the place is mixed in, so that swapped words show.
EXAMPLES_ON_BOTH inline std::uint64_t term(std::uint64_t word, std::uint64_t place) {
  std::uint64_t x = word ^ (place * 0x9e3779b97f4a7c15ull);
  x ^= x >> 32;
  return x * 0xd6e8feb86659fd93ull;
}

/// Places of different tensors of a block lie apart.
EXAMPLES_ON_BOTH inline std::uint64_t first_place(std::uint64_t tensor) { return tensor << 40; }

EXAMPLES_ON_BOTH inline std::uint64_t next_state(std::uint64_t state, std::uint64_t checksum) {
  std::uint64_t x = state ^ checksum;
  x = (x ^ (x >> 29)) * 0xbf58476d1ce4e5b9ull;
  return x ^ (x >> 32);
}

/// A word of a tensor's bytes, the last one filled up with zeros.
inline std::uint64_t word_at(const std::byte* tensor, std::uint64_t size_bytes, std::uint64_t place) {
  std::uint64_t word = 0;
  const std::uint64_t at = place * 8;
  std::memcpy(&word, tensor + at, size_bytes - at < 8 ? size_bytes - at : 8);
  return word;
}

/// The checksum of one tensor.
inline std::uint64_t tensor_checksum(const std::byte* tensor, std::uint64_t size_bytes, std::uint64_t index) {
  const std::uint64_t whole = size_bytes / 8;
  std::uint64_t sum = 0;
  for (std::uint64_t i = 0; i < whole; ++i) {
    std::uint64_t word;
    std::memcpy(&word, tensor + i * 8, 8);
    sum += term(word, first_place(index) + i);
  }
  if (size_bytes % 8 != 0) sum += term(word_at(tensor, size_bytes, whole), first_place(index) + whole);
  return sum;
}

}  // namespace examples
