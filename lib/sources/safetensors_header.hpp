// The header of one safetensors file: which tensors there are and where their bytes lie.
//
// Format: https://github.com/huggingface/safetensors, README.md, "Format". Bytes 0..7 hold the header's
// length, little-endian; then comes the header, a JSON object; the rest is data.
//
// What a header says is believed only after these hold:
//   (1) the length is within the option's limit and within the file;
//   (2) the header is one JSON object in UTF-8, no key in it comes twice, __metadata__ maps strings to
//   strings, and
//       a tensor has dtype, shape and data_offsets, and nothing else;
//   (3) each tensor's element type is known, and its byte count is exactly what its shape needs;
//   (4) in file order each tensor starts where the one before it ends, the first at 0, and the last one ends
//   with
//       the file: no overlaps, no holes, no trailing data.
//
// Stricter than the reference reader in (2): that one keeps the last of two equal keys, and ignores keys that
// it does not know in a tensor's entry. As there, whitespace may stand around the object, since writers pad
// with it.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace pinrail::sources {

struct header_tensor {
  std::string name;
  std::string dtype;
  std::vector<std::uint64_t> shape;
  std::array<std::uint64_t, 2> data_offsets{};  ///< begin and end, from the start of the data
  std::uint64_t file_offset_bytes = 0;          ///< of the first byte, from the start of the file

  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return data_offsets[1] - data_offsets[0]; }
};

/// Length of the field that gives the header's length.
inline constexpr std::uint64_t header_length_bytes = 8;

/// Condition (1): the length in the file's first 8 bytes. Throws errc::malformed_file.
[[nodiscard]] std::uint64_t checked_header_length(const std::filesystem::path& file,
                                                  const std::array<unsigned char, 8>& field,
                                                  std::uint64_t file_size_bytes, std::uint64_t max_header_bytes);

/// Condition (2): tensors in the order of the JSON text. `file` is for messages; throws errc::malformed_file.
[[nodiscard]] std::vector<header_tensor> parse_header_json(const std::filesystem::path& file, std::string_view json);

/// Conditions (3) and (4): sorts the tensors into file order and fills in `file_offset_bytes`. Throws
/// errc::malformed_file.
void validate_tensors(const std::filesystem::path& file, std::vector<header_tensor>& tensors,
                      std::uint64_t data_begin_bytes, std::uint64_t file_size_bytes);

}  // namespace pinrail::sources
