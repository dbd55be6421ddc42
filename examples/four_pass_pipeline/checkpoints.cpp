#include "checkpoints.hpp"

#include <fmt/format.h>

#include <cstring>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "common/safetensors_writer.hpp"
#include "mix.hpp"

namespace examples {
namespace {

namespace fs = std::filesystem;

std::uint64_t seed_of(const std::string& name) {
  std::uint64_t h = 0xcbf29ce484222325ull;  // FNV-1a
  for (const char c : name) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  return h;
}

void fill(const std::string& name, std::uint64_t offset_bytes, std::span<std::byte> to) {
  const std::uint64_t seed = seed_of(name);
  for (std::size_t at = 0; at < to.size();) {
    const std::uint64_t place = (offset_bytes + at) / 8;
    const std::uint64_t skip = (offset_bytes + at) % 8;
    const std::uint64_t word = next_state(seed, place);
    const std::size_t part = std::min<std::size_t>(8 - skip, to.size() - at);
    std::memcpy(to.data() + at, reinterpret_cast<const std::byte*>(&word) + skip, part);
    at += part;
  }
}

std::vector<tensor_to_write> tensors_of(const layer_table& table) {
  std::vector<tensor_to_write> all;
  for (const tensor_shape& t : table.tensors) all.push_back({t.name, "BF16", t.shape});
  return all;
}

/// Where a tensor's bytes are.
struct place_in_file {
  fs::path file;
  std::uint64_t offset_bytes = 0;
  std::uint64_t size_bytes = 0;
};

void add_tensors(const fs::path& file, std::map<std::string, place_in_file>& all) {
  std::ifstream in(file, std::ios::binary);
  std::uint64_t header_bytes = 0;
  in.read(reinterpret_cast<char*>(&header_bytes), 8);
  std::string header(header_bytes, '\0');
  in.read(header.data(), static_cast<std::streamsize>(header_bytes));
  if (!in) throw std::runtime_error(fmt::format("{} can't be read", file.string()));
  const auto parsed = nlohmann::json::parse(header);
  for (const auto& [name, entry] : parsed.items()) {
    if (name == "__metadata__") continue;
    const std::uint64_t begin = entry.at("data_offsets").at(0);
    const std::uint64_t end = entry.at("data_offsets").at(1);
    all[name] = {file, 8 + header_bytes + begin, end - begin};
  }
}

/// A second, plain reader of the format, so that the reference does not lean on what it is a reference for.
std::map<std::string, place_in_file> places(const fs::path& entry) {
  std::map<std::string, place_in_file> all;
  if (entry.extension() != ".json") {
    add_tensors(entry, all);
    return all;
  }
  std::map<std::string, bool> files;
  std::ifstream in(entry);
  const auto index = nlohmann::json::parse(in);
  for (const auto& [name, file] : index.at("weight_map").items()) files[file.get<std::string>()] = true;
  for (const auto& [file, unused] : files) add_tensors(entry.parent_path() / file, all);
  return all;
}

std::vector<std::byte> read(std::ifstream& in, const place_in_file& p) {
  std::vector<std::byte> bytes(p.size_bytes);
  in.seekg(static_cast<std::streamoff>(p.offset_bytes));
  in.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(p.size_bytes));
  if (!in)
    throw std::runtime_error(
        fmt::format("{}: {} bytes at {} can't be read", p.file.string(), p.size_bytes, p.offset_bytes));
  return bytes;
}

/// Calls `visit(block, tensor index, tensor, bytes)` for every tensor of the model, in order.
template <class Visit>
void for_each_tensor(const checkpoint& c, const pinrail::model& m, Visit&& visit) {
  const auto where = places(c.entry);
  std::map<fs::path, std::ifstream> files;
  for (std::size_t b = 0; b < m.blocks().size(); ++b) {
    const auto& tensors = m.blocks()[b].tensors;
    for (std::size_t t = 0; t < tensors.size(); ++t) {
      const place_in_file& p = where.at(tensors[t].name);
      auto& file = files[p.file];
      if (!file.is_open()) file.open(p.file, std::ios::binary);
      visit(b, t, tensors[t], read(file, p));
    }
  }
}

}  // namespace

std::array<checkpoint, model_count> prepare_checkpoints(const fs::path& folder, double scale,
                                                        const write_progress& progress) {
  std::array<checkpoint, model_count> all;
  const std::array tables{text_encoder(), transformer(), spatial_upscaler(), temporal_upscaler()};
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < model_count; ++i) {
    all[i].table = scaled(tables[i], scale);
    total += size_bytes(all[i].table);
  }
  std::uint64_t done = 0;
  for (checkpoint& c : all) {
    const fs::path home = folder / c.table.model_name;
    for (const char* name : {"model.safetensors.index.json", "model.safetensors"})
      if (fs::exists(home / name)) c.entry = home / name;
    if (!c.entry.empty()) {
      done += size_bytes(c.table);
      continue;
    }
    fs::create_directories(home);
    const auto bytes = [&](const tensor_to_write& t, std::uint64_t offset_bytes, std::span<std::byte> to) {
      fill(c.table.model_name + "/" + t.name, offset_bytes, to);
      done += to.size();
      progress(done, total);
    };
    // Five shards or so, whatever the scale.
    const writer_options options{.max_shard_bytes = std::max<std::uint64_t>(1 << 20, size_bytes(c.table) / 4)};
    c.entry = write_sharded_safetensors(home, tensors_of(c.table), bytes, options).entry;
  }
  return all;
}

pinrail::model open_model(const checkpoint& c) {
  return pinrail::model_from_safetensors(c.entry, {.block_patterns = c.table.block_patterns});
}

std::vector<std::uint64_t> block_checksums(const checkpoint& c, const pinrail::model& m) {
  std::vector<std::uint64_t> sums(m.blocks().size(), 0);
  for_each_tensor(c, m,
                  [&](std::size_t b, std::size_t t, const pinrail::tensor_info&, const std::vector<std::byte>& bytes) {
                    sums[b] += tensor_checksum(bytes.data(), bytes.size(), t);
                  });
  return sums;
}

std::vector<std::vector<std::byte>> read_blocks(const checkpoint& c, const pinrail::model& m) {
  std::vector<std::vector<std::byte>> blocks;
  for (const auto& b : m.blocks()) blocks.emplace_back(b.size_bytes);
  for_each_tensor(c, m,
                  [&](std::size_t b, std::size_t, const pinrail::tensor_info& t, const std::vector<std::byte>& bytes) {
                    std::memcpy(blocks[b].data() + t.offset_bytes, bytes.data(), bytes.size());
                  });
  return blocks;
}

}  // namespace examples
