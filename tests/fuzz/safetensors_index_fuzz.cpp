// The input is an index, "model.safetensors.index.json", beside two shards, with one more file outside of their folder.
//
// It is refused with errc::malformed_file, or with errc::io_error for a shard that can't be opened; or it lists exactly
// the tensors of the shards it names. In no case is a file outside of the folder read.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/support/expect.hpp"
#include "fuzz/support/safetensors_oracle.hpp"
#include "pinrail/model.hpp"
#include "sources/safetensors_index.hpp"

using namespace pinrail;

namespace {

std::string shard_of(std::string_view header, std::string_view data) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<char>(header.size() >> (8 * i)));
  return bytes.append(header).append(data);
}

/// /dev/shm/pinrail-fuzz-XXXXXX/ with model/a.safetensors, model/b/b.safetensors and c.safetensors.
class shard_folder {
 public:
  shard_folder() {
    std::string pattern = "/dev/shm/pinrail-fuzz-XXXXXX";
    fuzz::expect(::mkdtemp(pattern.data()) != nullptr, "the harness got no folder in /dev/shm");
    top_ = pattern;
    std::filesystem::create_directories(folder() / "b");
    add("a.safetensors", shard_of(R"({"x.0.w":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},)"
                                  R"("x.1.w":{"dtype":"F16","shape":[1],"data_offsets":[3,5]}})",
                                  "abcde"));
    add("b/b.safetensors", shard_of(R"({"y":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})", "fg"));
    write(top_ / "c.safetensors", shard_of(R"({"c":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "h"));
  }
  ~shard_folder() { std::filesystem::remove_all(top_); }
  shard_folder(const shard_folder&) = delete;
  shard_folder& operator=(const shard_folder&) = delete;

  [[nodiscard]] std::filesystem::path folder() const { return top_ / "model"; }
  [[nodiscard]] std::filesystem::path index() const { return folder() / "model.safetensors.index.json"; }
  [[nodiscard]] const std::string* shard(const std::string& name) const {
    const auto found = shards_.find(std::filesystem::path(name).lexically_normal());
    return found != shards_.end() ? &found->second : nullptr;
  }
  static void write(const std::filesystem::path& file, std::string_view bytes) {
    std::ofstream out(file, std::ios::binary | std::ios::trunc);
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    out.close();
    fuzz::expect(out.good(), "the harness can't write {}", file.native());
  }

 private:
  void add(const std::string& name, const std::string& bytes) {
    write(folder() / name, bytes);
    shards_.emplace(name, bytes);
  }

  std::filesystem::path top_;
  std::map<std::filesystem::path, std::string> shards_;
};

/// What the harness wrote is what an accepted index may list.
void expect_listed(const std::string& tensor, const std::string& shard) {
  const std::string home = tensor.starts_with("x.") ? "a.safetensors" : "b/b.safetensors";
  fuzz::expect(tensor == "x.0.w" || tensor == "x.1.w" || tensor == "y", "tensor '{}' was accepted, which there is not",
               tensor);
  fuzz::expect(std::filesystem::path(shard).lexically_normal() == home, "tensor '{}' was accepted in '{}'", tensor,
               shard);
}

/// The shards that an accepted index names, each once and in order, by another way than the reader's.
std::vector<std::string> shards_named(const nlohmann::json& index) {
  std::set<std::string> names;
  for (const auto& [tensor, shard] : index.at("weight_map").items()) names.insert(shard.get<std::string>());
  return {names.begin(), names.end()};
}

void expect_inside(const std::vector<std::string>& shards) {
  for (const std::string& name : shards) {
    const std::filesystem::path path(name);
    const std::filesystem::path normal = path.lexically_normal();
    fuzz::expect(path.is_relative() && !normal.empty() && *normal.begin() != "..", "the shard '{}' was accepted", name);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const shard_folder files;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto document = nlohmann::json::parse(text, nullptr, false);
  const auto malformed = fuzz::refusal({errc::malformed_file}, [&] {
    const auto index = sources::parse_index_json(files.index(), text);
    fuzz::expect(document.is_object() && document.contains("weight_map"), "an index without weight_map was accepted");
    fuzz::expect(index.shards == shards_named(document), "the index names other shards");
    expect_inside(index.shards);
  });

  shard_folder::write(files.index(), text);
  const safetensors_options options;
  const auto refused = fuzz::refusal({errc::malformed_file, errc::io_error}, [&] {
    const model read = model_from_safetensors(files.index(), options);
    std::vector<std::string_view> contents;
    for (const std::string& name : shards_named(document)) {
      const std::string* const shard = files.shard(name);
      fuzz::expect(shard != nullptr, "'{}' was read, which is no shard of the folder", name);
      contents.push_back(*shard);
    }
    for (const auto& [tensor, shard] : document.at("weight_map").items()) expect_listed(tensor, shard);
    fuzz::expect_model_of(read, options, contents);
  });
  fuzz::expect(!malformed || (refused && refused->code() == errc::malformed_file), "a malformed index was {}",
               refused ? to_string(refused->code()) : "accepted");
  return 0;
}
