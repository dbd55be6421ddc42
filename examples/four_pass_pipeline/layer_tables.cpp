#include "layer_tables.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace examples {
namespace {

constexpr std::uint64_t bytes_per_element = 2;  // bfloat16

using tensor_list = std::vector<tensor_shape>;

/// A linear layer with bias. The weight is stored as output features x input features.
void add_linear(tensor_list& to, const std::string& name, std::uint64_t out, std::uint64_t in) {
  to.push_back({name + ".weight", {out, in}});
  to.push_back({name + ".bias", {out}});
}

/// A 3-d convolution with a 3 x 3 x 3 kernel and bias.
void add_conv3d(tensor_list& to, const std::string& name, std::uint64_t out, std::uint64_t in) {
  to.push_back({name + ".weight", {out, in, 3, 3, 3}});
  to.push_back({name + ".bias", {out}});
}

/// A normalization with weight and bias.
void add_group_norm(tensor_list& to, const std::string& name, std::uint64_t channels) {
  to.push_back({name + ".weight", {channels}});
  to.push_back({name + ".bias", {channels}});
}

/// Appends `count` copies of `block`, whose names are relative, with the number from 0 in `pattern`'s "{}".
void add_blocks(layer_table& to, const std::string& pattern, std::uint64_t count, const tensor_list& block) {
  const std::size_t hole = pattern.find("{}");
  const std::string before = pattern.substr(0, hole);
  const std::string after = pattern.substr(hole + 2);
  to.block_patterns.push_back(pattern);
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::string prefix = before + std::to_string(i) + after;
    for (const tensor_shape& tensor : block) to.tensors.push_back({prefix + tensor.name, tensor.shape});
  }
}

/// The block that a tensor belongs to ("transformer_blocks.7."), or nothing for the rest.
std::string_view block_of(const tensor_shape& tensor, const std::vector<std::string>& patterns) {
  const std::string_view name = tensor.name;
  for (const std::string& pattern : patterns) {
    const std::size_t hole = pattern.find("{}");
    const std::string_view before = std::string_view(pattern).substr(0, hole);
    const std::string_view after = std::string_view(pattern).substr(hole + 2);
    if (!name.starts_with(before)) continue;
    const std::size_t digits_end = std::min(name.find_first_not_of("0123456789", hole), name.size());
    if (digits_end > hole && name.substr(digits_end).starts_with(after)) {
      return name.substr(0, digits_end + after.size());
    }
  }
  return {};
}

// ---- LTX-2 transformer ------------------------------------------------------------------------------------

constexpr std::uint64_t video_dim = 4096;       // 32 heads of 128
constexpr std::uint64_t audio_dim = 2048;       // 32 heads of 64
constexpr std::uint64_t latent_channels = 128;  // of the video and of the audio latents
constexpr std::uint64_t caption_dim = 3840;     // the text encoder's hidden size
constexpr std::uint64_t timestep_features = 256;

/// Attention from a stream of width `query_dim` to one of width `context_dim`, with all heads together
/// `inner_dim` wide. The norms of queries and keys span all heads.
void add_attention(tensor_list& to, const std::string& name, std::uint64_t query_dim, std::uint64_t context_dim,
                   std::uint64_t inner_dim) {
  to.push_back({name + ".norm_q.weight", {inner_dim}});
  to.push_back({name + ".norm_k.weight", {inner_dim}});
  add_linear(to, name + ".to_q", inner_dim, query_dim);
  add_linear(to, name + ".to_k", inner_dim, context_dim);
  add_linear(to, name + ".to_v", inner_dim, context_dim);
  add_linear(to, name + ".to_out.0", query_dim, inner_dim);
}

/// Two linear layers, four times as wide between them.
void add_feed_forward(tensor_list& to, const std::string& name, std::uint64_t dim) {
  add_linear(to, name + ".net.0.proj", 4 * dim, dim);
  add_linear(to, name + ".net.2", dim, 4 * dim);
}

/// A timestep embedding and the layer that makes `parameters` modulation vectors from it.
void add_modulation(tensor_list& to, const std::string& name, std::uint64_t dim, std::uint64_t parameters) {
  add_linear(to, name + ".emb.timestep_embedder.linear_1", dim, timestep_features);
  add_linear(to, name + ".emb.timestep_embedder.linear_2", dim, dim);
  add_linear(to, name + ".linear", parameters * dim, dim);
}

