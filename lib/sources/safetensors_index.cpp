#include "sources/safetensors_index.hpp"

#include <fmt/format.h>

#include <map>
#include <unordered_set>
#include <utility>

#include "sources/messages.hpp"
#include "sources/strict_json.hpp"

namespace pinrail::sources {

namespace {

class index_events final : public json_events {
 public:
  using json_events::json_events;

  [[nodiscard]] bool has_weight_map() const noexcept { return top_keys_.contains("weight_map"); }
  safetensors_index take();

 private:
  enum class place { before, top, ignored_value, map_value, map, shard_name };

  void on_key(std::string& name) override;
  void on_string(std::string& text) override;
  void on_object() override;
  void on_object_end() override;
  void on_array() override;
  void on_array_end() override { leave_ignored(); }
  void on_unexpected(std::string_view what) override;

  void leave_ignored() noexcept {
    if (--ignored_depth_ == 0) at_ = place::top;
  }
  void check_shard_name(const std::string& name) const;

  std::unordered_set<std::string> top_keys_;
  std::map<std::string, std::uint32_t> number_of_shard_;  // in order of appearance
  safetensors_index index_;                               // with those numbers until `take`
  std::string tensor_;
  std::size_t ignored_depth_ = 0;
  place at_ = place::before;
};

void index_events::on_key(std::string& name) {
  if (at_ == place::ignored_value) return;
  if (at_ == place::map) {
    if (index_.shard_of_tensor.contains(name)) {
      throw_malformed(file(), fmt::format("weight_map has tensor {} twice", in_quotes(name)));
    }
    tensor_ = std::move(name);
    at_ = place::shard_name;
    return;
  }
  if (!top_keys_.insert(name).second) {
    throw_malformed(file(), fmt::format("the key {} comes twice", in_quotes(name)));
  }
  at_ = name == "weight_map" ? place::map_value : place::ignored_value;
}

void index_events::on_string(std::string& text) {
  if (at_ != place::shard_name) return on_unexpected("a string");
  check_shard_name(text);
  const auto next = static_cast<std::uint32_t>(number_of_shard_.size());
  const std::uint32_t number = number_of_shard_.try_emplace(std::move(text), next).first->second;
  index_.shard_of_tensor.emplace(std::move(tensor_), number);
  at_ = place::map;
}

void index_events::on_object() {
  if (at_ == place::before) {
    at_ = place::top;
  } else if (at_ == place::map_value) {
    at_ = place::map;
  } else if (at_ == place::ignored_value) {
    ++ignored_depth_;
  } else {
    on_unexpected("an object");
  }
}

void index_events::on_object_end() {
  if (at_ == place::ignored_value) {
    leave_ignored();
  } else {
    at_ = place::top;
  }
}

void index_events::on_array() {
  if (at_ == place::ignored_value) {
    ++ignored_depth_;
  } else {
    on_unexpected("an array");
  }
}

void index_events::on_unexpected(std::string_view what) {
  if (at_ == place::ignored_value) {
    if (ignored_depth_ == 0) at_ = place::top;
  } else if (at_ == place::map_value) {
    throw_malformed(file(), fmt::format("weight_map is {}, not an object", what));
  } else if (at_ == place::shard_name) {
    throw_malformed(file(), fmt::format("weight_map has {} for tensor {}, not a file name", what, in_quotes(tensor_)));
  } else {
    throw_malformed(file(), fmt::format("the index is {}, not an object", what));
  }
}

void index_events::check_shard_name(const std::string& name) const {
  const auto refuse = [&](std::string_view what) {
    throw_malformed(file(), fmt::format("tensor {}: the shard {} {}", in_quotes(tensor_), in_quotes(name), what));
  };
  if (name.empty()) refuse("has no name");
  if (name.find('\0') != name.npos) refuse("has a NUL in its name");
  const std::filesystem::path path(name);
  if (path.is_absolute()) refuse("is an absolute path");
  if (!path.has_filename()) refuse("is a folder");
  for (const std::filesystem::path& part : path) {
    if (part == "." || part == "..") refuse("has '.' or '..' in its path");
  }
}

safetensors_index index_events::take() {
  std::vector<std::uint32_t> place_of_number(number_of_shard_.size());
  for (const auto& [name, number] : number_of_shard_) {
    place_of_number[number] = static_cast<std::uint32_t>(index_.shards.size());
    index_.shards.push_back(name);
  }
  for (auto& [tensor, number] : index_.shard_of_tensor) number = place_of_number[number];
  return std::move(index_);
}

}  // namespace

safetensors_index parse_index_json(const std::filesystem::path& file, std::string_view json) {
  index_events events(file);
  parse_json_object(json, events);
  if (!events.has_weight_map()) throw_malformed(file, "the index has no weight_map");
  safetensors_index index = events.take();
  if (index.shards.empty()) throw_malformed(file, "weight_map is empty: it names no shard");
  return index;
}

}  // namespace pinrail::sources
