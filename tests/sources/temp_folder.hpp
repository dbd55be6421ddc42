// A folder that lives as long as a test, and files in it, byte for byte as the test says.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace pinrail::test {

class temp_folder {
 public:
  temp_folder() : temp_folder(std::filesystem::temp_directory_path()) {}
  explicit temp_folder(const std::filesystem::path& parent) {
    std::string pattern = (parent / "pinrail-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::filesystem::filesystem_error("mkdtemp", parent, {});
    path_ = pattern;
  }
  temp_folder(const temp_folder&) = delete;
  temp_folder& operator=(const temp_folder&) = delete;
  ~temp_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  std::filesystem::path write(std::string_view name, std::string_view bytes) const {
    const std::filesystem::path file = path_ / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream out(file, std::ios::binary);
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    EXPECT_TRUE(out.good());
    return file;
  }

 private:
  std::filesystem::path path_;
};

/// The 8 bytes in front of a header.
inline std::string header_length(std::uint64_t length) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<char>(length >> (8 * i)));
  return bytes;
}

/// A file with this header and this many bytes of data; nothing of it is checked.
inline std::string raw_safetensors(std::string_view json, std::size_t data_bytes = 0) {
  return header_length(json.size()) + std::string(json) + std::string(data_bytes, 'd');
}

}  // namespace pinrail::test