// ---- LTX-2 latent upsamplers ------------------------------------------------------------------------------

/// Both upsamplers: a convolution, four residual blocks, the upsampling layer (`upsampler`, already named),
/// four more residual blocks and a convolution.
///
/// One residual block of c channels holds 2 x (27 c^2 + c) for its convolutions + 4 c for its norms.
layer_table latent_upsampler(std::string model_name, std::uint64_t channels, const tensor_list& upsampler) {
  layer_table table;
  table.model_name = std::move(model_name);

  tensor_list block;
  add_conv3d(block, "conv1", channels, channels);
  add_group_norm(block, "norm1", channels);
  add_conv3d(block, "conv2", channels, channels);
  add_group_norm(block, "norm2", channels);

  add_conv3d(table.tensors, "initial_conv", channels, latent_channels);
  add_group_norm(table.tensors, "initial_norm", channels);
  add_blocks(table, "res_blocks.{}.", 4, block);
  table.tensors.insert(table.tensors.end(), upsampler.begin(), upsampler.end());
  add_blocks(table, "post_upsample_res_blocks.{}.", 4, block);
  add_conv3d(table.tensors, "final_conv", latent_channels, channels);
  return table;
}

}  // namespace

// Names and shapes: huggingface/transformers (5.23.0), src/transformers/models/gemma3/modeling_gemma3.py,
// Gemma3ForCausalLM, with the text configuration of google/gemma-3-12b-it: 48 layers, hidden size 3840,
// 16 query heads and 8 key-value heads of 256, feed-forward size 15360, vocabulary 262208. The checkpoint of
// that repository, which also holds a vision tower, puts "language_model." before each name. The output head
// shares the embedding's weights and is not stored.
//
//   q_proj, o_proj             2 x  4096 x 3840 =  31,457,280
//   k_proj, v_proj             2 x  2048 x 3840 =  15,728,640
//   q_norm, k_norm             2 x          256 =         512
//   gate, up and down_proj     3 x 15360 x 3840 = 176,947,200
//   norms                      4 x         3840 =      15,360
//   one block                                     224,148,992 elements, 448,297,984 bytes
//   embedding and last norm   262209 x     3840 = 1,006,882,560 elements, 2,013,765,120 bytes
layer_table text_encoder() {
  constexpr std::uint64_t hidden = 3840;
  constexpr std::uint64_t head_dim = 256;
  constexpr std::uint64_t query_dim = 16 * head_dim;
  constexpr std::uint64_t key_value_dim = 8 * head_dim;
  constexpr std::uint64_t feed_forward = 15360;
  constexpr std::uint64_t vocabulary = 262208;

  const tensor_list block = {
      {"input_layernorm.weight", {hidden}},
      {"self_attn.q_proj.weight", {query_dim, hidden}},
      {"self_attn.k_proj.weight", {key_value_dim, hidden}},
      {"self_attn.v_proj.weight", {key_value_dim, hidden}},
      {"self_attn.o_proj.weight", {hidden, query_dim}},
      {"self_attn.q_norm.weight", {head_dim}},
      {"self_attn.k_norm.weight", {head_dim}},
      {"post_attention_layernorm.weight", {hidden}},
      {"pre_feedforward_layernorm.weight", {hidden}},
      {"mlp.gate_proj.weight", {feed_forward, hidden}},
      {"mlp.up_proj.weight", {feed_forward, hidden}},
      {"mlp.down_proj.weight", {hidden, feed_forward}},
      {"post_feedforward_layernorm.weight", {hidden}},
  };

  layer_table table;
  table.model_name = "gemma-3-12b-text";
  table.tensors.push_back({"model.embed_tokens.weight", {vocabulary, hidden}});
  add_blocks(table, "model.layers.{}.", 48, block);
  table.tensors.push_back({"model.norm.weight", {hidden}});
  return table;
}

