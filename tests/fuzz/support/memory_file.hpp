// A file in memory, with a path that any code can open.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>
#include <string_view>

#include "fuzz/support/expect.hpp"

namespace pinrail::fuzz {

class memory_file {
 public:
  memory_file() : descriptor_(::memfd_create("pinrail-fuzz", MFD_CLOEXEC)) {
    expect(descriptor_ >= 0, "the harness got no memfd");
  }
  memory_file(const memory_file&) = delete;
  memory_file& operator=(const memory_file&) = delete;
  ~memory_file() { ::close(descriptor_); }

  /// Replaces what is in it. Nobody may have it open.
  void set(std::string_view bytes) {
    expect(::ftruncate(descriptor_, 0) == 0 &&
               ::pwrite(descriptor_, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()),
           "the harness can't write its memfd");
  }
  [[nodiscard]] std::filesystem::path path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

}  // namespace pinrail::fuzz
