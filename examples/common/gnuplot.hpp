// Pictures by gnuplot: a script that stays beside the picture, so that it can be drawn again or changed.
#pragma once

#include <fmt/os.h>

#include <filesystem>

namespace examples {

class gnuplot_script {
 public:
  /// The script is `picture` with the ending .gp. Throws std::system_error if it can't be written.
  explicit gnuplot_script(const std::filesystem::path& picture);

  template <class... Args>
  void print(fmt::format_string<Args...> format, Args&&... args) {
    out_.print(format, std::forward<Args>(args)...);
  }

  /// Runs gnuplot. Throws std::runtime_error, saying what to install, if it is not there or fails.
  void run();

 private:
  std::filesystem::path file_;
  fmt::ostream out_;
};

}  // namespace examples
