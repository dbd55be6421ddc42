// How libFuzzer changes programs: call by call, since a byte more or less would make other calls of all that follow.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>

#include "fuzz/api/program.hpp"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace {

using pinrail::fuzz::program;

constexpr std::size_t call_bytes = 3;

class call_list {
 public:
  call_list(std::uint8_t* data, std::size_t size, std::size_t max_size, unsigned seed)
      : data_(data), size_(size - (size - program::setup_bytes) % call_bytes), max_size_(max_size), random_(seed) {}

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t below(std::size_t limit) { return random_() % limit; }

  void insert() {
    if (size_ + call_bytes > max_size_) return;
    std::uint8_t* const at = data_ + program::setup_bytes + below(calls() + 1) * call_bytes;
    std::memmove(at + call_bytes, at, static_cast<std::size_t>(data_ + size_ - at));
    size_ += call_bytes;
    std::generate(at, at + call_bytes, [this] { return static_cast<std::uint8_t>(random_() >> 8); });
    if (below(3) == 0) std::memmove(at, call(), call_bytes);  // one that is there already
    if (below(2) == 0) at[1] = call()[1];                     // on a model or handle that others are about
  }
  void erase() {
    if (calls() == 0) return;
    std::uint8_t* const at = call();
    std::memmove(at, at + call_bytes, static_cast<std::size_t>(data_ + size_ - at) - call_bytes);
    size_ -= call_bytes;
  }
  void swap() {
    if (calls() == 0) return;
    std::uint8_t* const at = call();
    std::swap_ranges(at, at + call_bytes, calls() == 1 ? at : call());
  }
  void change() {
    std::uint8_t& byte = data_[below(size_)];
    byte = below(2) == 0 ? static_cast<std::uint8_t>(random_() >> 8) : static_cast<std::uint8_t>(byte ^ 1u << below(8));
  }
  void change_thread() {
    if (calls() != 0) call()[0] ^= 0x80;
  }

 private:
  [[nodiscard]] std::size_t calls() const { return (size_ - program::setup_bytes) / call_bytes; }
  [[nodiscard]] std::uint8_t* call() { return data_ + program::setup_bytes + below(calls()) * call_bytes; }

  std::uint8_t* data_;
  std::size_t size_;
  std::size_t max_size_;
  std::minstd_rand random_;
};

}  // namespace

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                               unsigned seed) {
  if (size < program::setup_bytes || seed % 8 == 0) return LLVMFuzzerMutate(data, size, max_size);
  call_list calls(data, size, max_size, seed);
  for (std::size_t changes = 1 + calls.below(4); changes > 0; --changes) {
    switch (calls.below(6)) {
      case 0:
      case 1:
        calls.insert();
        break;
      case 2:
        calls.erase();
        break;
      case 3:
        calls.swap();
        break;
      case 4:
        calls.change();
        break;
      default:
        calls.change_thread();
    }
  }
  return calls.size();
}

/// The first calls of one program and the last of another.
extern "C" std::size_t LLVMFuzzerCustomCrossOver(const std::uint8_t* first, std::size_t first_size,
                                                 const std::uint8_t* second, std::size_t second_size, std::uint8_t* out,
                                                 std::size_t max_size, unsigned seed) {
  if (first_size < program::setup_bytes || second_size < program::setup_bytes) return 0;
  std::minstd_rand random(seed);
  const auto some = [&](std::size_t size) {
    return random() % ((size - program::setup_bytes) / call_bytes + 1) * call_bytes;
  };
  const std::size_t kept = std::min(program::setup_bytes + some(first_size), max_size);
  std::memcpy(out, first, kept);
  const std::size_t from = program::setup_bytes + some(second_size);
  const std::size_t more = std::min(second_size - from, max_size - kept);
  std::memcpy(out + kept, second + from, more);
  return kept + more;
}
