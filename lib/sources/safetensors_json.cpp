// Condition (2) of safetensors_header.hpp: from JSON events to tensors.

#include <fmt/format.h>

#include <unordered_set>
#include <utility>

#include "sources/messages.hpp"
#include "sources/safetensors_header.hpp"
#include "sources/strict_json.hpp"

namespace pinrail::sources {

namespace {

constexpr std::string_view metadata_key = "__metadata__";

/// The fields of a tensor's entry, as bits of what was seen.
enum field : unsigned { dtype_field = 1, shape_field = 2, offsets_field = 4, all_fields = 7 };

class header_events final : public json_events {
 public:
  using json_events::json_events;

  std::vector<header_tensor> take() { return std::move(tensors_); }

 private:
  /// Where in the document the reader stands.
  enum class place {
    before,          ///< nothing read yet
    top,             ///< in the outer object, a name comes next
    entry,           ///< after a name, its object comes next
    metadata,        ///< in __metadata__, a key comes next
    metadata_value,  ///< after such a key
    tensor,          ///< in a tensor's entry, a field's name comes next
    dtype,           ///< after "dtype"
    shape,           ///< after "shape"
    shape_items,
    offsets,  ///< after "data_offsets"
    offsets_items,
  };

  void on_key(std::string& name) override;
  void on_tensor_field(const std::string& name);
  void on_string(std::string& text) override;
  void on_unsigned(std::uint64_t value) override;
  void on_object() override;
  void on_object_end() override;
  void on_array() override;
  void on_array_end() override;
  void on_unexpected(std::string_view what) override;

  [[noreturn]] void refuse(std::string_view what) const { throw_malformed(file(), what); }
  [[noreturn]] void refuse_tensor(std::string_view what) const {
    refuse(fmt::format("tensor {}: {}", in_quotes(name_), what));
  }

  std::vector<header_tensor> tensors_;
  std::unordered_set<std::string> names_;          // of the outer object
  std::unordered_set<std::string> metadata_keys_;  // of __metadata__
  std::string name_;                               // of the entry that is being read
  header_tensor tensor_;
  unsigned seen_fields_ = 0;
  std::size_t offsets_count_ = 0;
  place at_ = place::before;
};

void header_events::on_key(std::string& name) {
  if (at_ == place::tensor) return on_tensor_field(name);
  if (at_ == place::metadata) {
    if (!metadata_keys_.insert(name).second) {
      refuse(fmt::format("__metadata__ has the key {} twice", in_quotes(name)));
    }
    at_ = place::metadata_value;
    return;
  }
  if (!names_.insert(name).second) {
    refuse(fmt::format("{} {} comes twice", name == metadata_key ? "the key" : "tensor", in_quotes(name)));
  }
  name_ = std::move(name);
  at_ = place::entry;
}

void header_events::on_tensor_field(const std::string& name) {
  const unsigned bit = name == "dtype"          ? dtype_field
                       : name == "shape"        ? shape_field
                       : name == "data_offsets" ? offsets_field
                                                : 0u;
  if (bit == 0) refuse_tensor(fmt::format("unknown field {}", in_quotes(name)));
  if ((seen_fields_ & bit) != 0) refuse_tensor(fmt::format("the field {} comes twice", in_quotes(name)));
  seen_fields_ |= bit;
  at_ = bit == dtype_field ? place::dtype : bit == shape_field ? place::shape : place::offsets;
}

void header_events::on_string(std::string& text) {
  if (at_ == place::dtype) {
    tensor_.dtype = std::move(text);
    at_ = place::tensor;
  } else if (at_ == place::metadata_value) {
    at_ = place::metadata;
  } else {
    on_unexpected("a string");
  }
}

void header_events::on_unsigned(std::uint64_t value) {
  if (at_ == place::shape_items) {
    tensor_.shape.push_back(value);
  } else if (at_ == place::offsets_items) {
    if (offsets_count_ == tensor_.data_offsets.size()) {
      refuse_tensor(fmt::format("data_offsets has more than 2 numbers: {} is the third", value));
    }
    tensor_.data_offsets[offsets_count_++] = value;
  } else {
    on_unexpected(fmt::format("the number {}", value));
  }
}

void header_events::on_object() {
  if (at_ == place::before) {
    at_ = place::top;
  } else if (at_ == place::entry && name_ == metadata_key) {
    at_ = place::metadata;
  } else if (at_ == place::entry) {
    tensor_ = header_tensor{};
    seen_fields_ = 0;
    offsets_count_ = 0;
    at_ = place::tensor;
  } else {
    on_unexpected("an object");
  }
}

void header_events::on_object_end() {
  if (at_ == place::tensor) {
    if ((seen_fields_ & dtype_field) == 0) refuse_tensor("has no field 'dtype'");
    if ((seen_fields_ & shape_field) == 0) refuse_tensor("has no field 'shape'");
    if ((seen_fields_ & offsets_field) == 0) refuse_tensor("has no field 'data_offsets'");
    tensor_.name = name_;
    tensors_.push_back(std::move(tensor_));
  }
  at_ = place::top;
}

void header_events::on_array() {
  if (at_ == place::shape) {
    at_ = place::shape_items;
  } else if (at_ == place::offsets) {
    at_ = place::offsets_items;
  } else {
    on_unexpected("an array");
  }
}

void header_events::on_array_end() {
  if (at_ == place::offsets_items && offsets_count_ != tensor_.data_offsets.size()) {
    refuse_tensor(fmt::format("data_offsets has {} numbers, not 2", offsets_count_));
  }
  at_ = place::tensor;
}

void header_events::on_unexpected(std::string_view what) {
  switch (at_) {
    case place::metadata_value:
      refuse(fmt::format("__metadata__ maps strings to strings, but {} is a value in it", what));
    case place::entry:
      if (name_ == metadata_key) refuse(fmt::format("__metadata__ is {}, not an object", what));
      refuse_tensor(fmt::format("its entry is {}, not an object", what));
    case place::dtype:
      refuse_tensor(fmt::format("dtype is {}, not a string", what));
    case place::shape:
      refuse_tensor(fmt::format("shape is {}, not an array", what));
    case place::shape_items:
      refuse_tensor(fmt::format("shape has {} in it", what));
    case place::offsets:
      refuse_tensor(fmt::format("data_offsets is {}, not an array", what));
    case place::offsets_items:
      refuse_tensor(fmt::format("data_offsets has {} in it", what));
    default:
      refuse(fmt::format("the header is {}, not an object", what));
  }
}

}  // namespace

std::vector<header_tensor> parse_header_json(const std::filesystem::path& file, std::string_view json) {
  header_events events(file);
  parse_json_object(json, events);
  return events.take();
}

}  // namespace pinrail::sources
