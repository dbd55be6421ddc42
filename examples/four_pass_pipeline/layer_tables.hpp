// The tensors of the four models of the example pipeline: real names and real shapes, no weights.
//
// Every element is bfloat16: two bytes. The model code and the checkpoints that each table comes from, and
// the arithmetic of its block size, stand above its function in layer_tables.cpp. In bytes:
//
//   table               blocks             one block            rest            total   tensors
//   text_encoder            48           448,297,984   2,013,765,120   23,532,068,352       626
//   transformer             48           772,149,248     689,185,280   37,752,349,184     3,510
//   spatial_upscaler     4 + 4           113,258,496      89,667,890      995,735,858        73
//   temporal_upscaler    4 + 4            28,317,696      35,394,816      261,936,384        72
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace examples {

struct tensor_shape {
  std::string name;
  std::vector<std::uint64_t> shape;  ///< outermost dimension first, as in safetensors
};

struct layer_table {
  std::string model_name;
  std::vector<std::string> block_patterns;  ///< as `safetensors_options::block_patterns`, in execution order
  std::vector<tensor_shape> tensors;
};

/// Gemma 3 12B without its vision tower.
[[nodiscard]] layer_table text_encoder();
/// The LTX-2 audio-video transformer.
[[nodiscard]] layer_table transformer();
/// LTX-2's latent upsampler that doubles height and width.
[[nodiscard]] layer_table spatial_upscaler();
/// LTX-2's latent upsampler that doubles the frame rate.
[[nodiscard]] layer_table temporal_upscaler();

[[nodiscard]] std::uint64_t size_bytes(const tensor_shape& tensor);
[[nodiscard]] std::uint64_t size_bytes(const layer_table& table);

/// The same tensors with about 1/`scale` of the bytes, for machines that can't hold the real ones. Names,
/// number of tensors and ranks stay; blocks that were equal in size stay equal. Scale 1 changes nothing.
/// Throws std::invalid_argument where `scale` is below 1 or not finite.
[[nodiscard]] layer_table scaled(const layer_table& table, double scale);

}  // namespace examples
