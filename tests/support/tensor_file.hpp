// A safetensors file of known bytes: two tensors a block, with padding behind each on the device.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

#include "common/safetensors_writer.hpp"
#include "pinrail/model.hpp"
#include "sources/temp_folder.hpp"

namespace pinrail::test {

class tensor_file {
 public:
  explicit tensor_file(block_index blocks, std::uint64_t weight_bytes = 9001) {
    std::vector<examples::tensor_to_write> tensors;
    for (block_index b = 0; b < blocks; ++b) {
      tensors.push_back({fmt::format("file.{}.weight", b), "U8", {weight_bytes + 100 * b}});
      tensors.push_back({fmt::format("file.{}.bias", b), "U8", {77}});
    }
    examples::write_safetensors(path_, tensors, [](const auto& t, std::uint64_t offset, std::span<std::byte> to) {
      for (std::size_t i = 0; i < to.size(); ++i) to[i] = byte_of(t.name, offset + i);
    });
  }

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] model open(file_io io = file_io::buffered) const {
    return model_from_safetensors(path_, {.block_patterns = {"file.{}."}, .io = io, .chunk_bytes = 4096});
  }

  [[nodiscard]] static std::byte byte_of(std::string_view tensor, std::uint64_t at) {
    return static_cast<std::byte>((at + tensor.size()) * 31 + static_cast<unsigned char>(tensor[5]) * 7 + (at >> 8));
  }
  [[nodiscard]] static std::vector<std::byte> bytes_of(const tensor_info& t) {
    std::vector<std::byte> bytes(t.size_bytes);
    for (std::uint64_t i = 0; i < t.size_bytes; ++i) bytes[i] = byte_of(t.name, i);
    return bytes;
  }

 private:
  temp_folder folder_;
  std::filesystem::path path_ = folder_.path() / "model.safetensors";
};

}  // namespace pinrail::test
