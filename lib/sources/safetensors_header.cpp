// Conditions (1), (3) and (4) of safetensors_header.hpp.
#include "sources/safetensors_header.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sources/checked.hpp"
#include "sources/messages.hpp"
#include "sources/safetensors_dtype.hpp"

namespace pinrail::sources {

namespace {

class tensor_checker {
 public:
  tensor_checker(const std::filesystem::path& file, std::uint64_t data_bytes) : file_(file), data_bytes_(data_bytes) {}

  /// Condition (3), and the part of (4) that one tensor can break alone.
  void check(const header_tensor& tensor) const {
    const std::uint64_t needed_bytes = shape_bytes(tensor);
    const auto [begin, end] = tensor.data_offsets;
    if (begin > end) refuse(tensor, fmt::format("data_offsets [{}, {}] end before they begin", begin, end));
    if (end > data_bytes_) {
      refuse(tensor,
             fmt::format("data_offsets [{}, {}] end after the file's {} bytes of data", begin, end, data_bytes_));
    }
    if (end - begin != needed_bytes) {
      refuse(tensor, fmt::format("data_offsets [{}, {}] hold {} bytes, but {} {} needs {}", begin, end, end - begin,
                                 tensor.dtype, printable(tensor.shape), needed_bytes));
    }
  }

  /// The rest of condition (4); `tensors` are in file order.
  void check_coverage(const std::vector<header_tensor>& tensors) const {
    std::uint64_t covered_bytes = 0;
    const header_tensor* before = nullptr;
    for (const header_tensor& tensor : tensors) {
      const std::uint64_t begin = tensor.data_offsets[0];
      if (begin < covered_bytes) {
        refuse(tensor, fmt::format("begins at {}, inside of tensor {}, which ends at {}", begin,
                                   in_quotes(before->name), covered_bytes));
      }
      if (begin > covered_bytes) {
        refuse(tensor, fmt::format("begins at {}, but the data before it ends at {}: a hole of {} bytes", begin,
                                   covered_bytes, begin - covered_bytes));
      }
      covered_bytes = tensor.data_offsets[1];
      before = &tensor;
    }
    if (covered_bytes != data_bytes_) {
      throw_malformed(file_, fmt::format("{} bytes of trailing data after the tensors' {} bytes",
                                         data_bytes_ - covered_bytes, covered_bytes));
    }
  }

 private:
  [[noreturn]] void refuse(const header_tensor& tensor, std::string_view what) const {
    throw_malformed(file_, fmt::format("tensor {}: {}", in_quotes(tensor.name), what));
  }

  [[nodiscard]] std::uint64_t shape_bytes(const header_tensor& tensor) const {
    const std::optional<std::uint32_t> bits = dtype_bits(tensor.dtype);
    if (!bits) {
      refuse(tensor, fmt::format("unknown dtype {}; known are {}", in_quotes(tensor.dtype), known_dtypes()));
    }
    std::optional<std::uint64_t> total_bits = 1;
    for (const std::uint64_t dimension : tensor.shape) {
      total_bits = checked_multiply(*total_bits, dimension);
      if (!total_bits) break;
    }
    if (total_bits) total_bits = checked_multiply(*total_bits, *bits);
    if (!total_bits) {
      refuse(tensor, fmt::format("the size in bits of {} {} is above 2^64 - 1", tensor.dtype, printable(tensor.shape)));
    }
    if (*total_bits % 8 != 0) {
      refuse(tensor, fmt::format("{} {} takes {} bits, which are no whole bytes", tensor.dtype, printable(tensor.shape),
                                 *total_bits));
    }
    return *total_bits / 8;
  }

  const std::filesystem::path& file_;
  std::uint64_t data_bytes_;
};

}  // namespace

std::uint64_t checked_header_length(const std::filesystem::path& file, const std::array<unsigned char, 8>& field,
                                    std::uint64_t file_size_bytes, std::uint64_t max_header_bytes) {
  std::uint64_t length = 0;
  for (std::size_t i = field.size(); i-- > 0;) length = (length << 8) | field[i];
  if (length > max_header_bytes) {
    throw_malformed(file, fmt::format("a header of {} bytes; the limit is {} bytes", length, max_header_bytes));
  }
  if (length > file_size_bytes - header_length_bytes) {
    throw_malformed(file, fmt::format("a header of {} bytes in a file of {} bytes", length, file_size_bytes));
  }
  return length;
}

void validate_tensors(const std::filesystem::path& file, std::vector<header_tensor>& tensors,
                      std::uint64_t data_begin_bytes, std::uint64_t file_size_bytes) {
  const tensor_checker checker(file, file_size_bytes - data_begin_bytes);
  for (header_tensor& tensor : tensors) {
    checker.check(tensor);
    tensor.file_offset_bytes = data_begin_bytes + tensor.data_offsets[0];
  }
  // Comparing both offsets puts an empty tensor before the one that begins at the same place.
  std::stable_sort(tensors.begin(), tensors.end(),
                   [](const header_tensor& a, const header_tensor& b) { return a.data_offsets < b.data_offsets; });
  checker.check_coverage(tensors);
}

}  // namespace pinrail::sources
