// The input is a safetensors file: header length, JSON header, data.
//
// It is either refused, with errc::malformed_file, or every tensor of it can be read back byte for byte.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "fuzz/support/expect.hpp"
#include "fuzz/support/memory_file.hpp"
#include "fuzz/support/safetensors_oracle.hpp"
#include "pinrail/model.hpp"

using namespace pinrail;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static fuzz::memory_file file;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  file.set(bytes);

  const safetensors_options by_default;
  // errc::invalid_argument: block names that collide are the options' fault.
  const auto refused = fuzz::refusal({errc::malformed_file, errc::invalid_argument}, [&] {
    fuzz::expect_model_of(model_from_safetensors(file.path(), by_default), by_default, {&bytes, 1});
  });
  if (refused && refused->code() == errc::malformed_file) return 0;

  const safetensors_options others{.block_patterns = {"layers.{}."},
                                   .rest = rest_block::last,
                                   .rest_name = "",
                                   .io = file_io::mapped,
                                   .alignment_bytes = 1,
                                   .chunk_bytes = 4096};
  static_cast<void>(fuzz::refusal({errc::invalid_argument}, [&] {
    fuzz::expect_model_of(model_from_safetensors(file.path(), others), others, {&bytes, 1});
  }));
  return 0;
}
