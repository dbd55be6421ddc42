// Random models on disk, and an independent word on what reading them must give.
//
// A tensor's bytes follow from its name, so that what was read can be checked without the file.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "common/safetensors_writer.hpp"
#include "pinrail/model.hpp"

namespace pinrail::test {

inline std::byte byte_of(std::uint64_t name_hash, std::uint64_t offset) {
  const std::uint64_t mixed = (name_hash + offset) * 0x9E3779B97F4A7C15u;
  return static_cast<std::byte>(mixed >> 56);
}

inline void fill_tensor(const examples::tensor_to_write& tensor, std::uint64_t offset, std::span<std::byte> to) {
  const std::uint64_t hash = std::hash<std::string>()(tensor.name);
  for (std::size_t i = 0; i < to.size(); ++i) to[i] = byte_of(hash, offset + i);
}

/// "stem.NUMBER.…". Names of random models have a number after each stem, and nothing else starts like one.
inline bool is_numbered(const std::string& name, const std::string& stem) { return name.starts_with(stem + "."); }

class random_model {
 public:
  explicit random_model(std::uint64_t seed) : random_(seed) {
    for (std::uint64_t i = random_() % 120; i > 0; --i) add_tensor();
  }

  [[nodiscard]] std::uint64_t below(std::uint64_t limit) { return random_() % limit; }
  [[nodiscard]] const std::vector<examples::tensor_to_write>& tensors() const { return tensors_; }
  [[nodiscard]] bool has_numbered(const std::string& stem) const {
    return std::any_of(tensors_.begin(), tensors_.end(),
                       [&](const examples::tensor_to_write& tensor) { return is_numbered(tensor.name, stem); });
  }

  examples::written_model write(const std::filesystem::path& folder) {
    return examples::write_sharded_safetensors(
        folder, tensors_, fill_tensor,
        {.max_shard_bytes = 1 + below(2'000'000), .buffer_bytes = 1 + below(100'000), .metadata = {{"format", "pt"}}});
  }

 private:
  void add_tensor() {
    static const std::vector<std::string> stems = {"blocks.", "single.", "text.encoder.", ""};
    static const std::vector<std::string> types = {"BOOL", "U8", "F8_E4M3", "BF16", "F32", "I64"};
    const std::string& stem = stems[below(stems.size())];
    std::string name = stem.empty() ? "other" + std::to_string(below(1000)) : stem + std::to_string(below(12));
    name += below(2) == 0 ? ".weight" : ".attn." + std::to_string(below(3)) + ".bias";
    if (!names_.insert(name).second) return;
    std::vector<std::uint64_t> shape;
    for (std::uint64_t i = below(4); i > 0; --i) shape.push_back(below(4) == 0 ? below(2) : below(60));
    tensors_.push_back({name, types[below(types.size())], shape});
  }

  std::mt19937_64 random_;
  std::set<std::string> names_;
  std::vector<examples::tensor_to_write> tensors_;
};

}  // namespace pinrail::test
