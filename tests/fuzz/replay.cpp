// Runs inputs of a fuzz target once each: what ctest does with the corpus, and how a crasher is looked at in a debugger
// or under another sanitizer.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

void collect(const std::filesystem::path& from, std::vector<std::filesystem::path>& files) {
  if (!std::filesystem::is_directory(from)) return files.push_back(from);
  for (const auto& entry : std::filesystem::directory_iterator(from)) files.push_back(entry.path());
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::filesystem::path> files;
  for (int i = 1; i < argc; ++i) collect(argv[i], files);
  std::sort(files.begin(), files.end());
  if (files.empty()) {
    std::fprintf(stderr, "usage: %s FILE_OR_FOLDER...; there are no inputs\n", argv[0]);
    return 2;
  }
  for (const std::filesystem::path& file : files) {
    std::printf("%s\n", file.c_str());
    std::fflush(stdout);  // the last line names the input that ended the program
    const std::size_t size = std::filesystem::file_size(file);
    const auto bytes = std::make_unique<std::uint8_t[]>(size);  // no byte more, so that sanitizers see where it ends
    std::ifstream in(file, std::ios::binary);
    if (!in.read(reinterpret_cast<char*>(bytes.get()), static_cast<std::streamsize>(size))) {
      std::fprintf(stderr, "can't be read\n");
      return 2;
    }
    LLVMFuzzerTestOneInput(bytes.get(), size);
  }
  std::printf("%zu inputs\n", files.size());
  return 0;
}
