// Models: blocks in execution order, and the source that their bytes come from.
//
// A model is a value that describes; nothing is loaded before `scheduler::add_runtime` and a forward pass.
// Thread-safety: a `model` is immutable and may be shared.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "pinrail/error.hpp"

namespace pinrail {

namespace sources {
class source;
}

/// A block's place in its runtime's execution order, from 0.
using block_index = std::uint32_t;

/// A named part of a block.
struct tensor_info {
  std::string name;   ///< full name as in the file: "transformer_blocks.0.attn.to_q.weight"
  std::string dtype;  ///< as in safetensors: "BF16", "F32", "U8", ...
  std::vector<std::uint64_t> shape = {};
  std::uint64_t offset_bytes = 0;  ///< from the start of the block on the device; a multiple of the alignment
  std::uint64_t size_bytes = 0;
};

/// A unit of weights that moves as one and is contiguous on the device.
struct block_info {
  std::string name;
  std::uint64_t size_bytes = 0;
  std::vector<tensor_info> tensors = {};  ///< may be empty
};

class model {
 public:
  model() = default;
  /// Throws `errc::invalid_argument`, naming the block and the values, for a block of 0 bytes, a tensor that
  /// leaves its block, two tensors of one name in a block, sizes that add up to more than 2^64 - 1, and
  /// blocks without a source.
  model(std::vector<block_info> blocks, std::shared_ptr<sources::source> from);

  [[nodiscard]] const std::vector<block_info>& blocks() const noexcept { return blocks_; }
  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return size_bytes_; }
  [[nodiscard]] const std::shared_ptr<sources::source>& source() const noexcept { return source_; }

 private:
  std::vector<block_info> blocks_;
  std::uint64_t size_bytes_ = 0;
  std::shared_ptr<sources::source> source_;
};

// ---- safetensors ------------------------------------------------------------------------------------------

/// How file bytes reach pinned memory.
enum class file_io : std::uint8_t {
  automatic,  ///< direct where the file system allows it, else buffered
  direct,     ///< O_DIRECT; an error where the file system refuses it
  buffered,   ///< pread through the page cache
  /// Memory mapping: cold mappings are several times slower. A file that is cut short is an error, as in the other
  /// modes, and never SIGBUS.
  mapped,
};

/// Where the tensors go that no pattern matches.
enum class rest_block : std::uint8_t {
  first,  ///< one block before all others
  last,   ///< one block after all others
  omit,   ///< not part of the model
};

struct safetensors_options {
  /// Tensor name prefixes with one "{}" for the block's number: "transformer_blocks.{}.". Blocks come in the
  /// order of the patterns, then by number; a tensor goes to the first pattern that matches it, and a pattern
  /// that gets none is an error. A block's name is its prefix with the number: "transformer_blocks.0".
  /// Empty: the numbered prefix, with two numbers or more, that covers most bytes (the outermost of equals);
  /// where there is none, each tensor is a block.
  std::vector<std::string> block_patterns = {};
  rest_block rest = rest_block::first;
  std::string rest_name = "rest";
  file_io io = file_io::automatic;
  /// Of each tensor on the device; a power of two. For more than 256 give `scheduler_options::page_bytes` too: blocks
  /// begin where pages do.
  std::uint64_t alignment_bytes = 256;
  std::uint64_t max_header_bytes = 100'000'000;  ///< of a header, and of an index
  std::uint64_t chunk_bytes = 16u << 20;         ///< largest single read; a multiple of 4096, up to 1 GiB
};

/// Reads one file, or, if the name ends in ".json", the shards an index lists
/// ("model.safetensors.index.json", as Hugging Face writes it). Format:
/// https://github.com/huggingface/safetensors (header length, JSON header, data).
///
/// Before any weight is read, all headers are checked against the format, and the index against the shards.
/// In a block the tensors lie in file order: by shard (an index's shards by name), then by offset. Bytes
/// between them are never written. A block whose tensors are all empty is `alignment_bytes` long. The files
/// stay open while the model or a runtime made of it lives; they must not change.
///
/// Throws `errc::malformed_file`, `errc::io_error` (with errno), `errc::invalid_argument` for options, or
/// `errc::limit` where chunk_bytes is too small for the model's size; the message names the file, the tensor,
/// the value and the limit. Thread-safety: any thread.
[[nodiscard]] model model_from_safetensors(const std::filesystem::path& file_or_index,
                                           const safetensors_options& options = {});
/// The same, from a list of shards, in this order.
[[nodiscard]] model model_from_safetensors(const std::vector<std::filesystem::path>& shards,
                                           const safetensors_options& options = {});

// ---- memory -----------------------------------------------------------------------------------------------

/// Host memory of one block. The caller keeps it alive and unchanged while the runtime is registered.
struct memory_block {
  std::string name;
  std::span<std::byte> bytes;
};

struct memory_options {
  /// The memory is page-locked, so copies start from it directly; else it is staged through pinned slabs.
  bool pinned = false;
  /// Dirty blocks may be written back into it.
  bool writable = false;
};

/// Throws `errc::invalid_argument` for a block without memory, naming it. No blocks is a model too.
[[nodiscard]] model model_from_memory(std::span<const memory_block> blocks, const memory_options& options = {});

// ---- callback ---------------------------------------------------------------------------------------------

/// Fills `to` with the block's bytes from `offset_bytes` on. Called on Pinrail's reader threads, several at
/// once. Returns false on failure, which becomes `errc::io_error`; so does what it throws, whose text is
/// lost.
using read_callback = std::function<bool(block_index block, std::uint64_t offset_bytes, std::span<std::byte> to)>;
/// Takes a dirty block's bytes back; as `read_callback`.
using write_callback =
    std::function<bool(block_index block, std::uint64_t offset_bytes, std::span<const std::byte> from)>;

/// `write` may be empty: the model is then read-only. Throws `errc::invalid_argument` for an empty `read`,
/// and for blocks as the constructor of `model` does.
[[nodiscard]] model model_from_callback(std::vector<block_info> blocks, read_callback read, write_callback write = {});

}  // namespace pinrail