// Names and shapes: huggingface/diffusers (0.42.1), src/diffusers/models/transformers/transformer_ltx2.py,
// LTX2VideoTransformer3DModel, with the configuration of Lightricks/LTX-2 (ltx-2-19b-dev), folder
// transformer: 48 blocks, biases everywhere, no gated attention, no modulation of the text cross-attention.
// Lightricks/LTX-2, packages/ltx-core/src/ltx_core/model/transformer, has the same tensors under its own
// names (patchify_proj for proj_in, adaln_single for time_embed, q_norm for norm_q, ...).
//
// With biases, d = 4096 for video and a = 2048 for audio:
//   attn1, attn2             2 x (4 (d^2 + d) + 2 d)                    = 134,266,880
//   audio_attn1, audio_attn2 2 x (4 (a^2 + a) + 2 a)                    =  33,579,008
//   audio_to_video_attn      (d a + a) + 2 (a^2 + a) + (a d + d) + 2 a  =  25,180,160
//   video_to_audio_attn      (a^2 + a) + 2 (d a + a) + (a^2 + a) + 2 a  =  25,178,112
//   ff                       8 d^2 + 5 d                                = 134,238,208
//   audio_ff                 8 a^2 + 5 a                                =  33,564,672
//   scale-shift tables       (6 + 5) (d + a)                            =      67,584
//   one block                                     386,074,624 elements, 772,149,248 bytes
//   rest                                          344,592,640 elements, 689,185,280 bytes
//
// The later 22B checkpoint, LTX-2.3, has gates on every attention and larger tables: 386,695,360 elements or
// 773,390,720 bytes a block. It also holds text connectors, autoencoders and a vocoder; its transformer alone
// has 19.0e9 elements, against 18.9e9 here.
layer_table transformer() {
  tensor_list block;
  block.push_back({"scale_shift_table", {6, video_dim}});
  block.push_back({"audio_scale_shift_table", {6, audio_dim}});
  block.push_back({"video_a2v_cross_attn_scale_shift_table", {5, video_dim}});
  block.push_back({"audio_a2v_cross_attn_scale_shift_table", {5, audio_dim}});
  add_attention(block, "attn1", video_dim, video_dim, video_dim);
  add_attention(block, "audio_attn1", audio_dim, audio_dim, audio_dim);
  add_attention(block, "attn2", video_dim, video_dim, video_dim);  // to the text
  add_attention(block, "audio_attn2", audio_dim, audio_dim, audio_dim);
  add_attention(block, "audio_to_video_attn", video_dim, audio_dim, audio_dim);
  add_attention(block, "video_to_audio_attn", audio_dim, video_dim, audio_dim);
  add_feed_forward(block, "ff", video_dim);
  add_feed_forward(block, "audio_ff", audio_dim);

  layer_table table;
  table.model_name = "ltx-2-transformer";
  tensor_list& rest = table.tensors;
  add_linear(rest, "proj_in", video_dim, latent_channels);
  add_linear(rest, "audio_proj_in", audio_dim, latent_channels);
  add_linear(rest, "caption_projection.linear_1", video_dim, caption_dim);
  add_linear(rest, "caption_projection.linear_2", video_dim, video_dim);
  add_linear(rest, "audio_caption_projection.linear_1", audio_dim, caption_dim);
  add_linear(rest, "audio_caption_projection.linear_2", audio_dim, audio_dim);
  add_modulation(rest, "time_embed", video_dim, 6);
  add_modulation(rest, "audio_time_embed", audio_dim, 6);
  add_modulation(rest, "av_cross_attn_video_scale_shift", video_dim, 4);
  add_modulation(rest, "av_cross_attn_audio_scale_shift", audio_dim, 4);
  add_modulation(rest, "av_cross_attn_video_a2v_gate", video_dim, 1);
  add_modulation(rest, "av_cross_attn_audio_v2a_gate", audio_dim, 1);
  add_blocks(table, "transformer_blocks.{}.", 48, block);
  rest.push_back({"scale_shift_table", {2, video_dim}});
  rest.push_back({"audio_scale_shift_table", {2, audio_dim}});
  add_linear(rest, "proj_out", latent_channels, video_dim);
  add_linear(rest, "audio_proj_out", latent_channels, audio_dim);
  return table;
}

