#include "common/safetensors_writer.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <utility>

namespace examples {

namespace {

constexpr std::uint64_t header_alignment_bytes = 8;

struct dtype_width {
  std::string_view name;
  unsigned bits;
};

constexpr std::array widths = {
    dtype_width{"BOOL", 8},    dtype_width{"F4", 4},          dtype_width{"F6_E2M3", 6},     dtype_width{"F6_E3M2", 6},
    dtype_width{"U8", 8},      dtype_width{"I8", 8},          dtype_width{"F8_E5M2", 8},     dtype_width{"F8_E4M3", 8},
    dtype_width{"F8_E8M0", 8}, dtype_width{"F8_E4M3FNUZ", 8}, dtype_width{"F8_E5M2FNUZ", 8}, dtype_width{"I16", 16},
    dtype_width{"U16", 16},    dtype_width{"F16", 16},        dtype_width{"BF16", 16},       dtype_width{"I32", 32},
    dtype_width{"U32", 32},    dtype_width{"F32", 32},        dtype_width{"C64", 64},        dtype_width{"F64", 64},
    dtype_width{"I64", 64},    dtype_width{"U64", 64},
};

unsigned bits_of(const tensor_to_write& tensor) {
  for (const dtype_width& width : widths) {
    if (width.name == tensor.dtype) return width.bits;
  }
  throw std::invalid_argument(fmt::format("tensor '{}': unknown dtype '{}'", tensor.name, tensor.dtype));
}

[[noreturn]] void throw_errno(const std::filesystem::path& file, std::string_view what) {
  throw std::system_error(errno, std::generic_category(), fmt::format("{}: {}", file.string(), what));
}

/// A file that gets its name when it is complete, and is gone if it never is.
class new_file {
 public:
  explicit new_file(std::filesystem::path path)
      : path_(std::move(path)), temporary_(path_.string() + fmt::format(".{}.tmp", ::getpid())) {
    fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd_ < 0) throw_errno(temporary_, "can't be created");
  }
  new_file(const new_file&) = delete;
  new_file& operator=(const new_file&) = delete;
  ~new_file() {
    if (fd_ >= 0) ::close(fd_);
    if (!is_complete_) ::unlink(temporary_.c_str());
  }

  void append(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t done = ::write(fd_, bytes.data(), bytes.size());
      if (done < 0 && errno == EINTR) continue;
      if (done < 0) throw_errno(temporary_, "can't be written");
      bytes = bytes.subspan(static_cast<std::size_t>(done));
    }
  }
  void append(std::string_view text) { append(std::as_bytes(std::span(text))); }

  void complete() {
    if (::close(std::exchange(fd_, -1)) != 0) throw_errno(temporary_, "can't be closed");
    if (::rename(temporary_.c_str(), path_.c_str()) != 0) throw_errno(temporary_, "can't be renamed");
    is_complete_ = true;
  }

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int fd_ = -1;
  bool is_complete_ = false;
};

std::string header_text(std::span<const tensor_to_write> tensors, const writer_options& options) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!options.metadata.empty()) header["__metadata__"] = options.metadata;
  std::uint64_t offset_bytes = 0;
  for (const tensor_to_write& tensor : tensors) {
    const std::uint64_t end_bytes = offset_bytes + size_bytes(tensor);
    header[tensor.name] = {
        {"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {offset_bytes, end_bytes}}};
    offset_bytes = end_bytes;
  }
  std::string text = header.dump();
  const std::size_t padded =
      (text.size() + header_alignment_bytes - 1) / header_alignment_bytes * header_alignment_bytes;
  text.resize(padded, ' ');
  return text;
}

std::string little_endian(std::uint64_t value) {
  std::string bytes;
  for (int i = 0; i < 8; ++i, value >>= 8) bytes.push_back(static_cast<char>(value & 0xFF));
  return bytes;
}

void check_names(std::span<const tensor_to_write> tensors) {
  std::set<std::string_view> names = {"__metadata__"};
  for (const tensor_to_write& tensor : tensors) {
    if (!names.insert(tensor.name).second) {
      throw std::invalid_argument(fmt::format("the tensor name '{}' is taken", tensor.name));
    }
  }
}

using shard_tensors = std::span<const tensor_to_write>;

std::vector<shard_tensors> split(std::span<const tensor_to_write> tensors, std::uint64_t max_shard_bytes) {
  std::vector<shard_tensors> shards;
  std::size_t begin = 0;
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const std::uint64_t more = size_bytes(tensors[i]);
    if (i > begin && bytes + more > max_shard_bytes) {
      shards.push_back(tensors.subspan(begin, i - begin));
      begin = i;
      bytes = 0;
    }
    bytes += more;
  }
  shards.push_back(tensors.subspan(begin));
  return shards;
}

}  // namespace

std::uint64_t size_bytes(const tensor_to_write& tensor) {
  std::uint64_t bits = bits_of(tensor);
  for (const std::uint64_t dimension : tensor.shape) {
    if (dimension != 0 && bits > UINT64_MAX / dimension) {
      throw std::invalid_argument(fmt::format("tensor '{}' is larger than 2^64 bits", tensor.name));
    }
    bits *= dimension;
  }
  if (bits % 8 != 0) {
    throw std::invalid_argument(fmt::format("tensor '{}': {} bits are no whole bytes", tensor.name, bits));
  }
  return bits / 8;
}

void write_safetensors(const std::filesystem::path& file, std::span<const tensor_to_write> tensors,
                       const tensor_bytes& bytes, const writer_options& options) {
  check_names(tensors);
  const std::string header = header_text(tensors, options);
  new_file out(file);
  out.append(little_endian(header.size()));
  out.append(header);
  std::vector<std::byte> buffer(std::max<std::size_t>(options.buffer_bytes, 1));
  for (const tensor_to_write& tensor : tensors) {
    const std::uint64_t total_bytes = size_bytes(tensor);
    for (std::uint64_t offset = 0; offset < total_bytes;) {
      const std::span part = std::span(buffer).first(std::min<std::uint64_t>(buffer.size(), total_bytes - offset));
      bytes(tensor, offset, part);
      out.append(part);
      offset += part.size();
    }
  }
  out.complete();
}

written_model write_sharded_safetensors(const std::filesystem::path& folder, std::span<const tensor_to_write> tensors,
                                        const tensor_bytes& bytes, const writer_options& options) {
  check_names(tensors);
  const std::vector<shard_tensors> shards = split(tensors, options.max_shard_bytes);
  written_model written;
  nlohmann::ordered_json weight_map = nlohmann::ordered_json::object();
  for (std::size_t s = 0; s < shards.size(); ++s) {
    const std::string name = shards.size() == 1
                                 ? options.stem + ".safetensors"
                                 : fmt::format("{}-{:05}-of-{:05}.safetensors", options.stem, s + 1, shards.size());
    write_safetensors(folder / name, shards[s], bytes, options);
    written.shards.push_back(folder / name);
    for (const tensor_to_write& tensor : shards[s]) {
      written.total_bytes += size_bytes(tensor);
      weight_map[tensor.name] = name;
    }
  }
  written.entry = written.shards.front();
  if (shards.size() == 1) return written;
  written.entry = folder / (options.stem + ".safetensors.index.json");
  const nlohmann::ordered_json index = {{"metadata", {{"total_size", written.total_bytes}}},
                                        {"weight_map", std::move(weight_map)}};
  new_file out(written.entry);
  out.append(index.dump(2) + "\n");
  out.complete();
  return written;
}

}  // namespace examples