// Names and shapes: Lightricks/LTX-2, packages/ltx-core/src/ltx_core/model/upsampler, LatentUpsampler, and
// huggingface/diffusers (0.42.1), src/diffusers/pipelines/ltx2/latent_upsampler.py, both with 1024 channels
// and the rational resampler, as in ltx-2-spatial-upscaler-x2-1.0.safetensors. The resampler stores its
// constant blur kernel: 50 bytes, the one tensor here whose size is no multiple of 256.
//
//   one block    54 x 1024^2 + 6 x 1024                =  56,629,248 elements, 113,258,496 bytes
//   convolutions (27 x 128 x 1024) x 2 + 1024 + 128    =   7,079,040
//   first norm   2 x 1024                              =       2,048
//   upsampler    9 x 1024 x 4096 + 4096, kernel 25     =  37,752,857
//   rest                                                  44,833,945 elements, 89,667,890 bytes
layer_table spatial_upscaler() {
  constexpr std::uint64_t channels = 1024;
  return latent_upsampler("ltx-2-spatial-upscaler-x2", channels,
                          {{"upsampler.conv.weight", {4 * channels, channels, 3, 3}},
                           {"upsampler.conv.bias", {4 * channels}},
                           {"upsampler.blur_down.kernel", {1, 1, 5, 5}}});
}

// The same sources with 512 channels, as in ltx-2-temporal-upscaler-x2-1.0.safetensors.
//
//   one block    54 x 512^2 + 6 x 512                  =  14,158,848 elements, 28,317,696 bytes
//   convolutions (27 x 128 x 512) x 2 + 512 + 128      =   3,539,584
//   first norm   2 x 512                               =       1,024
//   upsampler    27 x 512 x 1024 + 1024                =  14,156,800
//   rest                                                  17,697,408 elements, 35,394,816 bytes
layer_table temporal_upscaler() {
  constexpr std::uint64_t channels = 512;
  tensor_list upsampler;
  add_conv3d(upsampler, "upsampler.0", 2 * channels, channels);
  return latent_upsampler("ltx-2-temporal-upscaler-x2", channels, upsampler);
}

std::uint64_t size_bytes(const tensor_shape& tensor) {
  std::uint64_t bytes = bytes_per_element;
  for (const std::uint64_t extent : tensor.shape) bytes *= extent;
  return bytes;
}

std::uint64_t size_bytes(const layer_table& table) {
  std::uint64_t bytes = 0;
  for (const tensor_shape& tensor : table.tensors) bytes += size_bytes(tensor);
  return bytes;
}

// Divides each tensor's outermost dimension, the number of its rows, by `scale`; the rows stay as they are.
// A fractional quotient goes down or up, whichever brings the bytes of the block so far closer to those
// wanted so far: a tensor is off by less than one row, and the errors of a block's tensors cancel. The sums
// start anew with every block, so equal blocks stay equal. No tensor gets less than one row, which is more
// than its share where it has fewer rows than `scale`. Up to a scale of 64, totals are within 0.2 % of those
// wanted for the two large models and within 3 % for the upscalers, whose rows are large; up to 1000, within
// 3 % and a factor of 2.
layer_table scaled(const layer_table& table, double scale) {
  if (!std::isfinite(scale) || scale < 1.0) throw std::invalid_argument("scale must be at least 1 and finite");

  layer_table result = table;
  std::string_view block;
  double wanted_bytes = 0.0;
  double given_bytes = 0.0;
  for (std::size_t i = 0; i < table.tensors.size(); ++i) {
    const tensor_shape& from = table.tensors[i];
    const std::string_view its_block = block_of(from, table.block_patterns);
    if (its_block != block) {
      block = its_block;
      wanted_bytes = given_bytes = 0.0;
    }

    const auto rows = static_cast<double>(from.shape.front());
    const double row_bytes = static_cast<double>(size_bytes(from)) / rows;
    wanted_bytes += rows * row_bytes / scale;
    const double down = std::max(1.0, std::floor(rows / scale));
    const double up = std::max(1.0, std::ceil(rows / scale));
    const double missing_bytes = wanted_bytes - given_bytes;
    const bool nearer_up = std::abs(missing_bytes - up * row_bytes) < std::abs(missing_bytes - down * row_bytes);
    const double given_rows = nearer_up ? up : down;
    given_bytes += given_rows * row_bytes;
    result.tensors[i].shape.front() = static_cast<std::uint64_t>(given_rows);
  }
  return result;
}

}  // namespace examples
